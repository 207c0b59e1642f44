"""Ways by which a station was once fooled, found by reading the code as an attacker would."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mes import clock
from mes.db import Database
from mes.errors import NotFound
from mes.execution.checks import hold_since_check, record_check
from mes.execution.messages import CheckReport, HoldSinceCheck, MoveRequest, Removal
from mes.execution.moves import LotHeld, move_stock, open_lot
from mes.execution.rules.words import Reason
from mes.execution.subject import CycleReused
from mes.materials.messages import LotOpening
from mes.orders.queries import find_orders
from mes.quality.dispositions import StillFitted, dispose, dispose_lot
from mes.quality.messages import ContainRequest, DisposeLotRequest, DisposeRequest, StationWindow
from mes.quality.queries import holds
from mes.quality.service import contain
from mes.records.queries import history
from tests.build import line as build
from tests.build import small
from tests.build.small import c1, codes

MORNING = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def morning() -> Iterator[None]:
    with clock.held(MORNING):
        yield


@pytest.fixture
async def plant(database: Database) -> Database:
    """The small plant with stock on its shelves."""
    await small.make(database)
    await small.cells(database, "C1", 24)
    await small.cells(database, "B1", 3, "BOARD")
    for number, part in (("G1", "GLUE"), ("S1", "SCREW")):
        await small.lot(database, number, part)
    await small.certify_two(database)
    return database


async def a_module(database: Database, upto: str, number: str = "WO-1", first: int = 1) -> str:
    serial = (await small.order(database, part="MOD", number=number))["MOD"][0]
    await small.module(database, serial, c1(first), "G1", upto=upto)
    return serial


async def a_pack(database: Database, upto: str) -> tuple[str, list[str]]:
    issued = await small.order(database)
    for n, serial in enumerate(issued["MOD"]):
        await small.module(database, serial, c1(1 + 4 * n), "G1")
    await small.pack(database, issued["PACK"][0], issued["MOD"], "B1-001", "S1", upto=upto)
    return issued["PACK"][0], list(issued["MOD"])


async def welding(database: Database, serial: str) -> dict[str, Any]:
    recipe = (await build.plan_of(database, serial)).steps["40"].recipe
    assert recipe is not None
    return {"recipe_digest": recipe.digest, "program_revision": "W7", "operator": "olga"}


async def test_a_step_that_fits_nothing_takes_nothing_out(plant: Database) -> None:
    pack, modules = await a_pack(plant, "80")
    out = [Removal(serial=modules[1], to="stock")]
    assert codes((await small.ask(plant, "ST-90", pack, removals=out)).refusals) == [Reason.REMOVAL_WRONG]
    await small.ask(plant, "ST-90", pack, cycle="out")
    told = await small.tell(plant, "ST-90", pack, cycle="out", removals=out)
    assert codes(told.findings) == [Reason.REMOVAL_WRONG]


async def test_a_step_far_back_that_does_not_stand_stops_the_last_one(plant: Database) -> None:
    pack, _ = await a_pack(plant, "80")
    leak = DisposeRequest(serial=pack, decision="rework", operation="70", reason="leaks")
    await plant.transact(dispose, leak, build.QUALITY)
    refused = await small.ask(plant, "ST-90", pack)
    assert codes(refused.refusals) == [Reason.PREDECESSOR_MISSING]
    assert "70" in refused.refusals[0].text


async def test_work_of_a_held_time_that_is_reported_later_is_held_too(plant: Database) -> None:
    first = await a_module(plant, "30")
    late = await a_module(plant, "30", number="WO-2", first=5)
    bad = CheckReport(station="ST-40", tool="LASER", kind="known_bad", verdict="failed")
    await plant.transact(record_check, bad, build.ACTOR)
    asked = await small.ask(plant, "ST-40", late, cycle="late", **await welding(plant, late))
    assert asked.granted
    await small.weld(plant, first, tool="LASER")
    clock.advance(timedelta(minutes=1))
    fooled = await plant.transact(record_check, bad.model_copy(update={"verdict": "passed"}), build.ACTOR)
    confirm = HoldSinceCheck(check=fooled.check, reason="laser drifted")
    held = await plant.transact(hold_since_check, confirm, build.QUALITY)
    await plant.transact(record_check, bad, build.ACTOR)
    clock.advance(timedelta(minutes=1))
    then = {"started_at": MORNING, "ended_at": MORNING}
    told = await small.tell(plant, "ST-40", late, cycle="late", **await welding(plant, late), **then)
    assert Reason.CHECK_FAILED not in codes(told.findings), "the station is mended by now"
    async with plant.reading() as session:
        assert held.containment in {hold.containment for hold in await holds(session, serial=late)}


async def test_a_station_whose_clock_is_wrong_lets_no_suspect_slip(plant: Database) -> None:
    serial = await a_module(plant, "30")
    ahead = {"started_at": MORNING + timedelta(hours=2), "ended_at": MORNING + timedelta(hours=2)}
    await small.weld(plant, serial, **ahead)
    window = StationWindow(station="ST-40", since=MORNING - timedelta(hours=1), until=MORNING + timedelta(minutes=1))
    found = await plant.transact(contain, ContainRequest(window=window, reason="suspected"), build.QUALITY)
    assert found.subjects == 1


async def test_an_intercept_of_a_part_s_own_route_stops_its_fitting(plant: Database) -> None:
    issued = await small.order(plant)
    await small.module(plant, issued["MOD"][0], c1(1), "G1")
    stop = ContainRequest(serial=issued["MOD"][0], reason="look at the weld", at_operation="40")
    await plant.transact(contain, stop, build.QUALITY)
    fitted = small.fit("MOD", [issued["MOD"][0]])
    refused = await small.ask(plant, "ST-60", issued["PACK"][0], components=fitted)
    assert codes(refused.refusals) == [Reason.COMPONENT_ON_HOLD]
    await small.tell(plant, "ST-60", issued["PACK"][0], ok=False, components=fitted)
    async with plant.reading() as session:
        inherited = [h for h in await holds(session, serial=issued["PACK"][0]) if h.reason == "look at the weld"]
    assert [hold.at_operation for hold in inherited] == [None]
    with pytest.raises(NotFound):
        await plant.transact(contain, stop.model_copy(update={"at_operation": "O40"}), build.QUALITY)


async def test_a_finished_unit_that_fails_again_is_not_finished(plant: Database) -> None:
    serial = await a_module(plant, "40")
    clock.advance(timedelta(minutes=31))
    people = {"operator": "olga", "second_operator": "omar"}
    for cycle in ("one", "two"):
        assert (await small.ask(plant, "ST-50", serial, cycle=cycle, **people)).granted
    await small.tell(plant, "ST-50", serial, cycle="one", **people)
    told = await small.tell(plant, "ST-50", serial, cycle="two", ok=False, **people)
    assert codes(told.findings) == [Reason.ALREADY_FINISHED]
    async with plant.reading() as session:
        assert (await history(session, serial)).state == "in_process"
        order = (await find_orders(session, "WO-1"))[0]
    assert (order.finished, order.state) == (0, "started")


async def test_what_is_used_is_open(plant: Database) -> None:
    await a_module(plant, "30")
    second = await a_module(plant, "21", number="WO-2", first=5)
    clock.advance(timedelta(days=1, minutes=1))
    assert codes((await small.ask(plant, "ST-30", second, lots=["G1"])).refusals) == [Reason.LOT_EXPIRED]


async def test_quality_decides_about_a_lot(plant: Database) -> None:
    serial = await a_module(plant, "21")
    reject = DisposeLotRequest(lot="G1", decision="reject", reason="purged")
    assert (await plant.transact(dispose_lot, reject, build.QUALITY)).state == "rejected"
    assert codes((await small.ask(plant, "ST-30", serial, lots=["G1"])).refusals) == [Reason.LOT_NOT_RELEASED]
    release = DisposeLotRequest(lot="G1", decision="release", reason="mixed up with G0")
    await plant.transact(dispose_lot, release, build.QUALITY)
    assert (await small.ask(plant, "ST-30", serial, lots=["G1"])).granted
    await plant.transact(contain, ContainRequest(lot="G1", reason="smells odd"), build.QUALITY)
    with pytest.raises(LotHeld):
        await plant.transact(open_lot, LotOpening(lot="G1"), build.ACTOR)


async def test_another_result_under_the_same_number_is_not_taken_for_a_repeat(plant: Database) -> None:
    serial = await a_module(plant, "21")
    await small.ask(plant, "ST-30", serial, cycle="c", lots=["G1"])
    await small.tell(plant, "ST-30", serial, cycle="c", lots=small.use("G1", "0.5"))
    await small.tell(plant, "ST-30", serial, cycle="c", lots=small.use("G1", "0.5"))
    with pytest.raises(CycleReused):
        await small.tell(plant, "ST-30", serial, cycle="c", lots=small.use("G1", "7"))


async def test_a_permit_for_one_step_covers_no_other(plant: Database) -> None:
    serial = await a_module(plant, "30")
    await small.weld(plant, serial, ok=False)
    assert (await small.ask(plant, "ST-40", serial, cycle="c")).operation == "41"
    told = await small.tell(plant, "ST-40", serial, cycle="c", operation="40", **await welding(plant, serial))
    assert told.operation == "40"
    assert {Reason.PERMIT_MISSING, Reason.REWORK_OPEN} <= set(codes(told.findings))


async def test_a_part_in_a_pack_is_not_moved_alone(plant: Database) -> None:
    _, modules = await a_pack(plant, "60")
    with pytest.raises(StillFitted):
        await plant.transact(move_stock, MoveRequest(serial=modules[0], location="Q-1"), build.ACTOR)


async def test_every_part_of_a_long_list_stands_in_the_finding(plant: Database) -> None:
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    many = [{"part": "CELL", "serial": f"GHOST-{n:04}", "position": 1} for n in range(200)]
    told = await small.tell(plant, "ST-10", serial, components=many)
    taken = next(found for found in told.findings if found.code == Reason.POSITION_TAKEN)
    assert "GHOST-0199" not in taken.text
    async with plant.reading() as session:
        whole = await session.driver.fetchval("SELECT facts->>'detail' FROM finding WHERE code = 'position_taken'")
    assert "GHOST-0199" in whole


async def test_a_permit_costs_eight_statements_at_most(plant: Database, statements: list[str]) -> None:
    await plant.close()  # connections opened from now on are listened to
    pack, _ = await a_pack(plant, "80")
    people = {"operator": "olga", "second_operator": "omar"}
    counts = []
    for station, serial, more in (("ST-90", pack, {}), ("ST-50", "M00001", {"lots": ["G1"], **people})):
        await small.ask(plant, station, serial, **more)
        statements.clear()
        await small.ask(plant, station, serial, components=small.fit("CELL", c1(9)), **more)
        counts.append(len(statements))
    assert counts == [6, 3], "a complete record is read at the one step that asks for it"
