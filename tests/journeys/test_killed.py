"""The gateway and the MES killed in the middle of cycles, six times each: every result is there exactly once.

`make faults` kills them too, among much else. That nothing is doubled by a kill between commit and acknowledgement is
shown by the conformance suite, which needs no luck to hit it.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import text

import plc_adapters.simulated
from mes.db import Database
from mes.records.audit import audit
from mes.records.queries import history
from plc_adapters.mapping import load_map
from plc_adapters.opcua.pki import Access, Pki
from plc_adapters.opcua.session import Session, open_session
from plc_adapters.simulated.jobs import PackJob
from plc_adapters.simulated.line import operation_of, write_map
from plc_adapters.simulated.process import Process, Work, rates_with
from plc_adapters.simulated.products import load_products
from tests.build.line import MODULE_STEPS
from tests.conftest import DEMO_PLANT, server_url
from tests.journeys.processes import Plant, Program, running_plant

SEED = 20261123
KILLS = 3  # of each
AT_ONCE = 2  # of these, both are killed
PACKS = 30  # received; as many are built as it takes
IN_FLOW = 8
STEPS = (*MODULE_STEPS, "100", "110", "120")  # cells, parts, lots and curves; what follows only measures
WORDS = ("Epoch", "ReqSeq", "PermitSeq", "DoneSeq", "DoneReqSeq", "AckSeq")
HIT = ("permit owed", "result owed")  # kills must have met each
_SEEN = "SELECT (SELECT max(id) FROM permit) AS permit, (SELECT max(id) FROM cycle) AS cycle"


@dataclass(frozen=True)
class Counters:
    """What a PLC's words say of its handshake."""

    epoch: int
    request: int
    permit: int
    done: int
    done_request: int
    ack: int

    @property
    def phase(self) -> str:
        """Where its cycle is."""
        if self.done != self.ack:
            return "result owed"
        if self.request != self.permit:
            return "permit owed"
        return "at work" if self.request != self.done_request else "idle"


@dataclass
class Watch:
    """Sees the stations' counters and what the database has committed, beside the programs that are killed."""

    stations: dict[str, tuple[Session, list[str]]]
    connection: asyncpg.Connection

    async def counters(self) -> dict[str, Counters]:
        """Read the counters of every station."""
        read = await asyncio.gather(*(session.read(nodes) for session, nodes in self.stations.values()))
        return {
            code: Counters(*(int(one.value or 0) for one in found))
            for code, found in zip(self.stations, read, strict=True)
        }

    async def seen(self) -> asyncpg.Record:
        """The newest permit and the newest cycle."""
        return await self.connection.fetchrow(_SEEN)

    async def phases(self) -> Counter[str]:
        """Count the stations by the phase they are stopped in; what is committed and not yet told is counted too."""
        counters = await self.counters()
        rows = await self.connection.fetch("SELECT s.code, c.cycle FROM cycle c JOIN station s ON s.id = c.station_id")
        committed = {(row["code"], row["cycle"]) for row in rows}
        found = Counter(one.phase for one in counters.values())
        found["committed, not acknowledged"] = sum(
            one.phase == "result owed" and (code, f"{one.epoch}-{one.done_request}") in committed
            for code, one in counters.items()
        )
        return found


@asynccontextmanager
async def watching(running: Plant, url: str) -> AsyncIterator[Watch]:
    """Open a session of its own with every station, and a connection with the database."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(connection.close)
        stations, access = {}, Access(Pki(running.folder / "pki"))
        for one in load_map(running.map).stations:
            session = await stack.enter_async_context(open_session(one.model_copy(update={"timeout_s": 20}), access))
            stations[one.code] = session, [one.word_nodes[word] for word in WORDS]
        yield Watch(stations, connection)


class Supply:
    """Keeps some packs in flow, as long as there are jobs and kills to come."""

    def __init__(self, running: Plant, jobs: list[dict[str, Any]]) -> None:
        self._running, self._waiting = running, jobs
        self.brought: list[dict[str, Any]] = []

    def packs_finished(self) -> list[dict[str, Any]]:
        """The packs that the line has finished."""
        return [one for one in self._running.finished() if "pack" in one]

    def refill(self) -> None:
        """Bring jobs for those that are finished."""
        while self._waiting and len(self.brought) - len(self.packs_finished()) < IN_FLOW:
            self.brought.append(self._waiting.pop(0))
            self._running.bring(self.brought[-1])


async def test_every_result_is_there_once_whoever_is_killed(plant: Database, plant_name: str, tmp_path: Path) -> None:
    url = server_url(plant_name)
    _write_short_line(tmp_path / "short.yaml")
    async with (
        running_plant(plant, url, tmp_path, speed=1000, map_file=tmp_path / "short.yaml", warm=True) as running,
        watching(running, url) as watch,
    ):
        supply = Supply(running, await running.stock("K", PACKS))
        await running.inspect("CELL-K")
        supply.refill()
        began = time.monotonic()
        kills, phases = await _kill(running, watch, supply)
        killing_s = time.monotonic() - began
        await running.until(lambda: len(supply.packs_finished()) == len(supply.brought), "every pack to be finished")
        cycles = await _compare(watch, supply)
        await _values_are_those_measured(plant, supply.brought)
        await _nothing_is_amiss(plant, running)
    print(f"{dict(kills)} kills in {killing_s:.1f} s, {cycles} cycles; stations stopped by them: {dict(phases)}")
    assert kills == {"gateway": KILLS, "mes": KILLS}
    assert all(phases[kind] for kind in HIT), phases


def _write_short_line(path: Path) -> None:
    """Map a part of the demo's line; without what a gateway would spend seconds on: heartbeats, encrypting."""
    line = load_map(Path(plc_adapters.simulated.__file__).parent / "gc1.yaml")
    kept = [one for one in line.stations if operation_of(one.code) in ("010", *STEPS)]
    silent = [one.model_copy(update={"words": {"Heartbeat": None}, "security": "none"}) for one in kept]
    write_map(path, line.model_copy(update={"stations": silent}))


async def _kill(running: Plant, watch: Watch, supply: Supply) -> tuple[Counter[str], Counter[str]]:
    """Kill at seeded moments, and start again at once; the kills of each, and where they stopped the stations."""
    chance = random.Random(SEED)
    programs = {"gateway": running.gateway, "mes": running.mes}
    rounds = [["gateway", "mes"]] * AT_ONCE + [["gateway"], ["mes"]] * (KILLS - AT_ONCE)
    chance.shuffle(rounds)
    kills: Counter[str] = Counter()
    phases: Counter[str] = Counter()
    for names in rounds:
        supply.refill()
        await _until_committed(running, watch, chance.choice(["permit", "cycle"]), chance.randint(1, 6))
        await asyncio.sleep(chance.choice([0, chance.uniform(0, 0.06)]))
        for name in chance.sample(names, len(names)):
            _kill_and_start(programs[name])
            kills[name] += 1
        found = await watch.phases()
        assert found["idle"] < len(watch.stations), f"no cycle was under way at kill {kills}"
        phases += found
    return kills, phases


async def _until_committed(running: Plant, watch: Watch, table: str, count: int) -> None:
    """Wait until both have got over the last kill, and some more permits or cycles are committed."""
    before = await watch.seen()

    async def is_newer() -> bool:
        return bool((await watch.seen())[table] >= (before[table] or 0) + count)

    await running.until(is_newer, f"{count} more of {table} after a kill", every_s=0.004)


def _kill_and_start(program: Program) -> None:
    assert program.is_running()
    program.kill()
    program.start()


async def _compare(watch: Watch, supply: Supply) -> int:
    """Compare what each PLC counted with what is recorded; the number of cycles."""
    rows = await watch.connection.fetch("SELECT s.code, c.cycle FROM cycle c JOIN station s ON s.id = c.station_id")
    permits = await watch.connection.fetch("SELECT s.code, p.cycle FROM permit p JOIN station s ON s.id = p.station_id")
    recorded, permitted = (Counter((row["code"], row["cycle"]) for row in found) for found in (rows, permits))
    counters = await watch.counters()
    assert {one.phase for one in counters.values()} == {"idle"}
    assert recorded == Counter(
        (code, f"{one.epoch}-{seq}") for code, one in counters.items() for seq in range(1, one.done + 1)
    )
    assert permitted == recorded
    done = {code: one.done for code, one in counters.items()}
    assert done == dict.fromkeys(done, len(supply.brought)) | {"GC1-010": 1}
    once = dict.fromkeys(STEPS, 1)
    assert all((one["verdict"], one["attempts"]) == ("passed", once) for one in supply.packs_finished())
    return len(rows)


async def _values_are_those_measured(database: Database, jobs: list[dict[str, Any]]) -> None:
    products = load_products([path for path in DEMO_PLANT if path.name.startswith("gc48")])
    process = Process(1, rates_with("none"))
    for said in jobs:
        job = PackJob.model_validate(said)
        for operation, product in products.route(job.product):
            if operation not in STEPS:
                continue
            serial = job.pack if product.part == job.product else job.module
            measured, _, _ = process.measure(Work(operation, serial, 1, job), product.steps[operation])
            async with database.reading() as session:
                recorded = [c for c in (await history(session, serial)).cycles if c.operation == operation]
            assert [cycle.values for cycle in recorded] == [measured], (operation, serial)


async def _nothing_is_amiss(database: Database, running: Plant) -> None:
    async with database.reading() as session:
        assert not any((await audit(session)).values())
        for table in ("finding", "hold"):
            assert (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0
        refused = "SELECT count(*) FROM permit WHERE NOT granted"
        assert (await session.execute(text(refused))).scalar_one() == 0
    assert not list(running.dead_letters.glob("*.json"))
    for log in running.folder.glob("*.log"):
        assert '"level": "error"' not in log.read_text(), running.logs()
