"""`mes bench pack`: GC48-105 packs through the API, all stations, one and eight streams at once; counted exactly."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx

from mes import clock
from mes.bench.load import Connection
from mes.bench.plant import ACTOR, BenchPlant, bench_plant, scratch_server, serving
from mes.genealogy.trace import trace
from mes.orders.queries import find_orders
from mes.plan.service import apply_files
from mes.records.audit import audit
from mes.records.queries import history
from mes.stock import Stock

MODULE_STATIONS = ("020", "030", "040", "050", "060", "070", "080", "090")
PACK_STATIONS = ("100", "110", "120", "130", "140", "150", "160", "170", "180")
RAMP = [n / 10 for n in range(200)]  # points of each curve
AT = {"started_at": clock.iso_now(), "ended_at": clock.iso_now()}


@dataclass
class Run:
    """What one run of some streams did."""

    packs: int
    requests: int = 0
    seconds: float = 0
    cpu_s: float = 0
    sent: dict[str, dict[str, list[Any]]] = field(default_factory=dict)  # serial -> operation.characteristic -> values
    wrong: list[str] = field(default_factory=list)


def measure_packs(packs: int, streams: int, workers: int) -> tuple[Run, Run]:
    """Build some packs one after the other, then twice as many a stream in streams at once; check each to the unit."""
    with scratch_server() as server:
        return asyncio.run(_measure(server, packs, streams, workers))


async def _measure(server: Any, packs: int, streams: int, workers: int) -> tuple[Run, Run]:
    async with bench_plant(server) as plant:
        demo_plant = Path(str(files("mes"))) / "demo_plant"
        await apply_files(plant.database, sorted(demo_plant.glob("*.yaml")), ACTOR)
        async with serving(plant, workers):
            await _run(plant, "WARM", 1, 1)
            single = await _run(plant, "ONE", packs, 1)
            return single, await _run(plant, "MANY", streams * 2, streams)


async def _run(plant: BenchPlant, name: str, packs: int, streams: int) -> Run:
    headers = {"Authorization": f"Bearer {plant.key}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{plant.port}", headers=headers, timeout=60) as client:
        stock = Stock(client, name, random.Random(packs))  # noqa: S311
        jobs = await stock.receive(packs)
        serials = await stock.order(packs)
    work = list(zip(serials["M16S7P"], serials["GC48-105"], jobs, strict=True))
    run = Run(packs)
    async with plant.connection() as connection:
        for lot in stock.cell_lots:
            await _step(connection, run, "010", lot, {}, None)
    before, begun = plant.server_cpu_s(), time.perf_counter()
    queue = iter(work)

    async def stream() -> None:
        async with plant.connection() as connection:
            for module, pack, job in queue:
                await _build(connection, run, module, pack, job)

    await asyncio.gather(*(stream() for _ in range(streams)))
    run.seconds = time.perf_counter() - begun
    run.cpu_s = plant.server_cpu_s() - before
    run.wrong = await _compare(plant, stock, run, work)
    return run


async def _build(connection: Connection, run: Run, module: str, pack: str, job: dict[str, Any]) -> None:
    for operation in MODULE_STATIONS:
        await _step(connection, run, operation, module, job, None)
    for operation in PACK_STATIONS:
        await _step(connection, run, operation, pack, job, module)


async def _step(
    connection: Connection, run: Run, operation: str, serial: str, job: dict[str, Any], module: str | None
) -> None:
    head = {"station": f"GC1-{operation}", "cycle": f"{serial}-{operation}", "asker": "bench", "serial": serial}
    permit = await connection.post("/api/station/permit", head)
    if not permit["granted"]:
        raise RuntimeError(f"{serial} was refused at {operation}: {permit['refusals']}")
    values = {c["name"]: _values(c, serial) for c in permit["characteristics"] if c["kind"] != "curve"}
    components: list[dict[str, Any]] = []
    lots: list[dict[str, str]] = []
    for item in permit["components"]:
        part = item["part"]
        if item["trace"] == "lot":
            lots.append({"lot": job["lots"][part], "quantity": str(item["quantity"])})
            continue
        cells = [cell["serial"] for cell in job["cells"]]
        fitted = cells if part == "CELL-LFP-15" else [job["serials"].get(part, module)]
        components += [{"part": part, "serial": one, "position": n} for n, one in enumerate(fitted, start=1)]
    curves = [
        {"characteristic": c["name"], "ordinal": n, "x": RAMP, "y": RAMP}
        for c in permit["characteristics"]
        if c["kind"] == "curve"
        for n in range(1, c["count"] + 1)
    ]
    body = head | AT | {"verdict": "passed", "values": values, "curves": curves}
    body |= {"components": components, "lots": lots}
    answer = await connection.post("/api/station/report", body)
    run.requests += 2
    run.sent.setdefault(serial, {}).update({f"{operation}.{name}": sent for name, sent in values.items()})
    if answer["verdict"] != "passed" or answer["findings"]:
        raise RuntimeError(f"{serial} at {operation}: {json.dumps(answer)[:500]}")


def _values(characteristic: dict[str, Any], serial: str) -> list[Any]:
    """Good values, each of its own, so that one stored in another's place is found."""
    count, lower, upper = characteristic["count"], characteristic["lower"], characteristic["upper"]
    if characteristic["kind"] == "text":
        return [characteristic["expected"] or f"{serial}.{n}" for n in range(count)]
    if characteristic["kind"] == "boolean":
        return [True] * count
    if lower is None and upper is None:
        lower, upper = 0.0, 1.0
    lower = upper - 1 if lower is None else lower
    upper = lower + 1 if upper is None else upper
    return [lower + (upper - lower) * (n + 1) / (count + 1) for n in range(count)]


async def _compare(plant: BenchPlant, stock: Stock, run: Run, work: Sequence[tuple[str, str, Any]]) -> list[str]:
    """Everything that differs between what was sent and what is recorded."""
    wrong: list[str] = []
    async with plant.database.reading() as session:
        wrong += [f"{law}: {count}" for law, count in (await audit(session)).items() if count]
        orders = await find_orders(session, f"WO-{stock.run}")
        if [(o.finished, o.state) for o in orders] != [(run.packs, "completed")]:
            wrong.append(f"order: {orders}")
        for module, pack, job in work:
            traced = await trace(session, pack)
            inside = {node.serial: node for node in traced.tree.inside if node.serial}
            cells = {n.position: n.serial for n in inside[module].inside if n.part == "CELL-LFP-15"}
            if cells != {n: cell["serial"] for n, cell in enumerate(job["cells"], start=1)}:
                wrong.append(f"{module}: cells at other positions than were sent")
            if traced.tree.gaps or inside[module].gaps:
                wrong.append(f"{pack}: gaps {traced.tree.gaps} {inside[module].gaps}")
            for serial in (module, pack):
                recorded = {
                    f"{cycle.operation}.{name}": values
                    for cycle in (await history(session, serial)).cycles
                    for name, values in cycle.values.items()
                }
                if recorded != run.sent[serial]:
                    wrong.append(f"{serial}: values differ from those sent")
    return wrong
