"""Databases for shifts: a template with the simulation's plant, made once a server; a copy, cleared for each seed.

Clearing a copy puts every row and sequence back as the template has it. It is ten times quicker than a copy for each
seed, since connections, plans and caches stay warm, and as isolated: nothing of one seed is left for the next.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator

import asyncpg

from mes.db import Database, open_database
from mes.embedded_postgres import EmbeddedPostgres, scratch_dir
from mes.migrate import migrate
from mes.settings import Settings
from tests.conftest import copied, server_url
from tests.simulation.ahead import build_ahead
from tests.simulation.plant import prepare

TEMPLATE = "simulated"
_LOCK = 20261123
_TABLES = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    AND NOT relispartition AND relname <> 'alembic_version' ORDER BY relname
"""
_KEEP_SEQUENCES = """
    CREATE TABLE kept.sequences AS
    SELECT format('%I.%I', schemaname, sequencename) AS name, coalesce(last_value, 1) AS last,
           last_value IS NOT NULL AS called FROM pg_sequences WHERE schemaname = 'public'
"""


class Stage:
    """A database with the simulation's plant, made as new for each seed."""

    def __init__(self, database: Database, eyes: asyncpg.Connection, tables: list[str]) -> None:
        self.database = database
        self.eyes = eyes  # the auditor's own connection, past all of `mes`
        put_back = [
            f"DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM kept.{table};"
            for table in tables
        ]
        # as a replica takes rows: the ledgers' triggers are about those who work here
        begin = "BEGIN; SET LOCAL session_replication_role = replica;"
        sequences = "SELECT setval(name::regclass, last, called) FROM kept.sequences;"
        self._clear = f"{begin} {' '.join(put_back)} {sequences} COMMIT;"

    async def clear(self) -> None:
        """Put everything back as the template has it."""
        await self.eyes.execute(self._clear)


@contextlib.contextmanager
def serving() -> Iterator[None]:
    """Run a server of our own, as long as the block lasts, with the template on it."""
    with scratch_dir() as folder, EmbeddedPostgres(folder / "data") as server:
        os.environ["MES_TEST_SERVER"] = server.url(database="{database}")
        asyncio.run(_begin())
        yield


async def _begin() -> None:
    connection = await asyncpg.connect(_plain("postgres"))
    await connection.execute("CREATE DATABASE migrated")
    await connection.close()
    await migrate(server_url("migrated"))
    await make_template()


async def make_template() -> None:
    """Make the template, unless another process did: the tests' workers share one server."""
    connection = await asyncpg.connect(_plain("postgres"))
    try:
        await connection.execute(f"SELECT pg_advisory_lock({_LOCK})")
        if await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", TEMPLATE):
            return
        await connection.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE migrated")
        database = open_database(Settings(), server_url(TEMPLATE))
        try:
            await prepare(database)
            await build_ahead(database, _plain(TEMPLATE))
        finally:
            await database.close()
        await _keep()
    finally:
        await connection.close()


async def _keep() -> None:
    """Keep a copy of every row, for `clear`."""
    owner = await asyncpg.connect(_plain(TEMPLATE))
    try:
        await owner.execute("CREATE SCHEMA kept")
        for table in await owner.fetch(_TABLES):
            await owner.execute(f"CREATE TABLE kept.{table['relname']} AS TABLE public.{table['relname']}")
        await owner.execute(_KEEP_SEQUENCES)
    finally:
        await owner.close()


@contextlib.asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Set a stage. Commits aren't waited for on the disk: no power is cut in a simulation."""
    async with copied(TEMPLATE) as name:
        owner = await asyncpg.connect(_plain("postgres"))
        for setting in ("synchronous_commit = off", "plan_cache_mode = force_generic_plan"):
            await owner.execute(f"ALTER DATABASE {name} SET {setting}")
        await owner.close()
        database = open_database(Settings(), server_url(name))
        eyes = await asyncpg.connect(_plain(name), server_settings={"timezone": "UTC", "jit": "off"})
        try:
            tables = [row["relname"] for row in await eyes.fetch(_TABLES)]
            yield Stage(database, eyes, tables)
        finally:
            await eyes.close()
            await database.close()


def _plain(database: str) -> str:
    return server_url(database).replace("+asyncpg", "")
