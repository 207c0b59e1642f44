"""A real PostgreSQL for the whole run, and a fresh database for each test, copied from a migrated template."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event

import mes.demo_plant
from mes.actor import Actor, Role
from mes.db import Database, open_database
from mes.embedded_postgres import EmbeddedPostgres, scratch_dir
from mes.migrate import migrate
from mes.plan.service import apply_files
from mes.settings import Settings

ADMIN = Actor("admin", Role.ADMIN)
DEMO_PLANT = sorted(Path(mes.demo_plant.__file__).parent.glob("*.yaml"))
_running = contextlib.ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Start the server once, in the process that controls the workers."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if "MES_TEST_SERVER" not in os.environ:
        folder = _running.enter_context(scratch_dir(in_memory=True))
        server = _running.enter_context(EmbeddedPostgres(folder / "data"))
        os.environ["MES_TEST_SERVER"] = server.url(database="{database}")
        asyncio.run(_make_templates())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server, and forget it."""
    if not hasattr(config, "workerinput"):
        _running.close()


def server_url(database: str) -> str:
    """Return the owner's address of a database on the test server."""
    return os.environ["MES_TEST_SERVER"].format(database=database)


async def _on_server(statement: str) -> None:
    connection = await asyncpg.connect(server_url("postgres").replace("+asyncpg", ""))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _make_templates() -> None:
    await _on_server("CREATE DATABASE migrated")
    await migrate(server_url("migrated"))
    await _on_server("CREATE DATABASE planned TEMPLATE migrated")
    database = open_database(Settings(), server_url("planned"))
    await apply_files(database, DEMO_PLANT, ADMIN)
    await database.close()


@contextlib.asynccontextmanager
async def copied(template: str) -> AsyncIterator[str]:
    """Give the name of a fresh copy of a template database."""
    name = f"test_{uuid.uuid4().hex}"
    await _on_server(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield name
    finally:
        await _on_server(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database_name() -> AsyncIterator[str]:
    """Name an empty, migrated database."""
    async with copied("migrated") as name:
        yield name


@pytest.fixture
async def database(database_name: str) -> AsyncIterator[Database]:
    """Open an empty, migrated database as the application does."""
    opened = open_database(Settings(), server_url(database_name))
    yield opened
    await opened.close()


@pytest.fixture
async def plant_name() -> AsyncIterator[str]:
    """Name a database that holds the demo plant."""
    async with copied("planned") as name:
        yield name


@pytest.fixture
async def plant(plant_name: str) -> AsyncIterator[Database]:
    """Open a database that holds the demo plant."""
    opened = open_database(Settings(), server_url(plant_name))
    yield opened
    await opened.close()


@pytest.fixture
def admin() -> Actor:
    """Act as an administrator."""
    return ADMIN


@pytest.fixture
def shared_data() -> Path:
    """Name the folder of measured data that lies beside the project, or skip, saying so."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/data with measured cells and curves is absent")
    return folder


@pytest.fixture
def statements(plant: Database) -> list[str]:
    """Every statement sent to PostgreSQL, but for the transaction's own."""
    return statements_of(plant)


def statements_of(database: Database) -> list[str]:
    """The list that every statement of a database is added to from here on."""
    sent: list[str] = []

    def note(query: Any) -> None:
        if not query.query.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            sent.append(query.query)

    @event.listens_for(database.engine.sync_engine, "checkout")
    def listen(connection: Any, *_: Any) -> None:
        driver = connection.driver_connection
        driver.remove_query_logger(note)
        driver.add_query_logger(note)

    return sent
