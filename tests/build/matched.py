"""A plant that tests, grades and matches its cells: modules of 4 groups of 3, fitted from kits."""

import io
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from mes import clock
from mes.cells.grading import grade_lot, record_tests
from mes.cells.messages import CellReading, GradeRequest, GradingAnswer, TestReport
from mes.db import Database
from mes.kits.messages import KitContent, MatchAnswer, MatchRequest
from mes.kits.queries import read_kit
from mes.kits.service import match_cells
from mes.orders.messages import OrderEvent, OrderRequest
from mes.orders.queries import serials
from mes.orders.service import create_order, move_order
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from tests.build import line as build
from tests.build.small import step

INCOMING: dict[str, Any] = {
    "readings": [
        {"name": "ocv_v", "min": 3.23, "max": 3.3, "from_median": 0.005, "gauge_error": 0.004},
        {"name": "acir_mohm", "min": 1.8, "max": 2.6, "from_median_pct": 8.0},
    ],
    "visual": True,
    "k_value": {"max_mv_h": 0.03},
    "capacity_bin_ah": 0.5,
    "acir_bin_mohm": 1.0,
}
MATCHING: dict[str, Any] = {
    "part": "CELL",
    "acir_spread_pct": 12.0,
    "group_spread_pct": 1.0,
    "capacity_spread_pct": 5.0,
}
START = clock.now() - timedelta(days=3)


def plant(incoming: dict[str, Any] | None = None, matching: dict[str, Any] | None = None, **insert: Any) -> PlantFiles:
    """The plant's files, with other rules where they are given; `insert`: conditions of the step that fits cells."""
    line = {"code": "L", "name": "Line", "stations": []}
    line["stations"] = [{"code": f"ST-{op}", "name": op, "operations": [op]} for op in ("05", "10", "20", "30", "40")]
    columns = {"ocv_v": "OCV", "acir_mohm": "ACIR", "capacity_ah": "Ah", "carton": "Carton", "serial": "Serial"}
    cell: dict[str, Any] = {"part": "CELL", "route": [step("05", documents=["un383_test_summary"])]}
    module = {
        "part": "MOD",
        "bom": [{"part": "CELL", "operation": "10", "quantity": 12, "groups": 4}],
        "matching": MATCHING | (matching or {}),
        "route": [step("10", **({"from_kit": True} | insert)), step("20"), step("25", rework_of=["20"], refits=["10"])],
    }
    line["stations"].append({"code": "ST-25", "name": "25", "operations": ["25"]})
    pack = {
        "part": "PACK",
        "bom": [{"part": "MOD", "operation": "30", "quantity": 1}],
        "route": [step("30"), step("40", ships=True, documents=["un383_test_summary", "certificate"])],
    }
    return PlantFiles.model_validate(
        {
            "sites": [{"code": "S", "name": "Site", "lines": [line]}],
            "parts": [
                {
                    "number": "CELL",
                    "name": "Cell",
                    "trace": "serial",
                    "receiving": {field: {"column": heading} for field, heading in columns.items()},
                },
                {"number": "GLUE", "name": "Glue", "trace": "lot", "unit": "kg"},
                {"number": "MOD", "name": "Module", "trace": "serial", "serial_pattern": "M{number:05}"},
                {"number": "PACK", "name": "Pack", "trace": "serial", "serial_pattern": "P{number:05}"},
            ],
            "products": [cell | {"incoming": INCOMING | (incoming or {})}, module, pack],
        }
    )


def document(kind: str = "un383_test_summary") -> dict[str, str]:
    """A document of a lot."""
    return {"kind": kind, "file_name": f"{kind}.pdf", "content": "JVBERi0="}


async def receive(database: Database, lot: str, count: int, carton_of: int = 10, seed: int = 1) -> list[str]:
    """Receive cells with their certificate, and pass receiving inspection; their serials."""
    chance, out = random.Random(seed), io.StringIO()
    out.write("Serial,Carton,OCV,ACIR,Ah\n")
    names = [f"{lot}-{n:04}" for n in range(1, count + 1)]
    for n, name in enumerate(names):
        values = f"3.265,{chance.gauss(2.2, 0.04):.3f},{chance.gauss(15.25, 0.06):.3f}"
        out.write(f"{name},{lot}-B{n // carton_of + 1},{values}\n")
    await build.receive_file(database, lot, "CELL", out.getvalue().encode(), documents=[document()])
    cycle = f"receive-{lot}"
    assert (await build.permit(database, "ST-05", lot, cycle)).granted
    await build.report(database, "ST-05", lot, cycle=cycle, values={"ok": [True]})
    return names


def reading(serial: str, hours: float = 0, **more: Any) -> CellReading:
    """A reading of a good cell, so many hours after the first."""
    at = START + timedelta(hours=hours)
    good: dict[str, Any] = {"ocv_v": 3.265, "acir_mohm": 2.2, "visual_ok": True, "temperature_c": 25.0}
    return CellReading(**({"serial": serial, "tested_at": at} | good | more))


async def test(database: Database, readings: Sequence[CellReading]) -> None:
    """Record readings."""
    await database.transact(record_tests, TestReport(source="ST-020", readings=list(readings)), build.ACTOR)


async def grade(database: Database, lot: str) -> GradingAnswer:
    """Grade a lot."""
    return await database.transact(grade_lot, GradeRequest(lot=lot), build.ACTOR)


async def graded(database: Database, lot: str = "L1", count: int = 60) -> list[str]:
    """Receive, test and grade cells that are all good; their serials."""
    names = await receive(database, lot, count)
    await test(database, [reading(name, hours) for name in names for hours in (0.0, 48.0)])
    answer = await grade(database, lot)
    assert (answer.graded, answer.refused) == (count, 0), answer.reasons
    return names


async def order(database: Database, quantity: int = 2, number: str = "W1") -> dict[str, list[str]]:
    """Create, release and start an order for packs; the serials issued."""
    await database.transact(create_order, OrderRequest(order=number, part="PACK", quantity=quantity), build.ACTOR)
    await database.transact(move_order, OrderEvent(order=number, event="release"), build.ACTOR)
    async with database.reading() as session:
        return (await serials(session, number)).serials


async def match(database: Database, **said: Any) -> MatchAnswer:
    """Match."""
    return await database.transact(match_cells, MatchRequest(**said), build.ACTOR)


async def kit(database: Database, name: str) -> KitContent:
    """Read a kit."""
    async with database.reading() as session:
        return await read_kit(session, name)


async def ready(database: Database, files: PlantFiles | None = None, quantity: int = 2) -> dict[str, list[str]]:
    """Apply the plant, grade 60 cells, order packs, and make a kit for each of their modules; the serials issued."""
    await database.transact(apply_plan, files or plant(), build.ACTOR)
    await graded(database)
    issued = await order(database, quantity)
    made = await match(database, order="W1")
    assert [one.unit for one in made.kits] == issued["MOD"], made
    return issued


async def order_modules(database: Database, number: str = "W1") -> list[str]:
    """The modules of an order."""
    async with database.reading() as session:
        return (await serials(session, number)).serials["MOD"]
