"""Refusals, findings, repeats, and the number of statements behind each message."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from mes.db import Database
from mes.errors import Malformed
from mes.execution.messages import Component, ConsumedLot, CurveReport
from mes.execution.rules.words import WORDS, Reason
from mes.execution.subject import CycleReused
from mes.genealogy.trace import trace
from mes.measurements.service import unpack
from mes.orders.messages import OrderEvent
from mes.orders.service import move_order
from mes.quality.messages import ContainRequest
from mes.quality.queries import holds
from mes.quality.service import contain
from mes.records.audit import audit
from mes.records.queries import history
from tests.build import line as build


def codes(said: Any) -> list[str]:
    """The codes of refusals or findings."""
    return [one.code for one in said]


async def no_law_is_broken(database: Database) -> bool:
    """Whether the audit finds nothing."""
    async with database.reading() as session:
        return not any((await audit(session)).values())


async def test_each_first_rule_refuses_and_says_what_clears_it(plant: Database) -> None:
    shelf = await build.stock(plant, packs=2)
    serials = await build.order(plant, quantity=2)
    first, second = serials["M16S7P"]
    assert codes((await build.permit(plant, "NOWHERE", first)).refusals) == [Reason.STATION_UNKNOWN]
    assert codes((await build.permit(plant, "GC1-020", "GHOST")).refusals) == [Reason.UNIT_UNKNOWN]
    skipped = await build.permit(plant, "GC1-040", first)
    assert codes(skipped.refusals) == [Reason.PREDECESSOR_MISSING]
    assert "020" in skipped.refusals[0].clears
    assert codes((await build.permit(plant, "GC1-100", first)).refusals) == [Reason.NOT_IN_ROUTE]
    await build.module(plant, shelf, first, upto="020")
    assert codes((await build.permit(plant, "GC1-020", first)).refusals) == [Reason.STEP_PASSED]
    await plant.transact(move_order, OrderEvent(order="WO-1", event="hold"), build.ACTOR)
    await plant.transact(contain, ContainRequest(serial=second, reason="dropped"), build.ACTOR)
    refused = await build.permit(plant, "GC1-030", second)
    assert codes(refused.refusals) == [Reason.ON_HOLD, Reason.ORDER_NOT_RELEASED, Reason.PREDECESSOR_MISSING]
    assert "dropped" in refused.refusals[0].text
    async with plant.reading() as session:
        assert (await history(session, second)).refusals[0].reasons == codes(refused.refusals)


async def test_a_finished_unit_is_refused(plant: Database) -> None:
    shelf = await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    await build.module(plant, shelf, module)
    assert codes((await build.permit(plant, "GC1-090", module)).refusals) == [Reason.ALREADY_FINISHED]


async def test_a_permit_says_what_to_do(plant: Database) -> None:
    shelf = await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    await build.module(plant, shelf, module, upto="060")
    answer = await build.permit(plant, "GC1-070", module)
    assert answer.granted
    assert answer.recipe is not None
    assert answer.recipe.parameters["power_w"] == 1500
    assert (answer.characteristics[0].name, answer.characteristics[0].count) == ("power_w", 224)


async def test_a_repeat_gets_the_same_answer_and_has_no_second_effect(plant: Database) -> None:
    shelf = await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    first = await build.permit(plant, "GC1-020", module, cycle="7-1")
    assert await build.permit(plant, "GC1-020", module, cycle="7-1") == first
    refused = await build.permit(plant, "GC1-040", module, cycle="7-2")
    values = build.good_values((await build.plan_of(plant, module)).steps["020"])
    reported = await build.report(plant, "GC1-020", module, cycle="7-1", values=values)
    assert await build.report(plant, "GC1-020", module, cycle="7-1", values=values) == reported
    assert await build.permit(plant, "GC1-040", module, cycle="7-2") == refused
    async with plant.reading() as session:
        acts = await session.driver.fetchval("SELECT count(*) FROM act WHERE name LIKE 'execution.%'")
        cycles = await session.driver.fetchval("SELECT count(*) FROM cycle WHERE unit_id IS NOT NULL")
    assert (acts, cycles) == (2 + 3, 1)  # receiving the cells, then two permits and one report
    with pytest.raises(CycleReused):
        await build.permit(plant, "GC1-020", shelf.cells[0], cycle="7-1")


async def test_values_are_judged_here_and_the_stations_verdict_is_kept(plant: Database) -> None:
    await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    values = build.good_values((await build.plan_of(plant, module)).steps["020"])
    values["ocv_v"][4] = 3.1
    values["visual_ok"][0] = False
    values["height_mm"] = values["height_mm"][:-1]
    await build.permit(plant, "GC1-020", module, cycle="1-1")
    answer = await build.report(plant, "GC1-020", module, cycle="1-1", values=values)
    assert (answer.verdict, answer.station_verdict, answer.failure_count) == ("failed", "passed", 3)
    assert {(f.characteristic, f.index, f.value) for f in answer.failures} == {
        ("ocv_v", 5, 3.1),
        ("visual_ok", 1, False),
        ("height_mm", 112, None),
    }
    assert answer.findings == []
    assert (await build.permit(plant, "GC1-020", module)).granted, "a failed step may be done again"
    async with plant.reading() as session:
        cycle = (await history(session, module)).cycles[0]
    assert cycle.values["ocv_v"] == values["ocv_v"]
    assert cycle.values["height_mm"][-1] is None


async def test_a_report_that_cannot_be_understood_names_every_error(plant: Database) -> None:
    await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    wrong = {"ocv_v": [3.26] * 113, "acir_mohm": ["two", True], "weight": [1.0]}
    with pytest.raises(Malformed) as caught:
        await build.report(
            plant, "GC1-020", module, values=wrong, tool="HAMMER", components=[Component(part="WOOD", serial="W1")]
        )
    assert {error["at"] for error in caught.value.errors} == {
        "values.ocv_v",
        "values.acir_mohm.1",
        "values.acir_mohm.2",
        "values.weight",
        "tool",
        "components.1.part",
    }
    with pytest.raises(Malformed):
        await build.report(plant, "GC1-020", "GHOST")
    assert await no_law_is_broken(plant)


async def test_an_unasked_report_is_recorded_and_holds_the_unit(plant: Database) -> None:
    await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    answer = await build.report(plant, "GC1-050", module)
    assert codes(answer.findings) == [
        Reason.COMPONENT_MISSING,
        Reason.PREDECESSOR_MISSING,
        Reason.PERMIT_MISSING,
    ]
    assert codes((await build.permit(plant, "GC1-020", module)).refusals) == [Reason.ON_HOLD]


async def test_what_was_fitted_is_compared_with_the_record(plant: Database) -> None:
    shelf = await build.stock(plant, packs=2)
    first, second = (await build.order(plant, quantity=2))["M16S7P"]
    cells = list(shelf.cells)
    await build.module(plant, shelf, first, upto="040")
    await build.module(plant, shelf, second, upto="030")
    fitted = [Component(part="CELL-LFP-15", serial=s, position=n) for n, s in enumerate(cells[112:], start=1)]
    fitted[0] = Component(part="CELL-LFP-15", serial=cells[0], position=1)  # is in the other module
    fitted[1] = Component(part="CELL-LFP-15", serial="NEVER-SEEN", position=2)
    fitted[2] = Component(part="CELL-LFP-15", serial=cells[114], position=4)  # a position named twice
    fitted[4] = Component(part="BMS-16S", serial="BMS-16S-L1-0001", position=1)
    lots = [ConsumedLot(lot="HOLDER-7P-L1", quantity=Decimal(20_000)), ConsumedLot(lot="NO-LOT", quantity=Decimal(1))]
    await build.permit(plant, "GC1-040", second, cycle="9-9")
    answer = await build.report(plant, "GC1-040", second, cycle="9-9", components=fitted, lots=lots)
    assert codes(answer.findings) == [
        Reason.COMPONENT_ELSEWHERE,
        Reason.POSITION_TAKEN,
        Reason.COMPONENT_UNKNOWN,
        Reason.COMPONENT_WRONG,
        Reason.COMPONENT_MISSING,
        Reason.LOT_UNKNOWN,
        Reason.LOT_OVERDRAWN,
    ]
    async with plant.reading() as session:
        traced = await trace(session, second)
        assert not [gap for gap in (await trace(session, first)).tree.gaps if "CELL" in gap]
    assert "no unit known at" in " ".join(traced.tree.gaps)
    assert [n.gaps for n in traced.tree.inside if n.serial == "NEVER-SEEN"] == [["its lot is not known"]]
    assert await no_law_is_broken(plant)


async def test_a_permit_for_one_unit_covers_no_other(plant: Database) -> None:
    await build.stock(plant)
    first, second = (await build.order(plant, quantity=2))["M16S7P"]
    assert (await build.permit(plant, "GC1-020", first, cycle="p-1")).granted
    values = build.good_values((await build.plan_of(plant, second)).steps["020"])
    answer = await build.report(plant, "GC1-020", second, cycle="p-1", values=values)
    assert codes(answer.findings) == [Reason.PERMIT_MISSING]


async def test_another_result_under_a_used_cycle_number_is_not_swallowed(plant: Database) -> None:
    await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    await build.permit(plant, "GC1-020", module, cycle="p-1")
    await build.report(plant, "GC1-020", module, cycle="p-1")
    with pytest.raises(CycleReused):
        await build.report(plant, "GC1-020", module, cycle="p-1", verdict="failed")
    with pytest.raises(CycleReused):
        await build.report(plant, "GC1-020", module, cycle="p-1", ended_at=build.AT + timedelta(seconds=1))


async def test_a_passed_step_is_refused_in_the_words_of_a_refusal(plant: Database) -> None:
    shelf = await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    await build.module(plant, shelf, module, upto="020")
    assert (await build.permit(plant, "GC1-020", module)).refusals[0].clears == "Bring it to its next step: 030."


async def test_a_broken_report_does_not_release_a_lot(plant: Database) -> None:
    await build.receive_file(plant, "LOT-9", "CELL-LFP-15", build.cell_file("Z", 3))
    values = {"un383_test_summary": [True], "certificate_of_conformance": [True], "cell_file": [True]}
    values |= {"origin_declaration": [True], "charge_pct": [28.0], "cell_age_d": [30.0]}
    answer = await build.report(plant, "GC1-010", "LOT-9", values=values)
    assert (codes(answer.findings), answer.unit_state) == ([Reason.PERMIT_MISSING], "quarantined")


async def test_a_cancelled_act_leaves_no_broken_connection_behind(plant: Database) -> None:
    await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    for turns in range(12):
        task = asyncio.create_task(build.permit(plant, "GC1-020", module, cycle=f"cut-{turns}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await build.permit(plant, "GC1-020", module, cycle=f"whole-{turns}")).granted
    async with plant.reading() as session:
        kept = await session.driver.fetchval("SELECT count(*) FROM permit WHERE cycle LIKE 'whole-%'")
    assert kept == 12


async def test_a_pack_is_not_fitted_into_its_own_module(plant: Database) -> None:
    shelf = await build.stock(plant)
    serials = await build.order(plant)
    module, pack = serials["M16S7P"][0], serials["GC48-105"][0]
    await build.module(plant, shelf, module)
    await build.pack(plant, shelf, pack, module, upto="100")
    inside_out = [Component(part="GC48-105", serial=pack, position=1)]
    answer = await build.report(plant, "GC1-090", module, components=inside_out)
    assert Reason.COMPONENT_ELSEWHERE in codes(answer.findings)
    async with plant.reading() as session:
        assert (await trace(session, pack)).places == []


async def test_a_removed_component_keeps_its_history(plant: Database) -> None:
    shelf = await build.stock(plant)
    serials = await build.order(plant)
    module, pack = serials["M16S7P"][0], serials["GC48-105"][0]
    await build.module(plant, shelf, module)
    old, new = shelf.serials["BMS-16S"][:2]
    await build.report_step(plant, "GC1-100", pack, shelf, module, verdict="failed")
    async with plant.reading() as session:
        before = await trace(session, pack)
    swap = [Component(part="BMS-16S", serial=new)]
    await build.report_step(plant, "GC1-100", pack, shelf, module, components=swap, removals=[old])
    async with plant.reading() as session:
        after = await trace(session, pack)
        then = await trace(session, pack, before.as_of)
        places = (await trace(session, old)).places
    assert [n.serial for n in before.tree.inside if n.part == "BMS-16S"] == [old]
    assert [n.serial for n in after.tree.inside if n.part == "BMS-16S"] == [new]
    assert {n.serial for n in then.tree.inside} == {n.serial for n in before.tree.inside}
    assert [(p.parent, p.removed_at is not None) for p in places] == [(pack, True)]


async def test_a_held_part_hands_its_hold_on_until_it_is_released(plant: Database) -> None:
    shelf = await build.stock(plant)
    serials = await build.order(plant)
    module, pack = serials["M16S7P"][0], serials["GC48-105"][0]
    await build.module(plant, shelf, module, upto="030")
    held = await plant.transact(contain, ContainRequest(lot="CELL-L1", reason="dents"), build.ACTOR)
    assert held.held == []
    answer = await build.report_step(plant, "GC1-040", module, shelf)
    assert codes(answer.findings) == [Reason.COMPONENT_ON_HOLD]
    assert not (await build.permit(plant, "GC1-050", module)).granted
    async with plant.reading() as session:
        inherited = [h for h in await holds(session, serial=module) if h.containment == held.containment]
    assert [h.reason for h in inherited] == ["dents"]
    await build.release(plant, held.containment)
    async with plant.reading() as session:
        left = await holds(session, serial=module)
    assert len(left) == 1, "what the report broke is held for its own reason"
    assert (await build.permit(plant, "GC1-100", pack)).granted


async def test_a_curve_is_stored_bit_for_bit(plant: Database) -> None:
    shelf = await build.stock(plant)
    serials = await build.order(plant)
    module, pack = serials["M16S7P"][0], serials["GC48-105"][0]
    await build.module(plant, shelf, module)
    await build.pack(plant, shelf, pack, module, upto="100")
    x, y = [0.0, 0.1, 1 / 3], [0.0, 5.5, 12.000000000000002]
    curves = [CurveReport(characteristic="m8_torque_curve", ordinal=1, x=x, y=y)]
    await build.report_step(plant, "GC1-110", pack, shelf, module, curves=curves)
    async with plant.reading() as session:
        content = await session.driver.fetchval("SELECT content FROM curve")
    assert unpack(content) == (x, y)


async def test_statements_do_not_grow_with_values_and_components(plant: Database, statements: list[str]) -> None:
    shelf = await build.stock(plant, packs=2)
    first, second = (await build.order(plant, quantity=2))["M16S7P"]
    await build.module(plant, shelf, first, upto="050")
    counts: dict[str, tuple[int, int]] = {}
    for step in ("020", "030", "040", "050", "060", "070", "080", "090"):
        cycle = f"c-{step}"
        statements.clear()
        answer = await build.permit(plant, f"GC1-{step}", second, cycle)
        asked = len(statements)
        values = build.good_values((await build.plan_of(plant, second)).steps[step])
        cells = list(shelf.cells)
        components = [
            Component(part="CELL-LFP-15", serial=serial, position=n)
            for n, serial in enumerate(cells if step == "040" else (), start=1)
        ]
        lots = [ConsumedLot(lot=shelf.lots[c.part], quantity=1) for c in answer.components if c.trace == "lot"]
        statements.clear()
        await build.report(plant, f"GC1-{step}", second, cycle=cycle, values=values, components=components, lots=lots)
        counts[step] = (asked, len(statements))
    assert max(asked for asked, _ in counts.values()) <= 6, counts
    assert max(reported for _, reported in counts.values()) <= 12, counts
    assert counts["070"] == counts["080"], "1,120 values cost no more statements than 672"


async def test_the_worst_report_stays_within_twelve_statements(plant: Database, statements: list[str]) -> None:
    shelf = await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    await build.module(plant, shelf, module, upto="040")
    await plant.transact(contain, ContainRequest(lot="CELL-L1", reason="dents"), build.ACTOR)
    others = [Component(part="CELL-LFP-15", serial=f"{n}-UNKNOWN", position=n) for n in range(1, 9)]
    lots = [ConsumedLot(lot="ADHESIVE-2K-L1", quantity=Decimal("0.42"))]
    statements.clear()
    removals = [f"L1C{n:06}" for n in range(1, 9)]
    await build.report(plant, "GC1-050", module, components=others, lots=lots, removals=removals)
    assert len(statements) <= 12, "\n".join(statements)


def test_reasons_and_findings_all_have_their_words() -> None:
    assert set(WORDS) == set(Reason)
