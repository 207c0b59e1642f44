"""The simulation's plant: small, with a step for every kind of rule, and what lies on its shelves at first."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from mes import clock
from mes.actor import Actor, Role
from mes.cells.service import read_receipt, receive_units
from mes.db import Database
from mes.execution.checks import record_check
from mes.execution.messages import CheckReport
from mes.materials.messages import LotReceipt
from mes.materials.service import receive_lot
from mes.orders.messages import OrderEvent, OrderRequest
from mes.orders.service import create_order, move_order
from mes.people.messages import CertificateRequest
from mes.people.service import certify
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.products.messages import RecipeSpec, recipe_digest

START = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
ROOT = Actor("root", Role.ADMIN)
RECIPE = {"name": "weld", "parameters": {"power_w": 1500}}
DIGEST = recipe_digest(RecipeSpec.model_validate(RECIPE))
PROGRAM = "W7"
OLDER = "M00001"  # the module that is built to an older revision
FILE = {"serial": {"column": "Serial"}, "carton": {"column": "Carton"}, "date_code": {"column": "Date code"}}
# two stations for 10, 40 and 60, so that they race; 40, 70 and 21 share theirs with another operation
STATIONS: dict[str, list[str]] = {
    "W-05": ["05"],
    "W-10A": ["10"],
    "W-10B": ["10"],
    "W-20": ["20"],
    "W-21": ["21", "22"],
    "W-30": ["30"],
    "W-40": ["40", "41"],
    "W-40B": ["40", "41"],
    "W-50": ["50"],
    "W-60A": ["60"],
    "W-60B": ["60"],
    "W-70": ["70", "71"],
    "W-80": ["80"],
    "W-90": ["90"],
    "W-99": ["99"],
}
TOOLS = {
    "W-20": [{"code": "T-NEW", "name": "New"}, {"code": "T-OLD", "name": "Old", "calibration_due": date(2026, 1, 1)}]
}
DAILY_H = {"W-80": 10.0}
DOES: dict[str, list[str]] = {}  # operation -> the stations that do it
for _station, _operations in STATIONS.items():
    for _operation in _operations:
        DOES.setdefault(_operation, []).append(_station)


def step(operation: str, **more: Any) -> dict[str, Any]:
    """A step that measures one thing."""
    measured = [{"name": "ok", "kind": "boolean", "expected": True}]
    return {"operation": operation, "name": f"Step {operation}", "characteristics": measured} | more


MODULE: dict[str, Any] = {
    "part": "MOD",
    "bom": [
        {"part": "CELL", "operation": "10", "quantity": 4, "groups": 2, "alternates": ["CELL-B"]},
        {"part": "GLUE", "operation": "30", "quantity": 0.5},
    ],
    "recipes": [RECIPE],
    "route": [
        step("10"),
        step("20", after=["10"]),
        step("21", after=["10"]),
        step("22", instead_of="21"),
        step("30", after=["20", "21"]),
        step(
            "40",
            recipe="weld",
            reads_back=True,
            program=PROGRAM,
            attempts=2,
            first_article=True,
            clocks=[{"after": "30", "at_most_min": 120}],
        ),
        step("41", rework_of=["40"], repeats=["20"], refits=["10"], attempts=2),
        step("50", certificate="HV", persons=2, clocks=[{"after": "30", "at_least_min": 8}]),
    ],
}
PACK: dict[str, Any] = {
    "part": "PACK",
    "bom": [
        {"part": "MOD", "operation": "60", "quantity": 2},
        {"part": "BMS", "operation": "60", "quantity": 1},
        {"part": "SCREW", "operation": "80", "quantity": 8},
    ],
    "route": [
        step("60"),
        step("70"),
        step("71", rework_of=["70"], refits=["60"], repeats=["80"]),
        step("80"),
        step("90", is_complete=True, ships=True),
    ],
}
PLANT: dict[str, Any] = {
    "sites": [
        {
            "code": "S",
            "name": "Simulated",
            "lines": [
                {
                    "code": "L",
                    "name": "Line",
                    "stations": [
                        {"code": code, "name": code, "operations": does, "tools": TOOLS.get(code, [])}
                        | ({"daily_h": DAILY_H[code]} if code in DAILY_H else {})
                        for code, does in STATIONS.items()
                    ],
                }
            ],
        }
    ],
    "parts": [
        {"number": "CELL", "name": "Cell", "trace": "serial", "receiving": FILE},
        {"number": "CELL-B", "name": "Other cell", "trace": "serial", "receiving": FILE},
        {"number": "BMS", "name": "Board", "trace": "serial", "receiving": FILE},
        {"number": "GLUE", "name": "Glue", "trace": "lot", "unit": "kg", "fefo": True, "pot_life_min": 240.0},
        {"number": "SCREW", "name": "Screw", "trace": "lot"},
        {"number": "MOD", "name": "Module", "trace": "serial", "serial_pattern": "M{number:05}"},
        {"number": "PACK", "name": "Pack", "trace": "serial", "serial_pattern": "P{number:05}"},
    ],
    "products": [MODULE, PACK, {"part": "GLUE", "route": [step("05")]}],
}


def cells(lot: str, count: int) -> list[tuple[str, str, str]]:
    """The rows of a supplier's file: serial, carton, date code."""
    return [(f"{lot}-{n:02}", f"{lot}-K{(n - 1) // 4}", f"D{lot[-1]}") for n in range(1, count + 1)]


async def receive_file(
    database: Database, lot: str, part: str, rows: Sequence[tuple[str, str, str]], actor: Actor, more: dict[str, Any]
) -> Any:
    """Receive a lot of a serialised part with its file."""
    content = "Serial,Carton,Date code\n" + "".join(f"{','.join(row)}\n" for row in rows)
    receipt = {"lot": lot, "part": part, "supplier": "Acme", "supplier_lot": f"S-{lot}", "country": "CN"} | more
    message = await read_receipt(database, receipt, content.encode(), f"{lot}.csv")
    return await database.transact(receive_units, message, actor)


async def prepare(database: Database) -> None:
    """Fill the template: the plant, a module order of an older revision, lots, people, orders."""
    with clock.held(START - timedelta(hours=6)):
        older = PLANT | {"products": [MODULE | {"route": [step("10") | {"name": "Old"}, *MODULE["route"][1:]]}, PACK]}
        await database.transact(apply_plan, PlantFiles.model_validate(older), ROOT)
        await _order(database, "WO-OLD", "MOD", 1)
        await database.transact(apply_plan, PlantFiles.model_validate(PLANT), ROOT)
        for lot, part, count in (("C1", "CELL", 40), ("C2", "CELL", 32), ("B1", "CELL-B", 12), ("E1", "BMS", 8)):
            await receive_file(database, lot, part, cells(lot, count), ROOT, {"date_code": f"X{lot[-1]}"})
        for lot, part, quantity, days in (("G1", "GLUE", 4, 20), ("GX", "GLUE", 4, -3), ("G2", "GLUE", 9, 30)):
            await _lot(database, lot, part, quantity, (START + timedelta(days=days)).date())
        await _lot(database, "S1", "SCREW", 30, None)
        await _lot(database, "S2", "SCREW", 500, None)
        for number, part, quantity in (("WO-1", "PACK", 2), ("WO-2", "PACK", 3), ("WO-3", "MOD", 2)):
            await _order(database, number, part, quantity)
        for person in ("ann", "bob"):
            until = START + timedelta(days=30)
            await database.transact(
                certify, CertificateRequest(person=person, certificate="HV", expires_at=until), ROOT
            )
        check = CheckReport(station="W-80", kind="daily", verdict="passed")
        await database.transact(record_check, check, ROOT)


async def _order(database: Database, number: str, part: str, quantity: int) -> None:
    await database.transact(create_order, OrderRequest(order=number, part=part, quantity=quantity), ROOT)
    await database.transact(move_order, OrderEvent(order=number, event="release"), ROOT)


async def _lot(database: Database, lot: str, part: str, quantity: int, expires_on: date | None) -> None:
    receipt = LotReceipt(
        lot=lot,
        part=part,
        quantity=Decimal(quantity),
        supplier="Acme",
        supplier_lot=f"S-{lot}",
        country="US",
        expires_on=expires_on,
    )
    await database.transact(receive_lot, receipt, ROOT)
