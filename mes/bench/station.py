"""`mes bench station`: reports and permits a second over HTTP, against the best hand-written SQL on the same server."""

import asyncio
import io
import json
import time
from dataclasses import dataclass
from typing import Any

import asyncpg

from mes import clock
from mes.bench.by_hand import CALL, FUNCTION
from mes.bench.load import Measured, drive
from mes.bench.plant import ACTOR, BenchPlant, bench_plant, scratch_server, serving
from mes.cells.service import read_receipt, receive_units
from mes.orders.messages import OrderEvent, OrderRequest
from mes.orders.queries import serials
from mes.orders.service import create_order, move_order
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan

VALUES, COMPONENTS, CONNECTIONS = 60, 8, 16
STATION, PART, SUB = "B-010", "BENCH", "BENCH-SUB"
PLANT: dict[str, Any] = {
    "sites": [
        {
            "code": "B",
            "name": "Bench",
            "lines": [
                {"code": "B1", "name": "Bench", "stations": [{"code": STATION, "name": "Bench", "operations": ["010"]}]}
            ],
        }
    ],
    "parts": [
        {"number": PART, "name": "Bench unit", "trace": "serial", "unit": "pcs", "serial_pattern": "B{number:08}"},
        {
            "number": SUB,
            "name": "Bench component",
            "trace": "serial",
            "unit": "pcs",
            "receiving": {"serial": {"column": "Serial"}},
        },
    ],
    "products": [
        {
            "part": PART,
            "bom": [{"part": SUB, "operation": "010", "quantity": COMPONENTS}],
            "route": [
                {
                    "operation": "010",
                    "name": "Measured step",
                    "characteristics": [
                        {"name": f"c{n:02}", "unit": "V", "count": 6, "min": 0.0, "max": 10.0} for n in range(10)
                    ],
                },
                {"operation": "020", "name": "Step after it", "characteristics": [{"name": "x", "unit": "V"}]},
            ],
        }
    ],
}


@dataclass(frozen=True)
class StationFigures:
    """What one run measured."""

    permits: Measured
    reports: Measured
    by_hand: Measured
    cpu_ms_per_report: float


def measure_station(reports: int, rounds: int, workers: int) -> list[StationFigures]:
    """Measure some rounds of so many reports each, in one run, on one server."""
    with scratch_server() as server:
        return asyncio.run(_measure(server, reports, rounds, workers))


async def _measure(server: Any, reports: int, rounds: int, workers: int) -> list[StationFigures]:
    warmup = max(reports // 5, CONNECTIONS)
    async with bench_plant(server) as plant:
        units, components = await fill(plant, warmup * 2 + reports * 2 * rounds)
        hand = await asyncpg.connect(plant.dsn)
        await hand.execute(FUNCTION)
        await hand.close()
        async with serving(plant, workers):
            await _round(plant, units, components, warmup)
            return [await _round(plant, units, components, reports) for _ in range(rounds)]


async def fill(plant: BenchPlant, count: int) -> tuple[list[str], list[str]]:
    """Order the units and receive the components that all rounds will use; their serials."""
    await plant.database.transact(apply_plan, PlantFiles.model_validate(PLANT), ACTOR)
    await plant.database.transact(create_order, OrderRequest(order="B-1", part=PART, quantity=count), ACTOR)
    await plant.database.transact(move_order, OrderEvent(order="B-1", event="release"), ACTOR)
    await plant.database.transact(move_order, OrderEvent(order="B-1", event="start"), ACTOR)
    async with plant.database.reading() as session:
        units = (await serials(session, "B-1")).serials[PART]
    components = [f"S{n:08}" for n in range(count * COMPONENTS)]
    table = io.StringIO()
    table.write("Serial\n" + "\n".join(components) + "\n")
    receipt = {"lot": "B-LOT", "part": SUB, "supplier": "Bench", "supplier_lot": "1", "country": "US"}
    message = await read_receipt(plant.database, receipt, table.getvalue().encode(), "bench.csv")
    await plant.database.transact(receive_units, message, ACTOR)
    async with plant.database.engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        if driver is not None:
            await driver.execute("RESET ROLE; ANALYZE")
    return units, components


async def _round(plant: BenchPlant, units: list[str], components: list[str], count: int) -> StationFigures:
    mine, theirs = [units.pop() for _ in range(count)], [units.pop() for _ in range(count)]
    permits = await drive_permits(plant, mine + theirs)
    before = plant.server_cpu_s()
    reports = await drive_reports(plant, mine, components)
    cpu_s = plant.server_cpu_s() - before
    by_hand = await _by_hand(plant, theirs, components)
    return StationFigures(permits, reports, by_hand, 1000 * cpu_s / count)


async def drive_permits(plant: BenchPlant, units: list[str]) -> Measured:
    """Ask for a permit for each unit, over all connections."""
    bodies = [json.dumps(_head(serial)).encode() for serial in units]
    return await drive(plant.connection, "/api/station/permit", bodies, CONNECTIONS)


async def drive_reports(plant: BenchPlant, units: list[str], components: list[str]) -> Measured:
    """Report a result for each unit, over all connections; its components are taken off the list."""
    bodies = [json.dumps(_report(serial, _take(components))).encode() for serial in units]
    return await drive(plant.connection, "/api/station/report", bodies, CONNECTIONS)


def _take(components: list[str]) -> list[str]:
    return [components.pop() for _ in range(COMPONENTS)]


def _head(serial: str) -> dict[str, Any]:
    return {"station": STATION, "cycle": f"c-{serial}", "asker": "bench", "serial": serial}


def _report(serial: str, fitted: list[str]) -> dict[str, Any]:
    return _head(serial) | {
        "verdict": "passed",
        "started_at": clock.iso_now(),
        "ended_at": clock.iso_now(),
        "values": {f"c{n:02}": [3.2 + n / 100 + v / 1000 for v in range(6)] for n in range(10)},
        "components": [{"part": SUB, "serial": s, "position": n} for n, s in enumerate(fitted, start=1)],
    }


async def _by_hand(plant: BenchPlant, units: list[str], components: list[str]) -> Measured:
    numbers = [3.2 + n / 100 + v / 1000 for n in range(10) for v in range(6)]
    calls = [
        (STATION, f"c-{serial}", serial, numbers, _take(components), SUB, json.dumps(_head(serial))) for serial in units
    ]
    queue, latencies = iter(calls), []

    async def run(connection: asyncpg.Connection) -> None:
        statement = await connection.prepare(CALL)
        for call in queue:
            begun = time.perf_counter()
            await statement.fetchval(*call)
            latencies.append(time.perf_counter() - begun)

    pool = [await asyncpg.connect(plant.dsn) for _ in range(CONNECTIONS)]
    try:
        begun = time.perf_counter()
        await asyncio.gather(*map(run, pool))
        return Measured(len(calls), time.perf_counter() - begun, latencies)
    finally:
        for connection in pool:
            await connection.close()
