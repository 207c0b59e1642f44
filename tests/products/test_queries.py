"""What a released plan reads as at run time, on the demo plant."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from mes.db import Database
from mes.errors import NotFound
from mes.products.queries import (
    get_part,
    get_plan,
    made_parts,
    newest_revision,
    receiving_columns,
)
from mes.products.rules import Clock, Conditions, ProductPlan


async def read_plan(database: Database, part: str) -> ProductPlan:
    """Read the newest plan of a part."""
    async with database.reading() as session:
        revision_id = await newest_revision(session, (await get_part(session, part)).id)
        assert revision_id is not None
        return await get_plan(session, revision_id)


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """Collect the statements that run."""
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def test_plan_holds_route_limits_and_components(plant: Database) -> None:
    plan = await read_plan(plant, "M16S7P")
    assert (plan.part, plan.revision) == ("M16S7P", 1)
    assert list(plan.steps) == ["020", "030", "040", "050", "060", "070", "080", "090"]
    step = plan.steps["090"]
    assert (step.predecessors, step.ordinal, step.name) == (("080",), 8, "Module end of line")
    assert step.recipe is not None
    assert step.recipe.parameters == {"insulation_v": 500, "hipot_v": 1000, "hipot_s": 1}
    dcir = step.characteristics[2]
    assert (dcir.name, dcir.unit, dcir.count, dcir.offset) == ("dcir_mohm", "mOhm", 16, 17)
    assert (dcir.lower, dcir.upper, dcir.expected) == (0.35, 0.55, None)
    assert (step.number_count, step.text_count) == (16 + 1 + 16 + 1 + 4 + 4, 0)
    cells, holders = plan.steps["040"].components
    assert (cells.part, cells.trace, cells.quantity, cells.groups) == ("CELL-LFP-15", "serial", 112.0, 16)
    assert (holders.part, holders.trace, holders.quantity) == ("HOLDER-7P", "lot", 2.0)
    assert plan.steps["020"].predecessors == ()
    assert len(plan.bom) == 6


async def test_texts_and_curves_stand_apart_from_numbers(plant: Database) -> None:
    plan = await read_plan(plant, "GC48-105")
    flash = {c.name: c for c in plan.steps["100"].characteristics}
    assert [flash[name].offset for name in ("firmware_hash", "config_crc")] == [0, 1]
    assert [flash[name].offset for name in ("cells_configured", "voltage_offset_mv")] == [0, 1]
    assert (flash["config_crc"].expected, flash["config_crc"].lower) == ("5A3C0712", None)
    assert (flash["can_ok"].lower, flash["can_ok"].upper, flash["can_ok"].expected) == (1, 1, None)
    assert (plan.steps["100"].number_count, plan.steps["100"].text_count) == (12, 2)
    joints = plan.steps["110"]
    assert [(c.kind, c.offset) for c in joints.characteristics if c.kind == "curve"] == [("curve", 0)]
    assert joints.number_count == 17 + 2 + 2 + 2


async def test_plan_costs_four_statements_once_and_none_after(plant: Database) -> None:
    async with plant.reading() as session:
        revision_id = await newest_revision(session, (await get_part(session, "GC48-150")).id)
        assert revision_id is not None
        with counted(plant) as cold:
            first = await get_plan(session, revision_id)
    assert len(cold) <= 4
    async with plant.reading() as session:
        with counted(plant) as warm:
            assert await get_plan(session, revision_id) is first
    assert warm == []


async def test_conditions_are_read_with_their_steps(plant: Database) -> None:
    module, pack = await read_plan(plant, "M16S7P"), await read_plan(plant, "GC48-105")
    weld = module.steps["070"].conditions
    assert weld == Conditions(clocks=(Clock("060", at_most_min=480),), attempts=4)
    assert module.steps["060"].conditions == Conditions()
    assert all(step.is_main for step in (*module.steps.values(), *pack.steps.values()))
    asked = {o: (s.conditions.is_complete, s.conditions.ships) for o, s in pack.steps.items() if o in ("170", "180")}
    assert asked == {"170": (True, False), "180": (False, True)}


async def test_made_parts_are_the_part_and_its_assemblies(plant: Database) -> None:
    async with plant.reading() as session:
        pack, module = await get_part(session, "GC48-105"), await get_part(session, "M16S7P")
        cell = await get_part(session, "CELL-LFP-15")
        made = await made_parts(session, pack.id)
        assert made == {
            pack.id: await newest_revision(session, pack.id),
            module.id: await newest_revision(session, module.id),
        }
        assert await made_parts(session, cell.id) == {}
        assert await newest_revision(session, cell.id) is not None


async def test_receiving_columns_say_how_a_file_is_read(plant: Database) -> None:
    async with plant.reading() as session:
        columns = await receiving_columns(session, (await get_part(session, "CELL-LFP-15")).id)
        assert columns["ocv_v"].heading == "OCV (V)"
        assert (columns["ocv_v"].lower, columns["ocv_v"].upper) == (2.0, 3.7)
        assert await receiving_columns(session, (await get_part(session, "FUSE")).id) == {}


async def test_unknown_part_and_revision_are_named(plant: Database) -> None:
    async with plant.reading() as session:
        with pytest.raises(NotFound, match="part NOPE"):
            await get_part(session, "NOPE")
        with pytest.raises(NotFound, match="product revision 999"):
            await get_plan(session, 999)
