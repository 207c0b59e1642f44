"""A shift that runs: ten PLCs, each behind a link that can be cut, the gateway, the MES and its PostgreSQL."""

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from mes.actor import Role
from mes.db import Database, open_database
from mes.embedded_postgres import EmbeddedPostgres, scratch_dir
from mes.migrate import migrate
from mes.orders.messages import OrderEvent, OrderRequest
from mes.orders.queries import serials
from mes.orders.service import create_order, move_order
from mes.people.messages import KeyRequest
from mes.people.service import create_key
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.settings import Settings
from plc_adapters.mapping import LineMap
from plc_adapters.simulated.line import write_map
from plc_adapters.simulated.plc_server import warm_up
from tests.conftest import ADMIN
from tests.faults.floor import PLANT, STATIONS, Floor
from tests.faults.plc import KINDS, Plc
from tests.faults.proxy import Proxy
from tests.journeys.processes import Program, free_port

SPEED = 60  # times real time: ten minutes of the shift are ten seconds
CYCLE_S = 20 / SPEED
OFFLINE_FOR_S = 900 / SPEED
WITHIN_S = 180
LOOK_EVERY_S = 0.05
PIECES = 1_200
_LINKED = {"security": "none", "publishing_ms": 50, "values": list(KINDS)}


@dataclass
class Shift:
    """The running shift, and what can be done to it."""

    folder: Path
    server: EmbeddedPostgres
    database: Database
    plcs: dict[str, Plc]
    links: dict[str, Proxy]
    mes_link: Proxy
    mes: Program
    gateway: Program

    async def until(self, holds: Callable[[], Any], awaited: str) -> Any:
        """Look until something holds; fail with the ends of the logs when it doesn't in time."""
        began = time.monotonic()
        while not (found := await found if asyncio.iscoroutine(found := holds()) else found):
            assert time.monotonic() - began < WITHIN_S, f"waited {WITHIN_S} s for {awaited}; {self.logs()}"
            await asyncio.sleep(LOOK_EVERY_S)
        return found

    def move_clock(self, program: str, by_s: float) -> None:
        """Have the clock of `mes` or `gateway` be wrong by this."""
        draft = self.folder / f"{program}.clock.draft"
        draft.write_text(str(by_s))
        draft.replace(self.folder / f"{program}.clock")

    def waiting(self) -> int:
        """How much the gateway still keeps for the MES."""
        with closing(sqlite3.connect(f"file:{self.folder / 'spool.sqlite'}?mode=ro", uri=True)) as spool:
            return int(spool.execute("SELECT count(*) FROM entry").fetchone()[0])

    def logs(self) -> str:
        """The last lines of every log."""
        ends = []
        for path in sorted(self.folder.glob("*.log")):
            ends += [f"{path.name}: {line}" for line in path.read_text(errors="replace").splitlines()[-12:]]
        return "\n" + "\n".join(ends)

    async def finish(self) -> None:
        """Let every station end what it has begun, and everything arrive."""
        for plc in self.plcs.values():
            plc.stop_asking()
        await self.until(lambda: all(plc.is_done for plc in self.plcs.values()), "every station to end its turn")
        await self.until(lambda: self.waiting() == 0, "the spool to be empty")


@asynccontextmanager
async def shift(folder: Path, seed: int) -> AsyncIterator[Shift]:
    """Run a shift while the context lasts; its order never ends."""
    async with AsyncExitStack() as stack:
        # where the server's own user can reach it, whoever we are
        server = stack.enter_context(EmbeddedPostgres(stack.enter_context(scratch_dir()) / "data"))
        server.run_sql("CREATE DATABASE mes")
        await migrate(server.url())
        database = open_database(Settings(), server.url())
        stack.push_async_callback(database.close)
        key, pieces = await _prepare(database)
        floor = Floor(pieces, random.Random(seed))
        warm_up()
        plcs, links, stations = {}, {}, []
        for number, code in enumerate(STATIONS):
            plc = Plc(_station(code, free_port()), floor, cycle_s=CYCLE_S, epoch=100 * (number + 1))
            await plc.power_on()
            stack.push_async_callback(plc.power_off)
            links[code] = await _linked(stack, plc.words.port)
            stations.append(_station(code, links[code].port).model_dump(mode="json", exclude_defaults=True))
            plcs[code] = plc
        line = {"gateway": "faults", "offline_for_s": OFFLINE_FOR_S, "refuses_after_s": 0.5, "stations": stations}
        write_map(folder / "map.yaml", LineMap.model_validate(line))
        port = free_port()
        mes_link = await _linked(stack, port)
        mes, gateway = _programs(folder, server.url(), port, mes_link.port, key)
        running = Shift(folder, server, database, plcs, links, mes_link, mes, gateway)
        for program in (mes, gateway):
            program.start()
            stack.push_async_callback(asyncio.to_thread, program.stop)
        await _until_all_work(running, port)
        yield running


async def _until_all_work(running: Shift, port: int) -> None:
    async def is_ready() -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"http://127.0.0.1:{port}/health")).status_code in (200, 401)
        except httpx.TransportError:
            return False

    await running.until(is_ready, "the MES to be ready")
    await running.until(lambda: all(plc.heard_at for plc in running.plcs.values()), "every station to be answered")


async def _prepare(database: Database) -> tuple[str, list[str]]:
    await database.transact(apply_plan, PlantFiles.model_validate(PLANT), ADMIN)
    key = await database.transact(create_key, KeyRequest(name="gateway", role=Role.STATION), ADMIN)
    order = OrderRequest(order="WO-1", part="PIECE", quantity=PIECES)
    await database.transact(create_order, order, ADMIN)
    await database.transact(move_order, OrderEvent(order="WO-1", event="release"), ADMIN)
    async with database.reading() as session:
        return key.key, list((await serials(session, "WO-1")).serials["PIECE"])


async def _linked(stack: AsyncExitStack, port: int) -> Proxy:
    proxy = Proxy(port)
    await proxy.start()
    stack.push_async_callback(proxy.stop)
    return proxy


def _station(code: str, port: int) -> Any:
    one = {"code": code, "endpoint": f"opc.tcp://127.0.0.1:{port}", "namespace": "urn:faults", **_LINKED}
    return LineMap.model_validate({"gateway": "faults", "stations": [one]}).stations[0]


def _programs(folder: Path, url: str, port: int, link: int, key: str) -> tuple[Program, Program]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"MES_DATABASE_URL": url, "MES_PORT": str(port)}
    environment |= {"MES_URL": f"http://127.0.0.1:{link}", "MES_KEY": key}

    def program(name: str, *command: object) -> Program:
        clock = folder / f"{name}.clock"
        clock.write_text("0")
        own = environment | {"MES_TEST_CLOCK": str(clock)}
        module = "tests.faults.moved_clock"
        return Program(module, *command, environment=own, log=folder / f"{name}.log", warm=True)

    letters = ["--dead-letters", folder / "dead-letters", "--spool", folder / "spool.sqlite", "--pki", folder / "pki"]
    return (
        program("mes", "mes.cli", "serve"),
        program("gateway", "plc_adapters", "--map", folder / "map.yaml", *letters),
    )
