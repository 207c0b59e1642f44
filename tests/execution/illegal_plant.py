"""A small plant in which every rule can be broken by itself: each step asks for one thing, none waits for another."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from mes import clock
from mes.actor import Actor, Role
from mes.cells.grading import grade_lot, record_tests
from mes.cells.messages import CellReading, GradeRequest, TestReport
from mes.db import Database
from mes.execution.checks import record_check
from mes.execution.messages import CheckReport, Component, ConsumedLot, PermitRequest, Removal, ResultReport
from mes.execution.moves import open_lot
from mes.execution.permits import request_permit
from mes.execution.reports import report_result
from mes.kits.messages import MatchRequest
from mes.kits.queries import read_kit
from mes.kits.service import match_cells
from mes.materials.messages import LotOpening, LotReceipt
from mes.materials.service import receive_lot
from mes.orders.messages import OrderEvent
from mes.orders.service import move_order
from mes.people.messages import CertificateRequest, CertificateWithdrawal, KeyName, KeyRequest
from mes.people.service import certify, create_key, revoke_key, withdraw_certificate
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.products.chart_spec import ChartSpec
from mes.quality.dispositions import dispose
from mes.quality.messages import ContainRequest, DisposeRequest, ReleaseHoldRequest, ReleaseRequest
from mes.quality.queries import holds
from mes.quality.service import contain, release_containment, release_hold
from mes.spc.messages import BaselineSaid, ChartJudged, SignalSaid
from mes.spc.service import keep_chart
from mes.spc.subgroups import Charting
from tests.build import line as build

OK = {"ok": [True]}
NAMED: dict[str, Any] = {"operator": "ann", "second_operator": "bob"}
FITTED = 300  # cells that a rack holds
_AGO = timedelta(hours=2)
_cycles = itertools.count(1)
CHARTED = {"chart": "p", "rules": [1], "on_signal": ["block"]}
_ROUTE: dict[str, dict[str, Any]] = {
    "010": {},
    "012": {},
    "015": {},
    "100": {"certificate": "HV", "persons": 2},
    "110": {"recipe": "weld", "reads_back": True},
    "120": {"program": "P7"},
    "130": {"first_article": True},
    "140": {"characteristics": [{"name": "ok", "kind": "boolean", "expected": True, "spc": CHARTED}]},
    "200": {},
    "210": {"after": ["200"]},
    "220": {"after": ["210"]},
    "400": {},
    "410": {"rework_of": ["400"]},
    "500": {"attempts": 2},
    "600": {},
    "610": {"after": ["600"], "clocks": [{"after": "600", "at_least_min": 10_000.0}]},
    "620": {"after": ["600"], "clocks": [{"after": "600", "at_most_min": 30.0}]},
    "700": {},
    "710": {"instead_of": "700"},
    "800": {"is_complete": True},
    "900": {"ships": True},
}


def _step(operation: str, **more: Any) -> dict[str, Any]:
    ok = {"name": "ok", "kind": "boolean", "expected": True}
    return {"operation": operation, "name": operation, "after": [], "characteristics": [ok]} | more


def _station(code: str, *operations: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "name": code, "operations": list(operations)} | more


def _part(number: str, trace: str = "serial", **more: Any) -> dict[str, Any]:
    received = {"receiving": {"serial": {"column": "Serial"}, "carton": {"column": "Carton"}}}
    is_read = trace == "serial" and "serial_pattern" not in more
    return {"number": number, "name": number, "trace": trace} | (received if is_read else {}) | more


_STATIONS = [
    *(_station(f"S-{operation}", operation) for operation in (*_ROUTE, "S10", "R10", "K10", "T10", "B10", "Q10")),
    _station(
        "S-CAL",
        "200",
        tools=[
            {"code": "WRENCH", "name": "Torque wrench", "calibration_due": date(2020, 1, 1)},
            {"code": "GAUGE", "name": "Gauge", "calibration_due": date(9999, 1, 1)},
        ],
    ),
    _station("S-FAILED", "200"),
    _station("S-DUE", "200", daily_h=24.0),
    _station("S-ELSEWHERE", "999"),
]
PLANT: dict[str, Any] = {
    "sites": [{"code": "S", "name": "S", "lines": [{"code": "L", "name": "L", "stations": _STATIONS}]}],
    "parts": [
        *(_part(number) for number in ("CELL", "CELL-B", "WOOD", "BEAN")),
        _part("TONER", "lot"),
        _part("KITTED", serial_pattern="KIT{number:06}"),
        _part("GLUE", "lot", fefo=True, pot_life_min=30.0),
        _part("RESIN", "lot"),
        _part("PAINT", "lot"),
        _part("U", serial_pattern="U{number:06}"),
        _part("SUB", serial_pattern="SUB{number:06}"),
        _part("RACK", serial_pattern="RACK{number:06}"),
    ],
    "products": [
        {
            "part": "U",
            "bom": [
                {"part": "CELL", "operation": "010", "quantity": 2, "alternates": ["CELL-B"]},
                {"part": "GLUE", "operation": "012", "quantity": 1},
                {"part": "RESIN", "operation": "012", "quantity": 1},
                {"part": "SUB", "operation": "015", "quantity": 1},
            ],
            "recipes": [{"name": "weld", "parameters": {"power_w": 1500}}],
            "route": [_step(operation, **more) for operation, more in _ROUTE.items()],
        },
        {"part": "SUB", "route": [_step("S10")]},
        {"part": "RESIN", "route": [_step("R10")]},
        {"part": "TONER", "route": [_step("T10", documents=["certificate"])]},
        {"part": "BEAN", "route": [_step("B10")], "incoming": {}},
        {
            "part": "KITTED",
            "bom": [{"part": "BEAN", "operation": "Q10", "quantity": 4, "groups": 2}],
            "matching": {"part": "BEAN"},
            "route": [_step("Q10", from_kit=True)],
        },
        {
            "part": "RACK",
            "bom": [{"part": "CELL", "operation": "K10", "quantity": FITTED}],
            "route": [_step("K10")],
        },
    ],
}


@dataclass
class State:
    """What the plant holds: keys by name, serials and lot numbers by what is the matter with them."""

    keys: dict[str, str] = field(default_factory=dict)
    pools: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    recipe: str = ""


async def build_state(database: Database) -> State:
    """Bring a plant into every state from which something must not be done; two hours ago, so that clocks have run."""
    state = State()
    began = datetime.now(UTC) - _AGO
    with clock.held(began):
        await database.transact(apply_plan, PlantFiles.model_validate(PLANT), build.ACTOR)
        await _orders(database, state)
        await _materials(database, state, began)
        await _people(database, state, began)
        await _equipment(database, state)
        await _units(database, state, began)
        await _parts(database, state)
        await _holds(database, state, began)
        await _kits(database, state)
    for name in ("held", "of held order", "scrapped", "paused", "did 710", "did 600", "failed 400", "failed 500"):
        pool = state.pools[name]
        state.pools[name], state.pools[f"reported {name}"] = pool[: len(pool) // 2], pool[len(pool) // 2 :]
    plan = await build.plan_of(database, state.pools["still"][0])
    recipe = plan.steps["110"].recipe
    assert recipe is not None
    state.recipe = recipe.digest
    return state


async def _orders(database: Database, state: State) -> None:
    """Order units; a sub-assembly's next revision comes when the orders are out: theirs stays the first."""
    pools = state.pools
    issued = await build.order(database, 2400, "U", "WO-1")
    serials = list(issued["U"])
    pools["still"], pools["worked"], pools["fresh"] = serials[:20], serials[20:80], serials[80:]
    pools["unfinished"] = list(issued["SUB"])
    pools["sub"] = [pools["unfinished"].pop() for _ in range(3)]
    pools["paused"] = list((await build.order(database, 200, "U", "WO-PAUSED"))["U"])
    await database.transact(move_order, OrderEvent(order="WO-PAUSED", event="hold"), build.ACTOR)
    held = await build.order(database, 200, "U", "WO-HELD")
    pools["of held order"], pools["held sub"] = list(held["U"]), list(held["SUB"])
    product = {"part": "SUB", "route": [_step("S10") | {"name": "newer"}]}
    await database.transact(apply_plan, PlantFiles.model_validate({"products": [product]}), build.ACTOR)
    pools["newer"] = list((await build.order(database, 200, "SUB", "WO-SUB"))["SUB"])
    pools["newer sub"] = [pools["newer"].pop() for _ in range(3)]
    for serial in (*pools["sub"], *pools["newer sub"]):
        await work(database, "S-S10", serial)
    pools["racks"] = list((await build.order(database, 3, "RACK", "WO-RACK"))["RACK"])


async def work(database: Database, station: str, serial: str, **more: Any) -> None:
    """Ask and report as it should be: granted, and nothing found."""
    both = {name: more.pop(name) for name in ("operator", "second_operator") if name in more}
    both |= {"station": station, "serial": serial, "asker": "builder", "cycle": f"b-{next(_cycles)}"}
    permit = await database.transact(request_permit, PermitRequest(**both), build.ACTOR)
    assert permit.granted, permit.refusals
    times = {"started_at": clock.now(), "ended_at": clock.now()}
    fields: dict[str, Any] = {"verdict": "passed", "values": OK, **times, **both, **more}
    answer = await database.transact(report_result, ResultReport(**fields), build.ACTOR)
    assert not answer.findings, answer.findings


async def _materials(database: Database, state: State, began: datetime) -> None:
    soon, late = (began + timedelta(days=30)).date(), (began + timedelta(days=60)).date()
    lots: Mapping[str, tuple[str, int, date | None]] = {
        "GLUE-OK": ("GLUE", 100_000, soon),
        "GLUE-HELD": ("GLUE", 1000, soon),
        "GLUE-EXPIRED": ("GLUE", 1000, (began - timedelta(days=5)).date()),
        "GLUE-OPEN": ("GLUE", 1000, soon),
        "GLUE-LATE": ("GLUE", 1000, late),
        "GLUE-EMPTY": ("GLUE", 1, soon),
        "GLUE-SMALL": ("GLUE", 2, soon),
        "RESIN-OK": ("RESIN", 100_000, None),
        "RESIN-NEW": ("RESIN", 1000, None),
        "RESIN-EMPTY": ("RESIN", 1, None),
        "PAINT": ("PAINT", 1000, None),
        "TONER": ("TONER", 1000, None),
    }
    for number, (part, quantity, expires_on) in lots.items():
        receipt = LotReceipt(
            lot=number, part=part, quantity=Decimal(quantity), supplier="A", supplier_lot="1", country="US",
            expires_on=expires_on,
        )  # fmt: skip
        await database.transact(receive_lot, receipt, build.ACTOR)
    for resin in ("RESIN-OK", "RESIN-EMPTY"):
        await work(database, "S-R10", resin)
    await database.transact(open_lot, LotOpening(lot="GLUE-OPEN"), build.ACTOR)
    cells = {"good": 2000, "named": 20, "bad": 300, "racked": 3 * FITTED, "date": 20}
    for name, count in cells.items():
        state.pools[name] = await _receive(database, name, "CELL", count)
    state.pools["cell b"] = await _receive(database, "b", "CELL-B", 20)
    state.pools["wood"] = await _receive(database, "wood", "WOOD", 200)


async def _receive(database: Database, name: str, part: str, count: int) -> list[str]:
    serials = [f"{name}-{n:05}" for n in range(count)]
    rows = "".join(f"{serial},BOX-{name}\n" for serial in serials)
    await build.receive_file(database, f"LOT-{name}", part, f"Serial,Carton\n{rows}".encode())
    return serials


async def _people(database: Database, state: State, began: datetime) -> None:
    ends = {"ann": timedelta(days=9), "bob": timedelta(days=9), "dora": timedelta(hours=1), "emil": timedelta(days=9)}
    for person, after in ends.items():
        message = CertificateRequest(person=person, certificate="HV", expires_at=began + after)
        await database.transact(certify, message, build.ACTOR)
    withdrawal = CertificateWithdrawal(person="emil", certificate="HV", reason="failed the exam")
    await database.transact(withdraw_certificate, withdrawal, build.ACTOR)
    roles = {"station-1": Role.STATION, "oskar": Role.OPERATOR, "quinn": Role.QUALITY, "olga": Role.QUALITY}
    roles |= {"sam": Role.SUPERVISOR, "root": Role.ADMIN, "gone": Role.ADMIN, "over": Role.ADMIN}
    for name, role in roles.items():
        request = KeyRequest(name=name, role=role, expires_in_h=1 if name == "over" else None)
        state.keys[name] = (await database.transact(create_key, request, build.ACTOR)).key
    await database.transact(revoke_key, KeyName(name="gone"), build.ACTOR)
    state.keys |= {"nobody": "", "stranger": "mes_no-such-key"}


async def _equipment(database: Database, state: State) -> None:
    for station, verdict in (("S-FAILED", "failed"), ("S-200", "passed")):
        check = CheckReport(station=station, kind="daily", verdict=verdict)
        state.numbers[station] = (await database.transact(record_check, check, build.ACTOR)).check
    point = SignalSaid(position=0, rules=["nelson_1"], value=1.0, center=0.1, lower=0.0, upper=0.5, cycles=[1])
    judged = ChartJudged(
        part="U",
        operation="140",
        characteristic="ok",
        station="S-140",
        tool=None,
        shape=Charting(ChartSpec.model_validate(CHARTED), 1).shape,
        since=0,
        upto=1,
        baselines=[BaselineSaid(center=0.1, sigma=0.0, df=0.0, subgroups=25)],
        signals=[point],
    )
    await database.transact(keep_chart, judged, build.ACTOR)


async def _units(database: Database, state: State, began: datetime) -> None:
    """Bring the worked units to where they are to be, one pool a step."""
    pools, worked = state.pools, iter(state.pools["worked"])

    def some(count: int = 3) -> list[str]:
        return [next(worked) for _ in range(count)]

    for name, station in (("did 200", "S-200"), ("did 600", "S-600"), ("did 700", "S-700"), ("did 710", "S-710")):
        pools[name] = some()
        for serial in pools[name]:
            await work(database, station, serial)
    pools["failed 400"], pools["failed 500"] = some(), some()
    for serial in pools["failed 400"]:
        await work(database, "S-400", serial, verdict="failed")
    for serial in pools["failed 500"]:
        await work(database, "S-500", serial, verdict="failed")
        await work(database, "S-500", serial, verdict="failed")
        await _free(database, serial)
    pools["scrapped"] = some()
    for serial in pools["scrapped"]:
        request = DisposeRequest(serial=serial, decision="scrap", reason="dropped")
        await database.transact(dispose, request, build.ACTOR)
    await work(database, "S-130", some(1)[0], operator="olga")
    used = [ConsumedLot(lot="GLUE-EMPTY", quantity=Decimal(1)), ConsumedLot(lot="RESIN-EMPTY", quantity=Decimal(1))]
    await work(database, "S-012", some(1)[0], lots=used)
    pools["holding"], pools["inside"] = some(1), [pools["good"].pop() for _ in range(2)]
    await work(database, "S-010", pools["holding"][0], components=_cells(pools["inside"]))
    pools["with bad cell"] = some()
    for serial in pools["with bad cell"]:
        taken = [pools["bad"].pop(), pools["bad"].pop()]
        await work(database, "S-010", serial, components=_cells(taken))
    for name in ("held", "intercepted", "not to ship", "not to move", "signed"):
        pools[name] = some()


async def _free(database: Database, serial: str) -> None:
    async with database.reading() as session:
        found = await holds(session, serial=serial)
    for hold in found:
        request = ReleaseHoldRequest(hold=hold.hold, reason="looked at")
        await database.transact(release_hold, request, build.QUALITY)


def _cells(serials: list[str]) -> list[Component]:
    return [Component(part="CELL", serial=serial, position=n) for n, serial in enumerate(serials, start=1)]


async def _parts(database: Database, state: State) -> None:
    """Cells in a rack, taken out of one, scrapped; a sub-assembly that waits for its re-test."""
    pools = state.pools
    first, second, third = (pools["racked"][n * FITTED : (n + 1) * FITTED] for n in range(3))
    for rack, cells in zip(pools["racks"], (first, second, third), strict=True):
        await work(database, "S-K10", rack, components=_cells(cells))
    pools["elsewhere"], pools["untested"], pools["scrap"] = first, second, third
    for rack, cells, to in zip(pools["racks"][1:], (second, third), ("stock", "scrap"), strict=True):
        removals = [Removal(serial=serial, to=to) for serial in cells]
        answer = await build.report(database, "S-K10", rack, verdict="failed", removals=removals)
        assert answer.findings  # a finished rack is opened: nobody asked, and it is held
    host = pools["worked"][-1]
    part = pools["sub"].pop()
    await work(database, "S-015", host, components=[Component(part="SUB", serial=part)])
    removal = [Removal(serial=part, to="stock")]
    await build.report(database, "S-015", host, verdict="failed", removals=removal)
    pools["removed"] = [part]


async def _holds(database: Database, state: State, began: datetime) -> None:
    pools = state.pools

    async def hold(reason: str, **what: Any) -> int:
        request = ContainRequest(reason=reason, **what)
        return (await database.transact(contain, request, build.ACTOR)).containment

    await hold("dented", serials=pools["held"])
    await hold("order in doubt", order="WO-HELD")
    await hold("bad cells", lot="LOT-bad")
    await hold("bad carton", carton="BOX-date")
    await hold("bad glue", lot="GLUE-HELD")
    await hold("look at 210", serials=pools["intercepted"], at_operation="210")
    await hold("not to ship", serials=pools["not to ship"], stops=["ship"])
    await hold("not to move", serials=pools["not to move"], stops=["move"])
    state.numbers["signed"] = await hold("signed once", serials=pools["signed"])
    request = ReleaseRequest(containment=state.numbers["signed"], reason="looks good")
    await database.transact(release_containment, request, Actor("quinn", Role.QUALITY))
    state.numbers["quality's"] = await hold("for quality", serial=pools["signed"][0], release_roles=[Role.QUALITY])
    async with database.reading() as session:
        found = await holds(session, serial=pools["signed"][1])
    state.numbers["signed hold"] = next(one.hold for one in found if one.reason == "signed once")
    window = {"station": "S-700", "since": began - timedelta(days=1), "until": began + timedelta(seconds=1)}
    await hold("station in doubt", window=window)


async def _kits(database: Database, state: State) -> None:
    """Beans, graded; kits for some of what is made of them, and beans in none."""
    beans = await _receive(database, "bean", "BEAN", 100)
    await work(database, "S-B10", "LOT-bean")
    readings = [CellReading(serial=one, tested_at=clock.now(), capacity_ah=15.0, acir_mohm=2.2) for one in beans]
    await database.transact(record_tests, TestReport(source="bench", readings=readings), build.ACTOR)
    await database.transact(grade_lot, GradeRequest(lot="LOT-bean"), build.ACTOR)
    made = (await build.order(database, 20, "KITTED", "WO-KIT"))["KITTED"]
    answer = await database.transact(match_cells, MatchRequest(order="WO-KIT", kits=10), build.ACTOR)
    reserved: list[str] = []
    async with database.reading() as session:
        for kit in answer.kits[5:]:
            reserved += [cell.serial for cell in (await read_kit(session, kit.kit)).cells]
        mine = {cell.serial for kit in answer.kits[:5] for cell in (await read_kit(session, kit.kit)).cells}
    state.pools["kitted"], state.pools["no kit"] = made[:5], made[10:]
    state.pools["reserved bean"] = reserved
    state.pools["loose bean"] = [bean for bean in beans if bean not in mine and bean not in reserved]
