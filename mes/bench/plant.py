"""A plant of the bench's own: a scratch server, a database, the MES as a process, and its keys."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import psutil

from mes.actor import Actor, Role
from mes.bench.load import Connection
from mes.db import Database, open_database
from mes.embedded_postgres import EmbeddedPostgres, scratch_dir
from mes.migrate import migrate
from mes.people.messages import KeyRequest
from mes.people.service import create_key
from mes.settings import Settings

ACTOR = Actor("bench", Role.ADMIN)
READY_WITHIN_S = 30


@dataclass
class BenchPlant:
    """Where the bench's database is, and the MES once it serves."""

    url: str
    dsn: str
    database: Database
    key: str
    server: psutil.Process | None = None
    port: int = 0

    def connection(self) -> Connection:
        """Make a connection to the MES."""
        return Connection("127.0.0.1", self.port, self.key)

    def server_cpu_s(self) -> float:
        """CPU seconds that the MES's processes have used so far."""
        if self.server is None:
            return 0.0
        family = [self.server, *self.server.children(recursive=True)]
        return sum(sum(process.cpu_times()[:2]) for process in family)


@contextmanager
def scratch_server() -> Iterator[EmbeddedPostgres]:
    """Run a PostgreSQL of the bench's own: a bench never writes to a plant's."""
    with scratch_dir() as folder, EmbeddedPostgres(folder / "data") as server:
        server.run_sql("CREATE DATABASE bench")
        yield server


@asynccontextmanager
async def bench_plant(server: EmbeddedPostgres) -> AsyncIterator[BenchPlant]:
    """Give an empty, migrated database with a key."""
    url = server.url(database="bench")
    await migrate(url)
    database = open_database(Settings(database_url=None, owner_database_url=None), url)
    try:
        key = await database.transact(create_key, KeyRequest(name="bench", role=Role.ADMIN), ACTOR)
        yield BenchPlant(url, server.dsn(database="bench"), database, key.key)
    finally:
        await database.close()


@asynccontextmanager
async def serving(plant: BenchPlant, workers: int) -> AsyncIterator[None]:
    """Run `mes serve` on the bench's database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        plant.port = probe.getsockname()[1]
    environment = os.environ | {
        "MES_DATABASE_URL": plant.url,
        "MES_HOST": "127.0.0.1",
        "MES_PORT": str(plant.port),
        "MES_LOG_LEVEL": "warning",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mes.cli", "serve", "--workers", str(workers), env=environment
    )
    plant.server = psutil.Process(process.pid)
    try:
        await _until_ready(plant, process)
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _until_ready(plant: BenchPlant, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY_WITHIN_S):
        while process.returncode is None:
            try:
                async with plant.connection() as connection:
                    if (await connection.get("/ready"))[0] == 200:
                        return
            except OSError:
                pass
            await asyncio.sleep(0.05)
    raise RuntimeError("the MES under measurement did not start")
