"""Holds of every kind: what they find, what they stop, how they are inherited, and who signs them off."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mes import clock
from mes.actor import Actor, Role
from mes.db import Database
from mes.errors import Forbidden, NotFound
from mes.execution.rules.words import Reason
from mes.genealogy.trace import trace, where_used
from mes.materials.messages import LotReceipt
from mes.materials.service import receive_lot
from mes.orders.messages import OrderEvent, OrderRequest
from mes.orders.service import create_order, move_order
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.quality.messages import ContainRequest, ReleaseHoldRequest, ReleaseRequest, StationWindow
from mes.quality.queries import holds
from mes.quality.service import NothingOpen, SignedAlready, contain, release_containment, release_hold
from mes.records.audit import audit
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
    await small.cells(database, "C1", 12)
    await small.lot(database, "G1", "GLUE")
    await small.certify_two(database)
    return database


async def hold(database: Database, **request: Any) -> Any:
    return await database.transact(contain, ContainRequest(**({"reason": "suspected"} | request)), build.QUALITY)


async def reasons(database: Database, station: str, serial: str, **more: Any) -> list[Reason]:
    return codes((await small.ask(database, station, serial, **more)).refusals)


@pytest.mark.parametrize("scanned", ["]C100106141412345678908", "00106141412345678908", "106141412345678908"])
async def test_a_carton_is_held_by_its_label(plant: Database, scanned: str) -> None:
    content = b"Serial,Carton\nX1,00106141412345678908\nX2,Box 7 of 9\n"
    await build.receive_file(plant, "X", "CELL", content)
    for carton in (scanned, "Box 7 of 9"):
        assert (await hold(plant, carton=carton)).subjects == 1


async def test_a_carton_holds_its_cells_and_what_they_are_in(plant: Database) -> None:
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    await small.module(plant, serial, c1(1), "G1", upto="21")
    held = await hold(plant, carton="C1-K0")
    assert (held.subjects, held.held) == (4, [serial])
    assert await reasons(plant, "ST-30", serial, lots=["G1"]) == [Reason.ON_HOLD]
    with pytest.raises(NotFound):
        await hold(plant, carton="C1-K99")


async def test_a_date_code_holds_the_lots_that_have_it(plant: Database) -> None:
    for number, code, supplier in (("S1", "2640", "Acme"), ("S2", "2640", "Bolt"), ("S3", "2641", "Acme")):
        receipt = LotReceipt(
            lot=number, part="SCREW", quantity=Decimal(9), supplier=supplier, supplier_lot="x", country="US",
            date_code=code,
        )  # fmt: skip
        await plant.transact(receive_lot, receipt, build.ACTOR)
    assert (await hold(plant, date_code="2640", supplier="Bolt")).subjects == 1
    assert (await hold(plant, date_code="2640")).subjects == 2
    async with plant.reading() as session:
        assert [len(await holds(session, lot=number)) for number in ("S1", "S2", "S3")] == [1, 2, 0]


async def test_an_order_s_hold_covers_all_its_units_and_what_they_are_in(plant: Database) -> None:
    modules = (await small.order(plant, part="MOD", quantity=2))["MOD"]
    await small.module(plant, modules[0], c1(1), "G1")
    pack = (await small.order(plant, number="WO-2"))["PACK"][0]
    await small.cells(plant, "B1", 1, "BOARD")
    await small.work(plant, "ST-60", pack, ok=False, components=small.fit("MOD", [modules[0]]))
    held = await hold(plant, order="WO-1")
    assert held.held == [pack]
    assert Reason.ON_HOLD in await reasons(plant, "ST-60", pack)
    assert await reasons(plant, "ST-10", modules[1]) == [Reason.ON_HOLD]
    await build.release(plant, held.containment)
    assert await reasons(plant, "ST-10", modules[1]) == []


async def test_an_order_held_before_its_release_holds_what_it_issues(plant: Database) -> None:
    await plant.transact(create_order, OrderRequest(order="WO-9", part="MOD", quantity=1), build.ACTOR)
    await hold(plant, order="WO-9")
    await plant.transact(move_order, OrderEvent(order="WO-9", event="release"), build.ACTOR)
    async with plant.reading() as session:
        serial = await session.driver.fetchval("SELECT serial FROM unit WHERE order_id IS NOT NULL")
    assert await reasons(plant, "ST-10", serial) == [Reason.ON_HOLD]


async def test_a_part_of_a_held_order_hands_the_hold_on(plant: Database) -> None:
    module = (await small.order(plant, part="MOD"))["MOD"][0]
    await small.module(plant, module, c1(1), "G1")
    await hold(plant, order="WO-1")
    pack = (await small.order(plant, number="WO-2"))["PACK"][0]
    assert await reasons(plant, "ST-60", pack, components=small.fit("MOD", [module])) == [Reason.COMPONENT_ON_HOLD]
    told = await small.tell(plant, "ST-60", pack, ok=False, components=small.fit("MOD", [module]))
    assert Reason.COMPONENT_ON_HOLD in codes(told.findings)
    async with plant.reading() as session:
        assert "suspected" in {h.reason for h in await holds(session, serial=pack)}


async def test_a_station_window_holds_what_passed_with_this_tool_and_program(plant: Database) -> None:
    serials = (await small.order(plant, part="MOD", quantity=2))["MOD"]
    for n, serial in enumerate(serials):
        await small.module(plant, serial, c1(1 + 4 * n), "G1", upto="30")
        await small.weld(plant, serial, tool="LASER" if n else "LASER-2")
        clock.advance(timedelta(minutes=1))
    window = {"station": "ST-40", "since": MORNING, "until": MORNING + timedelta(hours=1)}
    assert (await hold(plant, window=StationWindow(**window))).subjects == 2
    with_tool = await hold(plant, window=StationWindow(**window, tool="LASER", program_revision="W7"))
    assert with_tool.subjects == 1
    with pytest.raises(NotFound):
        await hold(plant, window=StationWindow(**window | {"station": "ST-50"}))


async def test_two_roles_sign_and_one_person_never_for_both(plant: Database) -> None:
    held = await hold(plant, lot="G1")
    message = ReleaseRequest(containment=held.containment, reason="retested")
    with pytest.raises(Forbidden):
        await plant.transact(release_containment, message, Actor("op", Role.OPERATOR))
    first = await plant.transact(release_containment, message, build.QUALITY)
    assert (first.released, first.waiting, first.owed) == (0, 1, ["supervisor"])
    with pytest.raises(SignedAlready):
        await plant.transact(release_containment, message, Actor("quinn", Role.SUPERVISOR))
    with pytest.raises(Forbidden):
        await plant.transact(release_containment, message, Actor("quentin", Role.QUALITY))
    async with plant.reading() as session:
        assert (await holds(session, lot="G1"))[0].signed == ["quality quinn"]
    last = await plant.transact(release_containment, message, build.SUPERVISOR)
    assert (last.released, last.waiting) == (1, 0)
    with pytest.raises(NothingOpen):
        await plant.transact(release_containment, message, build.SUPERVISOR)
    async with plant.reading() as session:
        assert (await holds(session, lot="G1", open_only=False))[0].released_by == "quinn, sam"


async def test_an_administrator_stands_in_for_one_role_only(plant: Database) -> None:
    held = await hold(plant, lot="G1")
    message = ReleaseRequest(containment=held.containment, reason="retested")
    assert (await plant.transact(release_containment, message, build.ACTOR)).waiting == 1
    with pytest.raises(SignedAlready):
        await plant.transact(release_containment, message, build.ACTOR)


async def test_each_hold_has_its_own_release(plant: Database) -> None:
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    await hold(plant, serial=serial, release_roles=["quality"], reason="scratch")
    await hold(plant, serial=serial, release_roles=["supervisor"], reason="wrong label")
    refused = await small.ask(plant, "ST-10", serial)
    assert "scratch" in refused.refusals[0].text
    assert "wrong label" in refused.refusals[0].text
    async with plant.reading() as session:
        label, scratch = await holds(session, serial=serial)
    with pytest.raises(Forbidden):
        await plant.transact(release_hold, ReleaseHoldRequest(hold=label.hold, reason="relabelled"), build.QUALITY)
    await plant.transact(release_hold, ReleaseHoldRequest(hold=scratch.hold, reason="polished"), build.QUALITY)
    assert await reasons(plant, "ST-10", serial) == [Reason.ON_HOLD]
    await plant.transact(release_hold, ReleaseHoldRequest(hold=label.hold, reason="relabelled"), build.SUPERVISOR)
    assert await reasons(plant, "ST-10", serial) == []


async def test_an_intercept_travels_with_the_part(plant: Database) -> None:
    issued = await small.order(plant)
    await small.cells(plant, "B1", 1, "BOARD")
    modules, pack = issued["MOD"], issued["PACK"][0]
    for n, serial in enumerate(modules):
        await small.module(plant, serial, c1(1 + 4 * n), "G1")
    await hold(plant, serial=modules[0], at_operation="80", reason="look before closing")
    fitted = [*small.fit("MOD", modules), *small.fit("BOARD", ["B1-001"])]
    told = await small.work(plant, "ST-60", pack, components=fitted)
    assert not told.findings, "the hold lets it be fitted, and goes along"
    await small.work(plant, "ST-70", pack)
    refused = await small.ask(plant, "ST-80", pack)
    assert codes(refused.refusals) == [Reason.ON_HOLD]
    assert "look before closing" in refused.refusals[0].text


async def test_a_hold_on_shipping_stops_the_last_step_alone(plant: Database) -> None:
    issued = await small.order(plant)
    await small.cells(plant, "B1", 1, "BOARD")
    await small.lot(plant, "S1", "SCREW")
    for n, serial in enumerate(issued["MOD"]):
        await small.module(plant, serial, c1(1 + 4 * n), "G1")
    pack = issued["PACK"][0]
    await hold(plant, serial=pack, stops=["ship"], reason="papers missing")
    await small.pack(plant, pack, issued["MOD"], "B1-001", "S1", upto="80")
    assert await reasons(plant, "ST-90", pack) == [Reason.ON_HOLD]


async def test_a_lot_s_own_finding_holds_the_lot(plant: Database) -> None:
    route = {"part": "SCREW", "route": [small.step("05"), small.step("06")]}
    site = small.PLANT["sites"][0]
    line = site["lines"][0]
    stations = [*line["stations"], {"code": "ST-06", "name": "06", "operations": ["06"]}]
    files = {"sites": [site | {"lines": [line | {"stations": stations}]}], "products": [route]}
    await plant.transact(apply_plan, PlantFiles.model_validate(files), build.ACTOR)
    await small.lot(plant, "S1", "SCREW")
    told = await small.tell(plant, "ST-06", "S1")
    assert codes(told.findings) == [Reason.PREDECESSOR_MISSING, Reason.PERMIT_MISSING]
    assert await reasons(plant, "ST-06", "S1") == [Reason.ON_HOLD, Reason.STEP_PASSED]


async def test_a_serial_first_heard_in_a_report_gets_its_lot_when_it_is_received(plant: Database) -> None:
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    told = await small.tell(plant, "ST-10", serial, components=small.fit("CELL", ["C9-001", *c1(2, 3)]))
    assert Reason.COMPONENT_UNKNOWN in codes(told.findings)
    clock.advance(timedelta(hours=1))
    await small.cells(plant, "C9", 2)
    async with plant.reading() as session:
        assert [user.serial for user in (await where_used(session, "C9")).packs] == [serial]
        tree = (await trace(session, serial)).tree
        assert next(node.lot for node in tree.inside if node.serial == "C9-001") == "C9"
        assert not any((await audit(session)).values())
    assert (await hold(plant, lot="C9")).held == [serial]


async def test_a_clock_set_back_refuses_no_fact(plant: Database) -> None:
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    await small.module(plant, serial, c1(1), "G1", upto="30")
    await small.weld(plant, serial, ok=False)
    clock.advance(timedelta(hours=-2))
    swap = {"removals": [{"serial": "C1-001", "to": "scrap"}], "components": small.fit("CELL", ["C1-009"])}
    told = await small.work(plant, "ST-40", serial, **swap)
    assert not told.findings
    async with plant.reading() as session:
        inside = {node.serial for node in (await trace(session, serial)).tree.inside}
    assert "C1-009" in inside
    assert "C1-001" not in inside
