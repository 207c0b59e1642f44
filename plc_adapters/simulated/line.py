"""The simulated line: units move from station to station, each at its own pace."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import structlog
import yaml

from plc_adapters.mapping import LineMap, StationMap
from plc_adapters.opcua.pki import Own
from plc_adapters.simulated.jobs import Job, PackJob, follow
from plc_adapters.simulated.plc_server import PlcServer, plc_server, warm_up
from plc_adapters.simulated.process import Process
from plc_adapters.simulated.products import Products
from plc_adapters.simulated.station import Station, Step, Unit

log = structlog.get_logger()

# Seconds of real time a unit. 010 is a lot; 020 and 030 are 112 cells at 1.2 and 1 s. 150 takes 4 hours in one of 24
# channels, so a pack leaves every 600 s; 160 rests a day or more beside the line, so it runs at the line's takt.
_MODULE_S = {"020": 134, "030": 112, "040": 150, "050": 120, "060": 120, "070": 180, "080": 200, "090": 180}
_PACK_S = {"100": 150, "110": 180, "120": 240, "130": 100, "140": 60, "150": 600, "160": 360, "170": 120, "180": 120}
CYCLE_S = {"010": 1800} | _MODULE_S | _PACK_S
ASK_AGAIN_S = 300.0
ASK_AGAIN_AT_LEAST_S = 1.0


class Tells(Protocol):
    """Who is told of finished units."""

    def __call__(self, finished: dict[str, Any]) -> None:
        """Take one finished unit, passed or failed."""
        ...


@dataclass(frozen=True)
class Setup:
    """How a line is to run."""

    line: LineMap
    products: Products
    process: Process
    tools: dict[str, str]
    speed: float
    epoch: int
    beat_s: float = 1.0
    identity: Own | None = None  # one key pair for the whole line: making one takes a while


class Line:
    """Stations by operation, and the way of every unit through them."""

    def __init__(self, setup: Setup, servers: dict[str, PlcServer], tell: Tells) -> None:
        self._products = setup.products
        self._tell = tell
        self._beat_s = setup.beat_s
        self._at: dict[int, int] = {}
        self.stations = {
            operation_of(code): Station(
                code,
                plc,
                setup.process,
                cycle_s=CYCLE_S.get(operation_of(code), 120) / setup.speed,
                retry_s=max(ASK_AGAIN_AT_LEAST_S, ASK_AGAIN_S / setup.speed),
                tool=setup.tools.get(code, ""),
                epoch=setup.epoch,
            )
            for code, plc in servers.items()
        }

    async def run(self, jobs: AsyncIterator[Job]) -> None:
        """Run every station, and bring in the jobs as they come, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for station in self.stations.values():
                tasks.create_task(station.beat(self._beat_s))
                tasks.create_task(station.run(self._move_on, self._give_up), name=station.code)
            async for job in jobs:
                self.bring(job)

    def bring(self, job: Job) -> None:
        """Start a job at its first station."""
        serial, pack = (job.pack, job) if isinstance(job, PackJob) else (job.lot, None)
        if pack is not None and pack.product not in self._products.by_part:
            log.error("job_of_unknown_product", pack=pack.pack, product=pack.product)
            return
        unit = Unit(serial, pack, began_at=asyncio.get_running_loop().time())
        self._at[id(unit)] = -1
        self._move_on(unit)

    def _steps(self, unit: Unit) -> list[Step]:
        """The steps of a unit that have a station on this line."""
        job = unit.job
        if job is None:
            lot = self._products.receiving
            return [Step("010", lot, unit.serial)] if lot and "010" in self.stations else []
        return [
            Step(operation, product, job.pack if product.part == job.product else job.module)
            for operation, product in self._products.route(job.product)
            if operation in self.stations
        ]

    def _move_on(self, unit: Unit) -> None:
        steps = self._steps(unit)
        at = self._at[id(unit)] = self._at[id(unit)] + 1
        if at < len(steps):
            self.stations[steps[at].operation].queue.put_nowait((unit, steps[at]))
        else:
            self._finish(unit, {"verdict": "passed"})

    def _give_up(self, unit: Unit, reason: str) -> None:
        log.warning("unit_failed", serial=unit.serial, reason=reason)
        self._finish(unit, {"verdict": "failed", "reason": reason})

    def _finish(self, unit: Unit, said: dict[str, Any]) -> None:
        del self._at[id(unit)]
        seconds = round(asyncio.get_running_loop().time() - unit.began_at, 3)
        name = "pack" if unit.job else "lot"
        self._tell({name: unit.serial, **said, "seconds": seconds, "attempts": unit.done})


@asynccontextmanager
async def served(setup: Setup) -> AsyncIterator[dict[str, PlcServer]]:
    """Serve the words of every station while the context lasts."""
    warm_up()
    async with AsyncExitStack() as stack:
        servers = {}
        for station in setup.line.stations:
            measured = setup.products.characteristics_at(operation_of(station.code))
            kinds = {name: one.kind for name, one in measured.items()}
            servers[station.code] = await stack.enter_async_context(plc_server(station, kinds, setup.identity))
        yield servers


async def run_line(setup: Setup, jobs: Path, finished: Path | None, resolved: Path | None) -> None:
    """Play the line until cancelled; the resolved mapping is written when every station answers."""
    began = asyncio.get_running_loop().time()
    async with served(setup) as servers:
        if resolved is not None:
            write_map(resolved, setup.line.at_ports([server.port for server in servers.values()]))
        took_s = round(asyncio.get_running_loop().time() - began, 2)
        log.info("line_ready", stations=len(servers), seconds=took_s, epoch=setup.epoch)
        await Line(setup, servers, lambda said: _append(finished, said)).run(follow(jobs))


def operation_of(code: str) -> str:
    """The operation of a simulated station is the end of its code: GC1-070 does 070."""
    return code.rpartition("-")[2]


def with_free_ports(line: LineMap) -> LineMap:
    """Let the operating system choose each station's port."""
    free = [replace_port(station, 0) for station in line.stations]
    return line.model_copy(update={"stations": free})


def replace_port(station: StationMap, port: int) -> StationMap:
    """Return the station at another port."""
    head, _, _ = station.endpoint.rpartition(":")
    return station.model_copy(update={"endpoint": f"{head}:{port}"})


def write_map(path: Path, line: LineMap) -> None:
    """Write a mapping file, whole or not at all: others wait for it to appear."""
    draft = path.with_suffix(".draft")
    draft.write_text(yaml.safe_dump(line.model_dump(mode="json", exclude_defaults=True), sort_keys=False), "utf-8")
    draft.replace(path)


def first_tools(site_files: Sequence[Path]) -> dict[str, str]:
    """The first tool of each station, from the plant's files."""
    found: dict[str, str] = {}
    for path in site_files:
        for site in (yaml.safe_load(path.read_text("utf-8")) or {}).get("sites", ()):
            for line in site.get("lines", ()):
                for station in line.get("stations", ()):
                    tools = station.get("tools") or [{"code": ""}]
                    found[station["code"]] = tools[0]["code"]
    return found


def only(setup: Setup, codes: Sequence[str]) -> Setup:
    """Keep some of the stations."""
    kept = [station for station in setup.line.stations if station.code in codes]
    return replace(setup, line=setup.line.model_copy(update={"stations": kept}))


def _append(path: Path | None, said: dict[str, Any]) -> None:
    text = json.dumps(said) + "\n"
    if path is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    # One write call on an appending file: a reader never sees half a line.
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)
