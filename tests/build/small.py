"""A plant small enough to read at a glance, with a step for every kind of rule."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from mes import clock
from mes.db import Database
from mes.errors import NotFound
from mes.execution.articles import sign_first_article
from mes.execution.messages import (
    Component,
    ConsumedLot,
    FirstArticleSignature,
    PermitAnswer,
    PermitRequest,
    ReportAnswer,
    ResultReport,
)
from mes.execution.permits import request_permit
from mes.execution.reports import report_result
from mes.execution.rules.words import Reason
from mes.materials.messages import LotReceipt
from mes.materials.service import receive_lot
from mes.orders.messages import OrderEvent, OrderRequest
from mes.orders.queries import serials
from mes.orders.service import create_order, move_order
from mes.people.messages import CertificateRequest
from mes.people.service import certify
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from tests.build import line as build

FILE = {"serial": {"column": "Serial"}, "carton": {"column": "Carton"}}
_OK = [{"name": "ok", "kind": "boolean", "expected": True}]


def step(operation: str, **more: Any) -> dict[str, Any]:
    """A step that measures one thing."""
    return {"operation": operation, "name": f"Step {operation}", "characteristics": _OK} | more


# Module: 10 fit cells, 20 | 21 in parallel (22 instead of 21), 30 glue, 40 weld (rework 41), 50 cure, test.
# Pack: 60 fit modules and a board, 70 test (rework 71: swap), 80 check, 90 ship.
PLANT: dict[str, Any] = {
    "sites": [
        {
            "code": "S",
            "name": "Small",
            "lines": [
                {
                    "code": "L",
                    "name": "Line",
                    "stations": [
                        {"code": f"ST-{op}", "name": op, "operations": [op]}
                        for op in ("10", "20", "21", "22", "30", "50", "60", "70", "71", "80", "90")
                    ]
                    + [
                        {
                            "code": "ST-40",
                            "name": "40",
                            "operations": ["40", "41"],
                            "tools": [
                                {"code": "LASER", "name": "Laser", "calibration_due": date(2027, 1, 1)},
                                {"code": "LASER-2", "name": "Spare"},
                            ],
                        },
                        {"code": "ST-40B", "name": "40 twin", "operations": ["40"]},
                    ],
                }
            ],
        }
    ],
    "parts": [
        {"number": "CELL", "name": "Cell", "trace": "serial", "receiving": FILE},
        {"number": "CELL-B", "name": "Other cell", "trace": "serial", "receiving": FILE},
        {"number": "BOARD", "name": "Board", "trace": "serial", "receiving": FILE},
        {"number": "GLUE", "name": "Glue", "trace": "lot", "unit": "kg", "fefo": True, "pot_life_min": 1440},
        {"number": "SCREW", "name": "Screw", "trace": "lot"},
        {"number": "MOD", "name": "Module", "trace": "serial", "serial_pattern": "M{number:05}"},
        {"number": "PACK", "name": "Pack", "trace": "serial", "serial_pattern": "P{number:05}"},
    ],
    "products": [
        {
            "part": "MOD",
            "bom": [
                {"part": "CELL", "operation": "10", "quantity": 4, "groups": 2, "alternates": ["CELL-B"]},
                {"part": "GLUE", "operation": "30", "quantity": 0.5},
            ],
            "recipes": [{"name": "weld", "parameters": {"power_w": 1500}}],
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
                    program="W7",
                    attempts=2,
                    clocks=[{"after": "30", "at_most_min": 60}],
                    first_article=True,
                ),
                step("41", rework_of=["40"], repeats=["20"], refits=["10"], attempts=2),
                step(
                    "50",
                    certificate="HV",
                    persons=2,
                    clocks=[{"after": "30", "at_least_min": 30}],
                ),
            ],
        },
        {
            "part": "PACK",
            "bom": [
                {"part": "MOD", "operation": "60", "quantity": 2},
                {"part": "BOARD", "operation": "60", "quantity": 1},
                {"part": "SCREW", "operation": "80", "quantity": 8},
            ],
            "route": [
                step("60"),
                step("70"),
                step("71", rework_of=["70"], refits=["60"], repeats=["80"]),
                step("80"),
                step("90", is_complete=True, ships=True),
            ],
        },
    ],
}


def codes(said: Any) -> list[Reason]:
    """The codes of refusals or findings."""
    return [one.code for one in said]


def c1(first: int, count: int = 4) -> list[str]:
    """Serials of the lot C1, from this one on."""
    return [f"C1-{n:03}" for n in range(first, first + count)]


async def make(database: Database) -> None:
    """Apply the small plant."""
    await database.transact(apply_plan, PlantFiles.model_validate(PLANT), build.ACTOR)


async def cells(database: Database, lot: str, count: int, part: str = "CELL") -> list[str]:
    """Receive a lot of cells; their serials."""
    made = [f"{lot}-{n:03}" for n in range(1, count + 1)]
    rows = "".join(f"{serial},{lot}-K{n // 4}\n" for n, serial in enumerate(made))
    await build.receive_file(database, lot, part, f"Serial,Carton\n{rows}".encode())
    return made


async def lot(database: Database, number: str, part: str, quantity: str = "100", expires_on: date | None = None) -> str:
    """Receive a lot of a lot-traced part."""
    receipt = LotReceipt(
        lot=number,
        part=part,
        quantity=Decimal(quantity),
        supplier="Acme",
        supplier_lot=f"S-{number}",
        country="US",
        expires_on=expires_on,
    )
    await database.transact(receive_lot, receipt, build.ACTOR)
    return number


async def order(
    database: Database, number: str = "WO-1", quantity: int = 1, part: str = "PACK"
) -> dict[str, Sequence[str]]:
    """Create and release an order; the serials issued, by part."""
    await database.transact(create_order, OrderRequest(order=number, part=part, quantity=quantity), build.ACTOR)
    await database.transact(move_order, OrderEvent(order=number, event="release"), build.ACTOR)
    async with database.reading() as session:
        return dict((await serials(session, number)).serials)


_number = iter(range(1, 1_000_000))


async def ask(database: Database, station: str, serial: str, **more: Any) -> PermitAnswer:
    """Ask; `more` are the fields of PermitRequest."""
    fields: dict[str, Any] = {"station": station, "cycle": f"s-{next(_number)}", "asker": "test", "serial": serial}
    return await database.transact(request_permit, PermitRequest(**(fields | more)), build.ACTOR)


async def tell(database: Database, station: str, serial: str, *, ok: bool = True, **more: Any) -> ReportAnswer:
    """Report; `more` are the fields of ResultReport."""
    fields: dict[str, Any] = {
        "station": station,
        "cycle": f"s-{next(_number)}",
        "asker": "test",
        "serial": serial,
        "verdict": "passed" if ok else "failed",
        "started_at": clock.now(),
        "ended_at": clock.now(),
        "values": {"ok": [ok]},
    }
    return await database.transact(report_result, ResultReport(**(fields | more)), build.ACTOR)


def fit(part: str, serials_: Sequence[str], first: int = 1) -> list[Component]:
    """Components at positions one after another."""
    return [Component(part=part, serial=serial, position=n) for n, serial in enumerate(serials_, first)]


def use(number: str, quantity: str) -> list[ConsumedLot]:
    """A quantity of a lot."""
    return [ConsumedLot(lot=number, quantity=Decimal(quantity))]


ASKING = {"recipe_digest", "program_revision", "operator", "second_operator", "tool", "operation"}
ASKING |= {"components", "removals"}


async def work(database: Database, station: str, serial: str, *, ok: bool = True, **more: Any) -> ReportAnswer:
    """Ask with all that will be done, be granted, and report it."""
    cycle = f"s-{next(_number)}"
    asking = {name: value for name, value in more.items() if name in ASKING}
    asking["lots"] = [used.lot for used in more.get("lots", [])]
    answer = await ask(database, station, serial, cycle=cycle, **asking)
    assert answer.granted, answer.refusals
    return await tell(database, station, serial, ok=ok, cycle=cycle, **more)


async def weld(
    database: Database, serial: str, *, ok: bool = True, station: str = "ST-40", **more: Any
) -> ReportAnswer:
    """Weld a module with the recipe and program it asks for, and have the first article signed if there is one."""
    plan = (await build.plan_of(database, serial)).steps["40"]
    assert plan.recipe is not None
    held = {"recipe_digest": plan.recipe.digest, "program_revision": "W7", "operator": "olga"}
    answer = await work(database, station, serial, ok=ok, **held, **more)
    await sign(database, station)
    return answer


async def sign(database: Database, station: str) -> None:
    """Sign the station's first article, if one waits."""
    signature = FirstArticleSignature(station=station, verdict="passed")
    try:
        await database.transact(sign_first_article, signature, build.QUALITY)
    except NotFound:
        return


async def certify_two(database: Database) -> dict[str, str]:
    """Certify two people for HV; the fields that name them."""
    until = clock.now() + timedelta(days=30)
    for person in ("olga", "omar"):
        await database.transact(
            certify, CertificateRequest(person=person, certificate="HV", expires_at=until), build.SUPERVISOR
        )
    return {"operator": "olga", "second_operator": "omar"}


async def module(database: Database, serial: str, fitted: Sequence[str], glue: str, *, upto: str = "50") -> None:
    """Build a module as it should be; the clock must be held (the cure takes half an hour)."""
    people = {"operator": "olga", "second_operator": "omar"}
    await work(database, "ST-10", serial, components=fit("CELL", fitted))
    for operation in ("20", "21"):
        await work(database, f"ST-{operation}", serial)
    if upto == "21":
        return
    await work(database, "ST-30", serial, lots=use(glue, "0.5"))
    if upto == "30":
        return
    await weld(database, serial)
    if upto == "40":
        return
    clock.advance(timedelta(minutes=31))
    await work(database, "ST-50", serial, **people)


async def pack(
    database: Database, serial: str, modules: Sequence[str], board: str, screws: str, *, upto: str = "90"
) -> None:
    """Build a pack of finished modules."""
    await work(database, "ST-60", serial, components=[*fit("MOD", modules), *fit("BOARD", [board])])
    for operation in ("70", "80", "90"):
        if operation > upto:
            return
        await work(database, f"ST-{operation}", serial, lots=use(screws, "8") if operation == "80" else [])
