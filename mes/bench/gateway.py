"""`mes bench gateway`: from a PLC's counter to its answer, through gateway and MES, beside a bare echo."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from mes.bench.plant import ACTOR, BenchPlant, bench_plant, scratch_server, serving
from mes.orders.messages import OrderEvent, OrderRequest
from mes.orders.queries import serials
from mes.orders.service import create_order, move_order
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan

PART, WARM, SOAK_STATIONS, SOAK_PARTS = "BENCH", 2, 50, 5
ORDER = 10_000  # units of an order
WAYS = ("gateway", "echo")


@dataclass(frozen=True)
class Load:
    """How many stations, how often each asks (0: at once again), how many handshakes each, in how many parts."""

    stations: int
    pace_s: float
    each: int
    parts: int = 1
    warm: int = WARM

    @property
    def handshakes(self) -> int:
        """All that it takes units for."""
        return self.stations * (self.warm + self.each * self.parts)


def soak_of(handshakes: int) -> Load | None:
    """So many handshakes of 50 stations, as fast as they go, after a warm-up of a tenth as many."""
    each = handshakes // (SOAK_STATIONS * SOAK_PARTS)
    return Load(SOAK_STATIONS, 0, each, SOAK_PARTS, max(WARM, each // 2)) if each else None


@dataclass(frozen=True)
class Answered:
    """One part: seconds from counter to answer, the answering process's CPU, and its memory at the end."""

    handshakes: int
    wrong: int
    permits_s: list[float]
    reports_s: list[float]
    cpu_ms: float
    rss_mb: float

    def permit_ms(self, percent: float) -> float:
        """The latency that this share of the permits stayed within."""
        ordered = sorted(self.permits_s)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


@dataclass
class GatewayFigures:
    """What was measured: rounds by number of stations, one for each way to answer; and the soak's parts."""

    rounds: dict[int, list[dict[str, Answered]]]
    soak: list[Answered]


def measure_gateway(loads: list[Load], rounds: int, soak: Load | None, security: str, workers: int) -> GatewayFigures:
    """Measure every load for some rounds, in turn with the echo; then the soak. One run, one server."""
    with scratch_server() as server, TemporaryDirectory() as folder:
        return asyncio.run(_measure(server, Path(folder), loads, rounds, soak, security, workers))


async def _measure(
    server: Any, folder: Path, loads: list[Load], rounds: int, soak: Load | None, security: str, workers: int
) -> GatewayFigures:
    figures = GatewayFigures({load.stations: [] for load in loads}, [])
    async with bench_plant(server) as plant:
        units = iter(
            await _fill(plant, rounds * sum(load.handshakes for load in loads) + (soak.handshakes if soak else 0))
        )
        async with serving(plant, workers):
            for _ in range(rounds):
                for load in loads:
                    run = {way: (await _answered(plant, folder, load, way, units, security))[0] for way in WAYS}
                    figures.rounds[load.stations].append(run)
            if soak:
                figures.soak = await _answered(plant, folder, soak, "gateway", units, security)
    return figures


def code(n: int) -> str:
    """Name a station."""
    return f"B-{n:03}"


def plant_of(stations: int) -> dict[str, Any]:
    """A plant whose stations all do the same step: ten characteristics of six values."""
    named = [{"code": code(n), "name": "Bench", "operations": ["010"]} for n in range(stations)]
    measured = [{"name": f"c{n:02}", "unit": "V", "count": 6, "min": 0.0, "max": 10.0} for n in range(10)]
    after = {"operation": "020", "name": "Step after it", "characteristics": [{"name": "x", "unit": "V"}]}
    return {
        "sites": [{"code": "B", "name": "Bench", "lines": [{"code": "B1", "name": "Bench", "stations": named}]}],
        "parts": [
            {"number": PART, "name": "Bench unit", "trace": "serial", "unit": "pcs", "serial_pattern": "B{number:08}"}
        ],
        "products": [
            {
                "part": PART,
                "bom": [],
                "route": [{"operation": "010", "name": "Measured step", "characteristics": measured}, after],
            }
        ],
    }


async def _fill(plant: BenchPlant, count: int) -> list[str]:
    """Order the units that all rounds will use."""
    await plant.database.transact(apply_plan, PlantFiles.model_validate(plant_of(200)), ACTOR)
    units: list[str] = []
    for n in range(-(-count // ORDER)):
        order = OrderRequest(order=f"B-{n}", part=PART, quantity=min(ORDER, count - n * ORDER))
        await plant.database.transact(create_order, order, ACTOR)
        for event in ("release", "start"):
            await plant.database.transact(move_order, OrderEvent(order=order.order, event=event), ACTOR)
        async with plant.database.reading() as session:
            units += (await serials(session, order.order)).serials[PART]
    return units


async def _answered(
    plant: BenchPlant, folder: Path, load: Load, way: str, units: Iterator[str], security: str
) -> list[Answered]:
    """Have stations play a load, answered one way; what each part took. The echo's units stay unknown to the MES."""
    resolved, pki, names = folder / "map.yaml", folder / "pki", folder / "serials"
    resolved.unlink(missing_ok=True)
    asked = [next(units) if way == "gateway" else f"E{n}" for n in range(load.handshakes)]
    names.write_text("\n".join(asked))
    play: list[object] = [
        "plc_adapters.simulated.bench",
        "stations",
        "--codes",
        ",".join(map(code, range(load.stations))),
    ]
    play += ["--serials", names, "--resolved", resolved, "--pki", pki, "--security", security]
    play += ["--pace-s", load.pace_s, "--warm", load.warm, "--each", load.each, "--parts", load.parts]
    gateway: list[object] = ["plc_adapters", "--map", resolved, "--pki", pki, "--spool", folder / "spool.sqlite"]
    gateway += ["--dead-letters", folder / "dead-letters"]
    echo: list[object] = ["plc_adapters.simulated.bench", "echo", "--map", resolved, "--pki", pki]
    async with _process(plant, play) as stations:
        while not resolved.exists():
            if stations.returncode is not None:
                raise RuntimeError("the bench's stations did not start")
            await asyncio.sleep(0.05)
        async with _process(plant, gateway if way == "gateway" else echo) as answering:
            parts = asyncio.create_task(_parts(stations, psutil.Process(answering.pid), load))
            ended = asyncio.create_task(answering.wait())
            done, _ = await asyncio.wait((parts, ended), return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            if parts not in done:
                parts.cancel()
                raise RuntimeError(f"the {way} ended by itself")
            return parts.result()


async def _parts(stations: asyncio.subprocess.Process, answering: psutil.Process, load: Load) -> list[Answered]:
    assert stations.stdout is not None  # noqa: S101  it was asked for
    found, cpu_s = [], 0.0
    for n in range(load.parts + 1):
        line = await stations.stdout.readline()
        if not line:
            raise RuntimeError("the bench's stations ended by themselves")
        used_s, memory = sum(answering.cpu_times()[:2]), answering.memory_info().rss / 2**20
        if n:
            told = json.loads(line)
            cpu_ms = 1000 * (used_s - cpu_s) / told["handshakes"]
            found.append(Answered(told["handshakes"], told["wrong"], told["permit"], told["report"], cpu_ms, memory))
        cpu_s = used_s
    return found


@asynccontextmanager
async def _process(plant: BenchPlant, module: list[object]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a module; killed hard, this leaves the stations an end of their input."""
    environment = os.environ | {
        "MES_URL": f"http://127.0.0.1:{plant.port}",
        "MES_KEY": plant.key,
        "MES_LOG_LEVEL": "warning",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *map(str, module)),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def figures_of(measured: GatewayFigures) -> dict[str, float]:
    """The figures by name: medians of the rounds."""
    figures: dict[str, float] = {}
    for stations, rounds in measured.rounds.items():
        for percent in (50, 99):
            for way, name in (("gateway", "permit"), ("echo", "echo")):
                figures[f"{name}_p{percent}_ms_{stations}"] = median(run[way].permit_ms(percent) for run in rounds)
        over = (run["gateway"].permit_ms(99) - run["echo"].permit_ms(99) for run in rounds)
        figures[f"p99_over_echo_ms_{stations}"] = median(over)
        figures[f"cpu_ms_per_handshake_{stations}"] = median(run["gateway"].cpu_ms for run in rounds)
        figures[f"echo_cpu_ms_per_handshake_{stations}"] = median(run["echo"].cpu_ms for run in rounds)
    every = [one for rounds in measured.rounds.values() for run in rounds for one in run.values()] + measured.soak
    if measured.soak:
        figures["soak_handshakes"] = sum(one.handshakes for one in measured.soak)
        figures["soak_cpu_ms_per_handshake"] = median(one.cpu_ms for one in measured.soak)
        figures["soak_rss_mb"] = measured.soak[-1].rss_mb
        figures["soak_growth_mb"] = measured.soak[-1].rss_mb - measured.soak[0].rss_mb
    figures["wrong"] = sum(one.wrong for one in every)
    return figures
