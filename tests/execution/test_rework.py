"""Rework: a failed step opens it, parts come out and others go in, both histories show it, limits lead to review."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mes import clock
from mes.db import Database
from mes.execution.messages import Removal
from mes.execution.rules.words import Reason
from mes.genealogy.trace import trace
from mes.orders.queries import find_orders
from mes.quality.dispositions import NotPossible, StillFitted, dispose, record_retest
from mes.quality.messages import DisposeRequest, ReleaseHoldRequest, RetestReport
from mes.quality.queries import holds
from mes.quality.service import release_hold
from mes.records.audit import audit
from mes.records.queries import history
from tests.build import line as build
from tests.build import small
from tests.build.small import c1, codes


@pytest.fixture(autouse=True)
def morning() -> Iterator[None]:
    with clock.held(datetime(2026, 11, 23, 8, 0, tzinfo=UTC)):
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


async def state_of(database: Database, serial: str) -> str:
    async with database.reading() as session:
        return (await history(session, serial)).state


async def is_clean(database: Database) -> bool:
    async with database.reading() as session:
        return not any((await audit(session)).values())


async def test_a_failed_step_is_tried_again_after_its_rework_alone(plant: Database) -> None:
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    await small.module(plant, serial, c1(1), "G1", upto="30")
    assert Reason.REWORK_NOT_OPEN in codes((await small.ask(plant, "ST-40", serial, operation="41")).refusals)
    await small.weld(plant, serial, ok=False)
    held = {
        "recipe_digest": (await build.plan_of(plant, serial)).steps["40"].recipe.digest,
        "program_revision": "W7",
        "operator": "olga",
    }
    again = await small.ask(plant, "ST-40", serial, operation="40", **held)
    assert codes(again.refusals) == [Reason.REWORK_OPEN]
    # the station does both operations: asked without a word, it is told the one that is next
    swap = {"removals": [Removal(serial="C1-002", to="scrap")], "components": small.fit("CELL", ["C1-009"], 2)}
    done = await small.work(plant, "ST-40", serial, **swap)
    assert done.operation == "41"
    assert not done.findings
    # the rework voids step 20, and with it what stands on it
    refused = await small.ask(plant, "ST-40", serial, operation="40", **held)
    assert codes(refused.refusals) == [Reason.PREDECESSOR_MISSING]
    assert "20" in refused.refusals[0].text
    async with plant.reading() as session:
        tree = (await trace(session, serial)).tree
        out = await history(session, "C1-002")
    assert {node.serial for node in tree.inside if node.position} == {"C1-001", "C1-009", "C1-003", "C1-004"}
    assert (out.state, [d.decision for d in out.dispositions]) == ("scrapped", ["scrap"])
    assert out.places[0].parent == serial
    assert out.places[0].removed_at is not None
    assert await is_clean(plant)


async def test_a_rework_makes_what_it_repeats_void(plant: Database) -> None:
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    await small.module(plant, serial, c1(1), "G1", upto="30")
    await small.weld(plant, serial, ok=False)
    await small.work(plant, "ST-40", serial)
    await small.work(plant, "ST-20", serial)
    await small.weld(plant, serial)
    clock.advance(timedelta(minutes=31))
    await small.work(plant, "ST-50", serial, operator="olga", second_operator="omar")
    assert await state_of(plant, serial) == "finished"


@pytest.mark.parametrize(("to", "state"), [("scrap", "scrapped"), ("stock", "removed"), ("review", "removed")])
async def test_what_comes_out_goes_where_the_report_says(plant: Database, to: str, state: str) -> None:
    serial = (await small.order(plant, part="MOD", quantity=2))["MOD"]
    await small.module(plant, serial[0], c1(1), "G1", upto="30")
    await small.weld(plant, serial[0], ok=False)
    swap = [Removal(serial="C1-001", to=to)]
    await small.work(plant, "ST-40", serial[0], removals=swap, components=small.fit("CELL", ["C1-010"]))
    assert await state_of(plant, "C1-001") == state
    async with plant.reading() as session:
        told = "SELECT count(*) FROM outbox WHERE topic = 'hold' AND payload ->> 'serial' = 'C1-001'"
        assert await session.driver.fetchval(told) == (1 if to == "review" else 0)
    fitting = await small.ask(plant, "ST-10", serial[1], components=small.fit("CELL", c1(1)))
    expected = {
        "scrap": Reason.COMPONENT_SCRAPPED,
        "stock": Reason.COMPONENT_UNTESTED,
        "review": Reason.COMPONENT_ON_HOLD,
    }
    assert expected[to] in codes(fitting.refusals)
    assert Reason.COMPONENT_ELSEWHERE in codes(fitting.refusals), "the others are still in the first"
    if to == "stock":
        await plant.transact(
            record_retest, RetestReport(serial="C1-001", verdict="passed", reason="OCV and ACIR good"), build.QUALITY
        )
        again = await small.ask(plant, "ST-10", serial[1], components=small.fit("CELL", ["C1-001"]))
        assert again.granted, again.refusals
    if to == "scrap":
        with pytest.raises(NotPossible):
            await plant.transact(
                record_retest, RetestReport(serial="C1-001", verdict="passed", reason="looks fine"), build.QUALITY
            )
    assert await is_clean(plant)


async def test_too_many_failures_lead_to_the_review_board(plant: Database) -> None:
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    await small.module(plant, serial, c1(1), "G1", upto="30")
    await small.weld(plant, serial, ok=False)
    await small.work(plant, "ST-40", serial)
    await small.work(plant, "ST-20", serial)
    await small.weld(plant, serial, ok=False)
    async with plant.reading() as session:
        open_ = await holds(session, serial=serial)
    assert "review board" in open_[0].reason
    await plant.transact(release_hold, ReleaseHoldRequest(hold=open_[0].hold, reason="board met"), build.QUALITY)
    await small.work(plant, "ST-40", serial)
    refused = await small.ask(plant, "ST-40", serial, operation="40")
    assert Reason.ATTEMPTS_EXHAUSTED in codes(refused.refusals)
    decision = DisposeRequest(serial=serial, decision="rework", operation="40", reason="board: one more try")
    await plant.transact(dispose, decision, build.QUALITY)
    async with plant.reading() as session:
        told = await session.driver.fetch(
            "SELECT topic, payload ->> 'serial' AS serial FROM outbox ORDER BY id DESC LIMIT 1"
        )
    assert [tuple(row) for row in told] == [("unit", serial)], "gateways hear of it, though its state stays as it was"
    assert Reason.REWORK_OPEN in codes((await small.ask(plant, "ST-40", serial, operation="40")).refusals)
    await small.work(plant, "ST-40", serial)
    await small.work(plant, "ST-20", serial)
    assert not (await small.weld(plant, serial)).findings


async def test_a_module_is_swapped_in_a_finished_pack(plant: Database) -> None:
    issued = await small.order(plant)
    extra = (await small.order(plant, number="WO-2", part="MOD"))["MOD"][0]
    first, second = issued["MOD"]
    pack = issued["PACK"][0]
    for n, serial in enumerate((first, second, extra)):
        await small.module(plant, serial, c1(1 + 4 * n), "G1")
    await small.pack(plant, pack, [first, second], "B1-001", "S1")
    assert await state_of(plant, pack) == "finished"
    with pytest.raises(StillFitted):
        await plant.transact(dispose, DisposeRequest(serial=first, decision="scrap", reason="dented"), build.QUALITY)
    await plant.transact(
        dispose, DisposeRequest(serial=pack, decision="rework", operation="70", reason="weak group"), build.QUALITY
    )
    async with plant.reading() as session:
        order = (await find_orders(session, "WO-1"))[0]
    assert (order.finished, order.state) == (0, "started")
    assert codes((await small.ask(plant, "ST-90", pack)).refusals) == [Reason.STEP_PASSED]
    assert codes((await small.ask(plant, "ST-70", pack)).refusals) == [Reason.REWORK_OPEN]
    swap = {"removals": [Removal(serial=second, to="stock")], "components": small.fit("MOD", [extra], 2)}
    assert not (await small.work(plant, "ST-71", pack, **swap)).findings
    for operation in ("70", "80"):
        await small.work(plant, f"ST-{operation}", pack)
    # step 90 was passed before, and the rework does not repeat it
    assert await state_of(plant, pack) == "finished"
    async with plant.reading() as session:
        order = (await find_orders(session, "WO-1"))[0]
        inside = {node.serial for node in (await trace(session, pack)).tree.inside if node.part == "MOD"}
        out = await history(session, second)
    assert (order.finished, order.state, inside) == (1, "completed", {first, extra})
    assert (out.state, out.places[0].parent) == ("removed", pack)
    assert await is_clean(plant)


async def test_a_part_split_off_is_tested_and_joined_again(plant: Database) -> None:
    issued = await small.order(plant)
    pack, (first, second) = issued["PACK"][0], issued["MOD"]
    for n, serial in enumerate((first, second)):
        await small.module(plant, serial, c1(1 + 4 * n), "G1")
    await small.pack(plant, pack, [first, second], "B1-001", "S1", upto="60")
    await small.work(plant, "ST-70", pack, ok=False)
    await small.work(plant, "ST-71", pack, ok=False, removals=[Removal(serial=second, to="stock")])
    refused = await small.ask(plant, "ST-71", pack, components=small.fit("MOD", [second], 2))
    assert codes(refused.refusals) == [Reason.COMPONENT_UNTESTED]
    await plant.transact(
        record_retest, RetestReport(serial=second, verdict="passed", reason="test 50 repeated"), build.QUALITY
    )
    joined = await small.work(plant, "ST-71", pack, components=small.fit("MOD", [second], 2))
    assert not joined.findings
    async with plant.reading() as session:
        places = (await history(session, second)).places
    assert [place.parent for place in places] == [pack, pack]
    assert await is_clean(plant)


async def test_scrap_ends_a_unit(plant: Database) -> None:
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    await small.module(plant, serial, c1(1), "G1", upto="21")
    await plant.transact(dispose, DisposeRequest(serial=serial, decision="scrap", reason="dropped"), build.QUALITY)
    assert codes((await small.ask(plant, "ST-30", serial)).refusals)[0] == Reason.SCRAPPED
    told = await small.tell(plant, "ST-30", serial, lots=small.use("G1", "0.5"))
    assert Reason.SCRAPPED in codes(told.findings)
    assert await state_of(plant, serial) == "scrapped"
    with pytest.raises(NotPossible):
        await plant.transact(
            dispose, DisposeRequest(serial=serial, decision="rework", operation="20", reason="regret"), build.QUALITY
        )
