"""Holds of every kind, set while sixteen stations work: nothing they stop passes after their commit.

Twice looked at: as a station sees it (a question sent after the hold was answered is refused), and in the record (no
permit, no fitted part, later than the hold by the moments the acts took under their locks).
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from mes import clock
from mes.db import Database
from mes.execution.messages import (
    Component,
    ConsumedLot,
    MoveRequest,
    PermitAnswer,
    PermitRequest,
    ReportAnswer,
    ResultReport,
)
from mes.execution.moves import move_stock
from mes.execution.permits import request_permit
from mes.execution.reports import report_result
from mes.execution.rules.words import Reason
from mes.materials.messages import LotReceipt
from mes.materials.service import receive_lot
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.quality.containments import contain_fitting
from mes.quality.messages import ContainRequest, StationWindow
from mes.quality.service import contain
from mes.records.audit import audit
from tests.build import line as build

ROUNDS, STATIONS, UNITS, CELLS, SEED = 27, 16, 24, 96, 20261123
GUARD_S = 60  # a round that hangs ends the test
BEFORE, AFTER = 30, 40  # answers that the stations get before a hold is asked for, and after it is set
OPERATIONS = ("010", "020", "030", "040")
OK = {"ok": [True]}
FOREVER = clock.now().replace(year=9999)


def _step(operation: str, **more: Any) -> dict[str, Any]:
    ok = {"name": "ok", "kind": "boolean", "expected": True}
    return {"operation": operation, "name": operation, "characteristics": [ok]} | more


PLANT: dict[str, Any] = {
    "sites": [
        {
            "code": "S",
            "name": "S",
            "lines": [
                {
                    "code": "L",
                    "name": "L",
                    "stations": [
                        {"code": f"S-{n:02}", "name": f"S-{n:02}", "operations": [OPERATIONS[n % len(OPERATIONS)]]}
                        for n in range(STATIONS)
                    ],
                }
            ],
        }
    ],
    "parts": [
        {
            "number": "CELL",
            "name": "Cell",
            "trace": "serial",
            "receiving": {"serial": {"column": "Serial"}, "carton": {"column": "Carton"}},
        },
        {"number": "GLUE", "name": "Glue", "trace": "lot"},
        {"number": "U", "name": "Unit", "trace": "serial", "serial_pattern": "U{number:06}"},
    ],
    "products": [
        {
            "part": "U",
            "bom": [
                {"part": "CELL", "operation": "020", "quantity": 2},
                {"part": "GLUE", "operation": "030", "quantity": 1},
            ],
            "route": [_step("010"), _step("020"), _step("030"), _step("040", ships=True)],
        }
    ],
}


@dataclass
class Asked:
    """A question or a report: when it was sent, what it named, and what came of it. Moments are turns of a counter."""

    sent: int
    serial: str
    parts: list[str]
    answer: PermitAnswer | ReportAnswer

    @property
    def codes(self) -> set[str]:
        """The reasons or findings."""
        said = self.answer.refusals if isinstance(self.answer, PermitAnswer) else self.answer.findings
        return {one.code for one in said}


@dataclass
class Round:
    """One round: its units and parts, who works on them, and all that was asked and reported."""

    number: int
    units: list[str]
    cells: list[str]
    chance: random.Random
    turns: "itertools.count[int]" = field(default_factory=itertools.count)
    permits: list[Asked] = field(default_factory=list)
    reports: list[Asked] = field(default_factory=list)
    answered: asyncio.Condition = field(default_factory=asyncio.Condition)
    done: Counter[str] = field(default_factory=Counter)  # steps passed, by unit
    is_over: bool = False

    @property
    def glue(self) -> str:
        """The round's lot of glue."""
        return f"GLUE-{self.number}"

    def carton_of(self, cell: str) -> str:
        """The carton of a cell: half of a round's cells came in each."""
        return f"BOX-{self.number}-{int(cell.rpartition('-')[2]) % 2}"

    def next_for(self, operation: str) -> str:
        """Choose a unit: most often one that waits for this operation, else any."""
        waiting = [unit for unit in self.units if OPERATIONS[self.done[unit] % len(OPERATIONS)] == operation]
        return self.chance.choice(waiting if waiting and self.chance.random() < 0.8 else self.units)

    async def count(self, kept: list[Asked], asked: Asked) -> None:
        """Keep an answer, and wake who waits for so many."""
        async with self.answered:
            kept.append(asked)
            self.answered.notify_all()

    async def more(self, answers: int, parts: set[str] | None = None) -> None:
        """Wait until the stations have had so many more answers, and fitted some of these parts."""
        wanted = len(self.permits) + answers
        async with self.answered:
            await self.answered.wait_for(lambda: len(self.permits) >= wanted and (not parts or self.fitted(parts)))

    def fitted(self, parts: set[str]) -> bool:
        """Whether any of these parts was fitted."""
        return any(parts.intersection(asked.parts) for asked in self.reports)


async def station(database: Database, running: Round, number: int) -> None:
    """Ask for units at random, as the stations of a line do, and work on what is granted."""
    code, operation = f"S-{number:02}", OPERATIONS[number % len(OPERATIONS)]
    for turn in itertools.count():
        if running.is_over:
            return
        head = {"station": code, "cycle": f"{running.number}-{turn}", "asker": "load"}
        head["serial"] = running.next_for(operation)
        sent = next(running.turns)
        permit = await database.transact(request_permit, PermitRequest(**head), build.ACTOR)
        await running.count(running.permits, Asked(sent, head["serial"], [], permit))
        if not permit.granted:
            continue
        work: dict[str, Any] = {"values": OK, "verdict": "passed", "started_at": clock.now(), "ended_at": clock.now()}
        parts = []
        if operation == "020" and len(running.cells) >= 2:
            parts = [running.cells.pop(running.chance.randrange(len(running.cells))) for _ in range(2)]
            work["components"] = [Component(part="CELL", serial=s, position=n) for n, s in enumerate(parts, start=1)]
        if operation == "030":
            parts = [running.glue]
            work["lots"] = [ConsumedLot(lot=running.glue, quantity=1)]
        sent = next(running.turns)
        answer = await database.transact(report_result, ResultReport(**head, **work), build.ACTOR)
        running.done[head["serial"]] += 1
        await running.count(running.reports, Asked(sent, head["serial"], parts, answer))


Hold = Callable[[Round], tuple[dict[str, Any], set[str], set[str]]]


def _units(running: Round) -> tuple[dict[str, Any], set[str], set[str]]:
    chosen = set(running.chance.sample(running.units, UNITS // 3))
    return {"serials": sorted(chosen)}, chosen, set()


def _carton(running: Round) -> tuple[dict[str, Any], set[str], set[str]]:
    carton = f"BOX-{running.number}-0"
    cells = {f"C{running.number}-{n}" for n in range(0, CELLS, 2)}
    return {"carton": carton}, set(), cells


# What each kind of hold names: the question, the units it stops, and the parts whose fitting it stops.
HOLDS: dict[str, Hold] = {
    "units": _units,
    "one unit": lambda r: ({"serial": r.units[0]}, {r.units[0]}, set()),
    "cell lot": lambda r: ({"lot": f"CELLS-{r.number}"}, set(), {f"C{r.number}-{n}" for n in range(CELLS)}),
    "glue": lambda r: ({"lot": r.glue}, set(), {r.glue}),
    "carton": _carton,
    "order": lambda r: ({"order": f"WO-{r.number}"}, set(r.units), set()),
    "station": lambda r: ({"window": StationWindow(station="S-00", since=build.AT, until=FOREVER)}, set(), set()),
    "question": lambda r: ({"question": f"order = WO-{r.number} and passed (station = S-00)"}, set(), set()),
    "intercept": lambda r: ({"order": f"WO-{r.number}", "at_operation": "010"}, set(r.units), set()),
}


async def prepare(database: Database, number: int) -> Round:
    """Order the units of a round, receive its parts; every second time the parts come first: locks go by id."""
    cells = [f"C{number}-{n}" for n in range(CELLS)]
    rows = "".join(f"{cell},BOX-{number}-{n % 2}\n" for n, cell in enumerate(cells))
    received = build.receive_file(database, f"CELLS-{number}", "CELL", f"Serial,Carton\n{rows}".encode())
    if number % 2:
        await received
    units = list((await build.order(database, UNITS, "U", f"WO-{number}"))["U"])
    if not number % 2:
        await received
    receipt = LotReceipt(
        lot=f"GLUE-{number}", part="GLUE", quantity=Decimal(1000), supplier="A", supplier_lot="1", country="US"
    )
    await database.transact(receive_lot, receipt, build.ACTOR)
    return Round(number, units, cells, random.Random(SEED + number))


async def test_no_unit_passes_a_hold_set_while_sixteen_stations_work(database: Database) -> None:
    await database.transact(apply_plan, PlantFiles.model_validate(PLANT), build.ACTOR)
    raced: Counter[str] = Counter()
    for number in range(ROUNDS):
        kind, hold = list(HOLDS.items())[number % len(HOLDS)]
        running = await prepare(database, number)
        async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as line:
            for n in range(STATIONS):
                line.create_task(station(database, running, n))
            question, units, parts = hold(running)
            await running.more(BEFORE + running.chance.randrange(BEFORE), parts)
            message = ContainRequest(**question, reason=f"round {number}")
            if message.question is None:
                answer = await database.transact(contain, message, build.ACTOR)
            else:
                answer = await contain_fitting(database, message, build.ACTOR)
            set_at = next(running.turns)
            await running.more(AFTER)
            running.is_over = True
        units |= set(answer.held) | await held_by(database, answer.containment)
        judge(running, kind, units, parts, set_at, raced)
    for kind in HOLDS:
        assert raced[kind, "before"], f"{kind}: nothing was granted before the hold"
        assert raced[kind, "after"], f"{kind}: nothing was stopped by the hold"
    assert await passed_by_the_record(database) == []
    async with database.reading() as session:
        assert not any((await audit(session)).values())


def judge(running: Round, kind: str, units: set[str], parts: set[str], set_at: int, raced: Counter[Any]) -> None:
    """Whatever was sent after the hold was answered is stopped by it."""
    where = f"round {running.number}, {kind}"
    for asked in running.permits:
        assert isinstance(asked.answer, PermitAnswer)
        if asked.serial in units:
            raced[kind, "before"] += asked.answer.granted and asked.sent < set_at
        if asked.serial in units and asked.sent > set_at:
            assert not asked.answer.granted, f"{where}: {asked.serial} was granted"
            assert Reason.ON_HOLD in asked.codes, where
            raced[kind, "after"] += 1
    for asked in running.reports:
        if parts.intersection(asked.parts):
            if Reason.POSITION_TAKEN in asked.codes:  # another station was first: these went nowhere
                continue
            is_found = Reason.COMPONENT_ON_HOLD in asked.codes
            assert is_found or asked.sent < set_at, f"{where}: {asked.parts} were fitted into {asked.serial}"
            raced[kind, "before"] += not is_found
            raced[kind, "after"] += is_found


async def held_by(database: Database, containment: int) -> set[str]:
    """The units that a containment's own holds stand on (those inherited later came with a part)."""
    async with database.reading() as session:
        rows = await session.driver.fetch(
            "SELECT u.serial FROM hold h JOIN unit u ON u.id = h.unit_id"
            " WHERE h.containment_id = $1 AND h.cycle_id IS NULL",
            containment,
        )
    return {row["serial"] for row in rows}


async def passed_by_the_record(database: Database) -> list[Any]:
    """Permits granted, parts fitted and lots used later than a hold on them, without its finding or inheritance."""
    async with database.reading() as session:
        rows = await session.driver.fetch(
            """
            SELECT 'permit' AS what, p.serial, h.reason FROM permit p JOIN unit u ON u.id = p.unit_id
            JOIN hold h ON (h.unit_id = u.id OR h.order_id = u.order_id) AND 'consume' = ANY(h.stops)
            WHERE p.granted AND p.asked_at >= h.opened_at AND h.released_at IS NULL
            UNION ALL
            SELECT 'part', coalesce(c.serial, l.number), h.reason FROM installation i
            JOIN hold h ON h.unit_id = i.child_id OR h.lot_id = i.lot_id
            LEFT JOIN unit c ON c.id = i.child_id LEFT JOIN lot l ON l.id = i.lot_id
            WHERE i.installed_at >= h.opened_at AND NOT (
                EXISTS (SELECT FROM finding f WHERE f.cycle_id = i.cycle_id AND f.code = 'component_on_hold')
                AND EXISTS (SELECT FROM hold p WHERE p.unit_id = i.parent_id AND p.inherited_from = h.id))
            UNION ALL
            SELECT 'cycle', u.serial, h.reason FROM cycle y JOIN unit u ON u.id = y.unit_id
            JOIN permit p ON p.id = y.permit_id JOIN hold h ON h.unit_id = u.id OR h.order_id = u.order_id
            WHERE NOT EXISTS (SELECT FROM finding f WHERE f.cycle_id = y.id) AND p.asked_at >= h.opened_at
            """
        )
    return list(rows)


async def stopped(database: Database, serial: str, stops: list[str], **more: Any) -> None:
    """Hold one unit or lot so that only these are stopped."""
    message = ContainRequest(serial=serial, stops=stops, reason="in doubt", **more)
    await database.transact(contain, message, build.ACTOR)


async def granted(database: Database, station: str, serial: str) -> bool:
    """Ask, and report it when it is granted; whether it was."""
    cycle = f"x-{serial}-{station}"
    answer = await build.permit(database, station, serial, cycle)
    if answer.granted:
        told = await build.report(database, station, serial, cycle=cycle, values=OK, verdict="passed")
        assert not told.findings
    else:
        assert [refusal.code for refusal in answer.refusals] == [Reason.ON_HOLD]
    return answer.granted


async def moved(database: Database, serial: str) -> bool:
    """Bring it to the quarantine shelf; whether it is there now."""
    answer = await database.transact(move_stock, MoveRequest(serial=serial, location="quarantine"), build.ACTOR)
    assert answer.moved == (not answer.refusals)
    async with database.reading() as session:
        there = await session.driver.fetchval(
            "SELECT location FROM unit WHERE serial = $1 UNION ALL SELECT location FROM lot WHERE number = $1", serial
        )
    assert (there == "quarantine") == answer.moved
    return answer.moved


@pytest.fixture
async def small(database: Database) -> Round:
    """A round's units and parts, with nobody at work, and the steps that need no parts done."""
    await database.transact(apply_plan, PlantFiles.model_validate(SIMPLE), build.ACTOR)
    return await prepare(database, 1)


SIMPLE = PLANT | {"products": [{"part": "U", "route": PLANT["products"][0]["route"]}]}


async def test_a_hold_that_stops_moving_lets_work_go_on(database: Database, small: Round) -> None:
    unit = small.units[0]
    await stopped(database, unit, ["move"])
    assert not await moved(database, unit)
    assert [await granted(database, f"S-0{n}", unit) for n in range(4)] == [True] * 4


async def test_a_hold_that_stops_use_lets_stock_go_to_its_shelf(database: Database, small: Round) -> None:
    unit, cell = small.units[0], small.cells[0]
    for serial in (unit, cell):
        await stopped(database, serial, ["consume"])
        assert await moved(database, serial)
    message = ContainRequest(lot=small.glue, stops=["consume"], reason="in doubt")
    await database.transact(contain, message, build.ACTOR)
    assert await moved(database, small.glue)
    assert not await granted(database, "S-00", unit)


async def test_a_hold_that_stops_shipping_is_met_at_the_shipping_step_alone(database: Database, small: Round) -> None:
    unit = small.units[0]
    await stopped(database, unit, ["ship"])
    assert await moved(database, unit)
    assert [await granted(database, f"S-0{n}", unit) for n in range(4)] == [True, True, True, False]


async def test_an_intercept_lets_work_go_on_until_its_operation(database: Database, small: Round) -> None:
    unit = small.units[0]
    await stopped(database, unit, ["consume"], at_operation="030")
    assert [await granted(database, f"S-0{n}", unit) for n in range(3)] == [True, True, False]
