"""Kits: matched, bound to units, checked at the slot, given back."""

from datetime import timedelta
from typing import Any

import pytest

from mes import clock
from mes.db import Database
from mes.errors import Conflict, Malformed
from mes.execution.messages import Component, PermitRequest
from mes.execution.permits import request_permit
from mes.execution.rules.words import Reason
from mes.kits.messages import CellAssignment, KitRelease
from mes.kits.service import CellNotFree, KitNotReserved, NoMatchingRules, NothingToKit, assign_cell, release_kit
from mes.materials.deliveries import announce_delivery, scan_carton
from mes.materials.messages import CartonArrival, DeliveryNotice, LotSplit
from mes.orders.messages import OrderEvent, OrderRequest
from mes.orders.service import create_order, move_order
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.quality.lots import split_lot
from mes.quality.messages import ContainRequest
from mes.quality.service import contain
from tests.build import line as build
from tests.build import matched
from tests.build.small import FILE, codes, step


def parts(cells: list[str], **more: Any) -> list[Component]:
    """Cells at their positions."""
    return [Component(part="CELL", serial=serial, position=n, **more) for n, serial in enumerate(cells, start=1)]


async def cells_of(database: Database, name: str) -> list[str]:
    """A kit's cells by position."""
    return [cell.serial for cell in (await matched.kit(database, name)).cells]


def unused(*kits: list[str]) -> str:
    """A graded cell that is in none of these kits."""
    taken = {cell for kit in kits for cell in kit}
    return next(name for n in range(1, 61) if (name := f"L1-{n:04}") not in taken)


async def ask(database: Database, unit: str, components: list[Component], number: str = "c1") -> dict[str, str]:
    """Ask for the step that fits cells; the refusals' texts by code."""
    message = PermitRequest(station="ST-10", cycle=number, asker="plc", serial=unit, components=components)
    answer = await database.transact(request_permit, message, build.ACTOR)
    return {refusal.code: refusal.text for refusal in answer.refusals}


async def test_the_kits_cells_pass_and_are_used(database: Database) -> None:
    unit = (await matched.ready(database))["MOD"][0]
    cells = await cells_of(database, unit)
    assert len(set(cells)) == 12
    assert await ask(database, unit, parts(cells, read_position=None, polarity_ok=True)) == {}
    done = await build.report(database, "ST-10", unit, components=parts(cells), values={"ok": [True]}, cycle="c1")
    assert done.findings == []
    kit = await matched.kit(database, unit)
    assert kit.kit.state == "used"
    assert [cell.serial for cell in kit.cells] == cells
    with pytest.raises(KitNotReserved, match="is used"):
        await database.transact(release_kit, KitRelease(kit=kit.kit.kit, reason="not needed"), build.ACTOR)


async def test_a_wrong_cell_at_the_slot_is_refused(database: Database) -> None:
    first, second = (await matched.ready(database))["MOD"]
    mine, other = await cells_of(database, first), await cells_of(database, second)
    number = (await matched.kit(database, first)).kit.kit
    foreign = (await matched.kit(database, second)).kit.kit
    loose = unused(mine, other)
    said = await ask(database, first, parts([other[0], *mine[1:]]), "c1")
    assert said == {
        Reason.NOT_FROM_KIT: f"Not the cell that the kit has for the position: {other[0]} at 1: it is "
        f"reserved in kit {foreign}."
    }
    said = await ask(database, first, parts([loose, *mine[1:]]), "c2")
    assert said == {
        Reason.NOT_FROM_KIT: f"Not the cell that the kit has for the position: {loose} at 1: kit {number} hasn't it."
    }
    # within a group the cells stand in parallel: their order says nothing
    assert await ask(database, first, parts([mine[1], mine[0], *mine[2:]]), "c3") == {}
    said = await ask(database, first, parts([mine[3], *mine[1:3], mine[0], *mine[4:]]), "c4")
    assert f"{mine[3]} at 1: kit {number} has it at 4" in said[Reason.NOT_FROM_KIT]
    turned = [Component(part="CELL", serial=mine[0], position=1, polarity_ok=False), *parts(mine)[1:]]
    assert list(await ask(database, first, turned, "c5")) == [Reason.POLARITY_REVERSED]
    moved = [Component(part="CELL", serial=mine[0], position=1, read_position=2), *parts(mine)[1:]]
    said = await ask(database, first, moved, "c6")
    assert said == {
        Reason.SLOT_WRONG: f"The station reads another slot than was meant: CELL {mine[0]} at 1, read at 2."
    }


async def test_no_swap_means_none(database: Database) -> None:
    unit = (await matched.ready(database, matched.plant(matching={"swap": "none"})))["MOD"][0]
    cells = await cells_of(database, unit)
    assert list(await ask(database, unit, parts([cells[1], cells[0], *cells[2:]]))) == [Reason.NOT_FROM_KIT]


async def test_a_cell_in_stock_stands_in_where_the_groups_keep_their_limits(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(matching={"swap": "stock"}), build.ACTOR)
    await matched.graded(database)
    odd = await matched.receive(database, "ODD", 2, seed=7)
    await matched.test(database, [matched.reading(odd[0], h, capacity_ah=14.2) for h in (0.0, 48.0)])
    await matched.grade(database, "ODD")
    unit = (await matched.order(database))["MOD"][0]
    await matched.match(database, order="W1", lots=["L1"])
    cells = await cells_of(database, unit)
    kit = await matched.kit(database, unit)
    free = unused(cells, await cells_of(database, (await matched.order_modules(database))[1]))
    weak = await ask(database, unit, parts([odd[0], *cells[1:]]), "c1")
    assert "with it breaks its rules: group 1: 2 lots, at most 1 allowed" in weak[Reason.NOT_FROM_KIT]
    ungraded = await ask(database, unit, parts([odd[1], *cells[1:]]), "c2")
    assert f"{odd[1]} at 1: it can be in no kit: no grade" in ungraded[Reason.NOT_FROM_KIT]
    assert await ask(database, unit, parts([free, *cells[1:]]), "c3") == {}
    done = await build.report(
        database, "ST-10", unit, components=parts([free, *cells[1:]]), values={"ok": [True]}, cycle="c3"
    )
    assert done.findings == []
    assert await cells_of(database, kit.kit.kit) == [free, *cells[1:]]
    now = await matched.kit(database, kit.kit.kit)
    sums = [sum(cell.capacity_ah or 0 for cell in now.cells if cell.group == group) for group in range(1, 5)]
    assert now.kit.group_spread_pct == pytest.approx(100 * (max(sums) - min(sums)) / (sum(sums) / 4))
    assert now.kit.group_spread_pct > kit.kit.group_spread_pct, "the figures are those of the cells it has now"
    again = await matched.match(database, part="MOD")
    assert cells[0] in {cell for one in again.kits for cell in await cells_of(database, one.kit)}, "it is free again"


async def test_a_unit_without_a_kit_waits_for_one(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    cells = await matched.graded(database)
    unit = (await matched.order(database))["MOD"][0]
    said = await ask(database, unit, parts(cells[:12]))
    assert said == {Reason.KIT_MISSING: f"{unit} has no kit of matched cells: 12 cells are to be fitted."}
    # a fact is recorded all the same, and the unit is held
    done = await build.report(database, "ST-10", unit, components=parts(cells[:12]), values={"ok": [True]}, cycle="c1")
    assert Reason.KIT_MISSING in codes(done.findings)


async def test_what_was_fitted_instead_is_what_the_kit_has(database: Database) -> None:
    first, second = (await matched.ready(database))["MOD"]
    mine, other = await cells_of(database, first), await cells_of(database, second)
    done = await build.report(database, "ST-10", first, components=parts([other[0], *mine[1:]]), values={"ok": [True]})
    assert codes(done.findings) == [Reason.NOT_FROM_KIT, Reason.PERMIT_MISSING]
    assert await cells_of(database, first) == [other[0], *mine[1:]]
    assert await cells_of(database, second) == other[1:]
    again = await matched.match(database, part="MOD")
    assert mine[0] in {cell for one in again.kits for cell in await cells_of(database, one.kit)}


async def test_a_cell_that_came_out_is_in_no_kit_and_another_is_assigned(database: Database) -> None:
    unit, spare = (await matched.ready(database))["MOD"]
    cells = await cells_of(database, unit)
    await build.permit(database, "ST-10", unit, "c1")
    await build.report(database, "ST-10", unit, components=parts(cells), values={"ok": [True]}, cycle="c1")
    await build.report(database, "ST-20", unit, values={"ok": [False]})
    await build.report(database, "ST-25", unit, removals=[{"serial": cells[4], "to": "scrap"}], values={"ok": [True]})
    kit = await matched.kit(database, unit)
    assert [cell.position for cell in kit.cells] == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12]
    taken = (await cells_of(database, spare))[0]
    free = unused(cells, await cells_of(database, spare))
    assign: dict[str, Any] = {"kit": kit.kit.kit, "position": 5, "reason": "weak cell"}
    with pytest.raises(CellNotFree, match="it isn't a graded, free cell"):
        await database.transact(assign_cell, CellAssignment(serial=taken, **assign), build.QUALITY)
    with pytest.raises(CellNotFree, match="positions are 1 to 12"):
        await database.transact(assign_cell, CellAssignment(serial=free, **(assign | {"position": 13})), build.QUALITY)
    filled = await database.transact(assign_cell, CellAssignment(serial=free, **assign), build.QUALITY)
    assert filled.cells[4].serial == free


async def test_a_kit_that_is_not_used_gives_its_cells_back(database: Database) -> None:
    unit = (await matched.ready(database, quantity=5))["MOD"][0]
    kit = await matched.kit(database, unit)
    with pytest.raises(NothingToKit, match="no piece that waits"):
        await matched.match(database, order="W1")
    empty = await matched.match(database, part="MOD")
    assert (empty.pool, empty.kits) == (0, [])
    released = await database.transact(release_kit, KitRelease(kit=kit.kit.kit, reason="order cut"), build.ACTOR)
    assert released.kit.state == "released"
    assert len(released.cells) == 12, "what it had stays on record"
    again = await matched.match(database, order="W1")
    assert [one.unit for one in again.kits] == [unit]
    assert again.pool == 12


async def test_what_is_held_damaged_awaited_or_ungraded_is_in_no_pool(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    await matched.graded(database)
    await announce(database, "L1-B1", "L1-B2")
    await database.transact(scan_carton, CartonArrival(code="L1-B1", is_damaged=True, note="dent"), build.ACTOR)
    await database.transact(contain, ContainRequest(serial="L1-0060", reason="fell down"), build.QUALITY)
    await matched.receive(database, "RAW", 12)
    answer = await matched.match(database, part="MOD")
    assert answer.pool == 60 - 1
    assert answer.left["its carton is damaged or hasn't arrived"] == 10 + 10
    assert answer.notes == ["lot RAW isn't graded"]
    none = await matched.match(database, part="MOD", lots=["RAW", "NONE"])
    assert none.notes == ["lot RAW isn't graded", "lot NONE isn't known, or is of another part"]
    assert len(answer.kits) == 3
    assert sum(answer.left.values()) == 59 - 36
    used = {cell for one in answer.kits for cell in await cells_of(database, one.kit)}
    assert used <= {f"L1-{n:04}" for n in range(21, 60)}
    await database.transact(contain, ContainRequest(lot="L1", reason="bad lot"), build.QUALITY)
    empty = await matched.match(database, part="MOD")
    assert (empty.pool, empty.notes[0]) == (0, "lot L1 is on hold")


async def test_two_who_match_at_once_share_no_cell(database: Database) -> None:
    import asyncio

    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    await matched.graded(database)
    answers = await asyncio.gather(*(matched.match(database, part="MOD", kits=2) for _ in range(4)))
    kits = [one.kit for answer in answers for one in answer.kits]
    cells = [cell for name in kits for cell in await cells_of(database, name)]
    assert (len(kits), len(set(kits)), len(cells), len(set(cells))) == (5, 5, 60, 60)


async def test_the_answer_shows_the_trade_off(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    await matched.graded(database)
    mixed = await matched.match(database, part="MOD", kits=3)
    kept = {goal.name: (goal.value, goal.best_alone) for goal in mixed.goals}
    assert all(value >= best - 1e-9 for name, (value, best) in kept.items() if "used" not in name), kept
    assert len(kept) >= 4
    with pytest.raises(NoMatchingRules, match="says nothing about matching"):
        await matched.match(database, part="PACK")
    with pytest.raises(Conflict):
        await matched.match(database, order="NONE")


async def test_a_reserved_cell_that_loses_its_grade_is_refused_at_the_slot(database: Database) -> None:
    issued = await matched.ready(database)
    unit = issued["MOD"][0]
    cells = await cells_of(database, unit)
    await matched.test(database, [matched.reading(cells[0], 60.0, visual_ok=False)])
    await matched.grade(database, "L1")
    refused = await ask(database, unit, parts(cells))
    assert f"{cells[0]} at 1: it can be in no kit: no grade" in refused[Reason.NOT_FROM_KIT]


async def test_a_kit_that_a_split_has_spread_over_lots_is_refused(database: Database) -> None:
    issued = await matched.ready(database, matched.plant(matching={"lots_per_group": 1, "lots_per_kit": 1}))
    unit = issued["MOD"][0]
    cells = await cells_of(database, unit)
    await database.transact(
        split_lot, LotSplit(lot="L1", new_lot="L1X", serials=cells[:1], reason="Suspect."), build.QUALITY
    )
    assert "breaks its rules" in (await ask(database, unit, parts(cells)))[Reason.NOT_FROM_KIT]


async def test_another_reading_of_the_same_time_is_not_dropped(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    (name,) = await matched.receive(database, "L1", 1)
    await matched.test(database, [matched.reading(name)])
    await matched.test(database, [matched.reading(name)])  # the same said twice is once
    with pytest.raises(Malformed, match="ST-020"):
        await matched.test(database, [matched.reading(name, 1.0), matched.reading(name, 1.0, mass_g=300.0)])
    with pytest.raises(Malformed) as caught:
        await matched.test(database, [matched.reading(name, ocv_v=2.0)])
    (error,) = caught.value.errors
    assert (error["read"], "ocv_v 3.265" in error["expected"]) == ("ocv_v 2.0", True)


async def test_no_cell_is_assigned_over_one_that_is_fitted(database: Database) -> None:
    unit, spare = (await matched.ready(database))["MOD"]
    cells, kit = await cells_of(database, unit), (await matched.kit(database, unit)).kit.kit
    await build.permit(database, "ST-10", unit, "c1")
    await build.report(database, "ST-10", unit, components=parts(cells), values={"ok": [True]}, cycle="c1")
    free = unused(cells, await cells_of(database, spare))
    assigned = CellAssignment(kit=kit, position=5, serial=free, reason="weak cell")
    with pytest.raises(CellNotFree, match=f"{cells[4]} is fitted there; report its removal first"):
        await database.transact(assign_cell, assigned, build.QUALITY)
    assert await cells_of(database, unit) == cells


async def test_at_the_slot_the_same_is_asked_of_a_cell_as_in_the_pool(database: Database) -> None:
    rules = {"swap": "stock", "max_age_d": 5.0}
    await database.transact(apply_plan, matched.plant(matching=rules), build.ACTOR)
    names = await matched.receive(database, "L1", 60)
    for name in names:  # the last three were tested long ago
        first = -240.0 if name in names[-3:] else 0.0
        await matched.test(database, [matched.reading(name, first + hours) for hours in (0.0, 48.0)])
    assert (await matched.grade(database, "L1")).graded == 60
    await announce(database, "L1-B1", "L1-B5")
    unit = (await matched.order(database))["MOD"][0]
    answer = await matched.match(database, order="W1", kits=1)
    assert answer.left["too old"] == 3
    cells, kit = await cells_of(database, unit), (await matched.kit(database, unit)).kit.kit
    awaited = next(name for name in names[:10] if name not in cells)
    for n, (serial, why) in enumerate([(names[-1], "too old"), (awaited, "its carton is damaged or hasn't arrived")]):
        said = await ask(database, unit, parts([serial, *cells[1:]]), f"c{n}")
        assert f"{serial} at 1: it can be in no kit: {why}" in said[Reason.NOT_FROM_KIT]
        assigned = CellAssignment(kit=kit, position=1, serial=serial, reason="weak cell")
        with pytest.raises(CellNotFree, match=why):
            await database.transact(assign_cell, assigned, build.QUALITY)
    assert await ask(database, unit, parts(cells), "c8") == {}
    with clock.held(clock.now() + timedelta(days=5)):
        waited = await ask(database, unit, parts(cells), "c9")
    assert f"{cells[0]} at 1: it can be in no kit: too old" in waited[Reason.NOT_FROM_KIT]


async def announce(database: Database, *cartons: str) -> None:
    """Announce cartons that don't arrive."""
    lines = [{"code": code, "part": "CELL", "supplier_lot": "S-L1", "quantity": 10} for code in cartons]
    notice = DeliveryNotice(delivery="D1", supplier="Acme", file_name="n.csv", file_digest="0" * 64, cartons=lines)
    await database.transact(announce_delivery, notice, build.ACTOR)


async def test_places_are_exchanged_over_several_cycles(database: Database) -> None:
    unit = (await matched.ready(database))["MOD"][0]
    cells = await cells_of(database, unit)
    swapped = [cells[1], cells[2], cells[0], *cells[3:]]
    for n, cell in enumerate(swapped[:2], start=1):
        at = [Component(part="CELL", serial=cell, position=n)]
        assert await ask(database, unit, at, f"c{n}") == {}
        done = await build.report(
            database, "ST-10", unit, components=at, values={"ok": [False]}, verdict="failed", cycle=f"c{n}"
        )
        assert done.findings == []
        again = await matched.match(database, part="MOD")
        other = {cell for one in again.kits for cell in await cells_of(database, one.kit)}
        assert other.isdisjoint(cells), "what waits for its place in the module is free for no other"
    assert await cells_of(database, unit) == swapped
    assert await ask(database, unit, parts(swapped)[2:], "c9") == {}


async def test_what_came_out_is_not_put_back_into_the_kit(database: Database) -> None:
    unit, spare = (await matched.ready(database, matched.plant(matching={"swap": "stock"})))["MOD"]
    cells = await cells_of(database, unit)
    await build.permit(database, "ST-10", unit, "c1")
    await build.report(database, "ST-10", unit, components=parts(cells), values={"ok": [True]}, cycle="c1")
    await build.report(database, "ST-20", unit, values={"ok": [False]})
    free = unused(cells, await cells_of(database, spare))
    out = [{"serial": cell, "to": "scrap"} for cell in cells[:2]]
    at = [Component(part="CELL", serial=free, position=1)]
    await build.report(database, "ST-25", unit, removals=out, components=at, values={"ok": [True]})
    assert await cells_of(database, unit) == [free, *cells[2:]]


async def test_a_reserved_cell_is_kept_from_what_has_no_kits(database: Database) -> None:
    said = matched.plant().model_dump(mode="json", exclude_defaults=True)
    said["parts"].append({"number": "BOX", "name": "Box", "trace": "serial", "serial_pattern": "X{number:05}"})
    bom = [{"part": "CELL", "operation": "10", "quantity": 1}]
    said["products"].append({"part": "BOX", "bom": bom, "route": [step("10")]})
    unit = (await matched.ready(database, PlantFiles.model_validate(said)))["MOD"][0]
    cells = await cells_of(database, unit)
    await database.transact(create_order, OrderRequest(order="W2", part="BOX", quantity=1), build.ACTOR)
    await database.transact(move_order, OrderEvent(order="W2", event="release"), build.ACTOR)
    refused = await ask(database, "X00001", parts(cells[:1]))
    kit = (await matched.kit(database, unit)).kit.kit
    assert f"{cells[0]} at 1: it is reserved in kit {kit}" in refused[Reason.NOT_FROM_KIT]
    done = await build.report(database, "ST-10", "X00001", components=parts(cells[:1]), values={"ok": [True]})
    assert Reason.NOT_FROM_KIT in codes(done.findings)
    assert await cells_of(database, unit) == cells[1:], "it sits where it sits"


async def test_what_was_not_fitted_of_a_used_kit_is_given_back(database: Database) -> None:
    unit = (await matched.ready(database))["MOD"][0]
    cells, kit = await cells_of(database, unit), (await matched.kit(database, unit)).kit.kit
    told = {"values": {"ok": [False]}, "verdict": "failed"}
    await build.report(database, "ST-10", unit, components=parts(cells)[:3], **told)
    await database.transact(release_kit, KitRelease(kit=kit, reason="module is scrap"), build.ACTOR)
    answer = await matched.match(database, part="MOD")
    assert answer.pool == 60 - 12 - 3
    assert await cells_of(database, unit) == cells[:3], "what it was made of stays"
    assert (await matched.kit(database, kit)).kit.state == "used"


async def test_a_piece_with_another_part_in_it_still_gets_its_kit(database: Database) -> None:
    said = matched.plant().model_dump(mode="json", exclude_defaults=True)
    said["parts"].append({"number": "BASE", "name": "Base", "trace": "serial", "receiving": FILE})
    said["products"][1]["bom"].append({"part": "BASE", "operation": "10", "quantity": 1})
    await database.transact(apply_plan, PlantFiles.model_validate(said), build.ACTOR)
    await build.receive_file(database, "BX", "BASE", b"Serial,Carton\nBASE-1,K1\n")
    await matched.graded(database)
    unit = (await matched.order(database))["MOD"][0]
    inside = [Component(part="BASE", serial="BASE-1", position=1)]
    told = {"values": {"ok": [False]}, "verdict": "failed"}
    await build.report(database, "ST-10", unit, components=inside, **told)
    assert unit in [one.unit for one in (await matched.match(database, order="W1")).kits]
