"""Plan and apply on a real database: what would change, all or nothing, a change makes the next revision."""

import asyncio
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import func, select, text

import mes.demo_plant
from mes.actor import Actor
from mes.db import Database
from mes.errors import Malformed
from mes.journal import Act
from mes.plan.messages import Change, Detail, PlanAnswer, PlantFiles
from mes.plan.queries import stored_plant
from mes.plan.render import render
from mes.plan.service import apply_files, apply_plan, plan_changes, plan_files
from mes.plant.queries import find_station, list_lines, list_stations
from mes.products.messages import spec_of
from mes.products.models import BomItem, Characteristic, Part, ProductRevision, Recipe, Step
from mes.products.queries import get_part, get_plan, newest_revision, receiving_columns

DEMO = Path(mes.demo_plant.__file__).parent
TABLES = (Part, ProductRevision, BomItem, Recipe, Step, Characteristic)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Copy the demo plant's files, to be changed."""
    for file in DEMO.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    return tmp_path


def edit(folder: Path, file: str, old: str, new: str) -> None:
    """Replace the first occurrence of a text in a file."""
    path = folder / file
    content = path.read_text("utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), "utf-8")


async def counts(database: Database) -> list[int]:
    """Count the rows of the products' tables, and of the journal."""
    async with database.reading() as session:
        statements = [select(func.count()).select_from(table) for table in (*TABLES, Act)]
        return [(await session.execute(statement)).scalar_one() for statement in statements]


def actions(answer: PlanAnswer) -> set[str]:
    """Collect what is done."""
    return {change.action for change in answer.changes}


async def test_first_plan_adds_all_and_stores_nothing(database: Database, files: Path) -> None:
    before = await counts(database)
    answer = await plan_files(database, [files])
    assert actions(answer) == {"add"}
    assert [c.kind for c in answer.changes].count("station") == 18
    pack = next(c for c in answer.changes if (c.kind, c.name) == ("product", "GC48-105"))
    assert pack.revision == 1
    assert Detail(field="steps", old=None, new="9") in pack.details
    assert await counts(database) == before


async def test_apply_stores_all_and_a_second_time_nothing(database: Database, files: Path, admin: Actor) -> None:
    planned = await plan_files(database, [files])
    assert await apply_files(database, [files], admin) == planned
    once = await counts(database)
    assert actions(await apply_files(database, [files], admin)) == {"none"}
    assert actions(await plan_files(database, [files])) == {"none"}
    assert await counts(database) == once
    assert once[:2] == [23, 5]


async def test_what_is_stored_says_what_the_files_say(plant: Database) -> None:
    async with plant.reading() as session:
        wanted = {p.part: p for p in (await read(DEMO)).products}
        for number, product in wanted.items():
            revision_id = await newest_revision(session, (await get_part(session, number)).id)
            assert revision_id is not None
            plan = await get_plan(session, revision_id)
            assert spec_of(plan).content() == product.content()
            assert plan.digest == product.digest()


async def read(folder: Path) -> PlantFiles:
    """Understand a folder's files."""
    from mes.plan.files import read_files

    return (await asyncio.to_thread(read_files, [folder])).files


async def test_plant_is_stored(plant: Database) -> None:
    async with plant.reading() as session:
        assert [line.code for line in await list_lines(session)] == ["GC1"]
        stations = await list_stations(session)
        assert [s.ordinal for s in stations] == list(range(1, 19))
        station = await find_station(session, "GC1-040")
        assert station is not None
        assert (station.operations, station.line) == (("040",), "GC1")
        things = await stored_plant(session)
        tool = things["tool", "HIPOT-090-1"]
        assert (tool["station"], tool["calibration_due"]) == ("GC1-090", "2027-04-30")
        assert await find_station(session, "NOPE") is None


async def test_changed_limit_makes_the_next_revision(plant: Database, files: Path, admin: Actor) -> None:
    async with plant.reading() as session:
        part = await get_part(session, "M16S7P")
        old_id = await newest_revision(session, part.id)
        assert old_id is not None
        old = await get_plan(session, old_id)
    edit(files, "gc48-105.yaml", "max: 0.55}", "max: 0.5}")
    edit(
        files,
        "gc48-105.yaml",
        'part: HOLDER-7P, operation: "040", quantity: 2',
        'part: HOLDER-7P, operation: "040", quantity: 3',
    )
    planned = await plan_files(plant, [files])
    assert planned.changed == [
        Change(
            kind="product",
            name="M16S7P",
            action="new revision",
            revision=2,
            details=[
                Detail(field="bom 040 HOLDER-7P", old="2", new="3"),
                Detail(
                    field="090 dcir_mohm", old="16 x number mOhm, 0.35 to 0.55", new="16 x number mOhm, 0.35 to 0.5"
                ),
            ],
        )
    ]
    recipes = (await counts(plant))[3]
    assert await apply_files(plant, [files], admin) == planned
    assert (await counts(plant))[3] == recipes  # the same recipes, shared
    async with plant.reading() as session:
        new_id = await newest_revision(session, part.id)
        assert new_id is not None
        new = await get_plan(session, new_id)
        assert (new.revision, new.steps["090"].characteristics[2].upper) == (2, 0.5)
        assert new.steps["090"].recipe == old.steps["090"].recipe
        session.frozen.clear()
        assert await get_plan(session, old_id) == old
    edit(files, "gc48-105.yaml", "max: 0.5}", "max: 0.55}")
    assert (await apply_files(plant, [files], admin)).changed[0].revision == 3  # back is forward too


async def test_parts_and_plant_change_in_place(plant: Database, files: Path, admin: Actor) -> None:
    edit(files, "parts.yaml", "name: Main fuse", "name: Main fuse 250 A")
    edit(files, "parts.yaml", "column: OCV (V), min: 2.0", "column: Voltage, min: 2.5")
    edit(
        files,
        "site.yaml",
        "code: HIPOT-090-1, name: Hipot tester, calibration_due: 2027-04-30",
        "code: HIPOT-090-1, name: Hipot tester",
    )
    edit(files, "site.yaml", 'name: Receiving, operations: ["010"]', 'name: Goods in, operations: ["010", "015"]')
    answer = await apply_files(plant, [files], admin)
    assert [(c.kind, c.name, c.action) for c in answer.changed] == [
        ("station", "GC1-010", "change"),
        ("tool", "HIPOT-090-1", "change"),
        ("part", "CELL-LFP-15", "change"),
        ("part", "FUSE", "change"),
    ]
    assert answer.changed[1].details == [Detail(field="calibration_due", old="2027-04-30", new=None)]
    assert answer.changed[2].details == [
        Detail(field="receiving ocv_v", old="OCV (V), 2.0 to 3.7", new="Voltage, 2.5 to 3.7")
    ]
    async with plant.reading() as session:
        station = await find_station(session, "GC1-010")
        assert station is not None
        assert (station.name, station.operations) == ("Goods in", ("010", "015"))
        part = await get_part(session, "CELL-LFP-15")
        assert (await receiving_columns(session, part.id))["ocv_v"].heading == "Voltage"
    assert (await plan_files(plant, [files])).changed == []


async def test_one_file_alone_is_applied_and_nothing_is_deleted(plant: Database, files: Path, admin: Actor) -> None:
    edit(files, "gc48-150.yaml", "min: 990, max: 1010", "min: 995, max: 1010")
    before = await counts(plant)
    answer = await apply_files(plant, [files / "gc48-150.yaml"], admin)
    assert [c.name for c in answer.changed] == ["M16S10P"]
    after = await counts(plant)
    assert (after[0], after[1], after[-1]) == (before[0], before[1] + 1, before[-1] + 1)


async def test_nothing_is_stored_where_anything_is_wrong(database: Database, files: Path, admin: Actor) -> None:
    edit(files, "gc48-150.yaml", "{part: M16S10P, ", "{part: M16S10Q, ")
    edit(files, "parts.yaml", "name: Main fuse, trace: lot", "name: Main fuse, trace: batch")
    edit(files, "gc48-105.yaml", "recipe: cycle-16s7p", "recipe: cycle")
    before = await counts(database)
    for attempt in (plan_files(database, [files]), apply_files(database, [files], admin)):
        with pytest.raises(Malformed) as caught:
            await attempt
        found = [(Path(e["at"]).name.split(":")[0], e["read"]) for e in caught.value.errors]
        assert found == [("gc48-105.yaml", "cycle"), ("gc48-150.yaml", "M16S10Q"), ("parts.yaml", "batch")]
    assert await counts(database) == before


async def test_wrong_references_alone_are_placed_in_their_file(database: Database, files: Path, admin: Actor) -> None:
    edit(files, "gc48-150.yaml", "{part: M16S10P, ", "{part: M16S10Q, ")
    with pytest.raises(Malformed) as caught:
        await apply_files(database, [files], admin)
    (error,) = caught.value.errors
    line = (files / "gc48-150.yaml").read_text("utf-8").splitlines().index(
        '      - {part: M16S10Q, operation: "100", quantity: 1}'
    ) + 1
    assert error == {
        "at": f"{files / 'gc48-150.yaml'}:{line}",
        "read": "M16S10Q",
        "expected": "the number of a part in the files or already stored",
    }


async def test_failure_halfway_stores_nothing(database: Database, files: Path, admin: Actor) -> None:
    before = await counts(database)
    async with database.engine.connect() as connection:
        # the owner takes away the right that the very last statement needs
        for statement in ("SET ROLE NONE", "REVOKE INSERT ON characteristic FROM mes_app", "SET ROLE mes_app"):
            await connection.execute(text(statement))
    with pytest.raises(Exception, match="permission denied"):
        await apply_files(database, [files], admin)
    assert await counts(database) == before


async def test_two_at_once_release_one_revision(plant: Database, files: Path, admin: Actor) -> None:
    edit(files, "gc48-105.yaml", "max: 0.55}", "max: 0.5}")
    answers = await asyncio.gather(*(apply_files(plant, [files], admin) for _ in range(4)))
    assert sorted(len(answer.changed) for answer in answers) == [0, 0, 0, 1]
    assert (await counts(plant))[1] == 6


async def test_trace_of_a_used_part_stays(plant: Database, files: Path, admin: Actor) -> None:
    edit(files, "parts.yaml", "name: Main fuse, trace: lot, unit: pcs", "name: Main fuse, trace: none, unit: kg")
    with pytest.raises(Malformed) as caught:
        await apply_files(plant, [files], admin)
    assert [(e["read"], e["expected"].split(":")[0]) for e in caught.value.errors] == [("none", "lot"), ("kg", "pcs")]


async def test_message_is_refused_by_pointer(database: Database, admin: Actor) -> None:
    message = PlantFiles.model_validate({"products": [{"part": "P", "route": [{"operation": "010", "name": "A"}]}]})
    wanted = [
        {"at": "/products/0/part", "read": "P", "expected": "the number of a part in the files or already stored"}
    ]
    with pytest.raises(Malformed) as caught:
        await database.transact(apply_plan, message, admin)
    assert caught.value.errors == wanted
    async with database.reading() as session:
        with pytest.raises(Malformed):
            await plan_changes(session, message)


async def test_plan_is_drawn(plant: Database, files: Path) -> None:
    edit(files, "gc48-105.yaml", "max: 0.55}", "max: 0.5}")
    screen = Console(file=StringIO(), width=140)
    screen.print(render(await plan_files(plant, [files])))
    drawn = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "new revision 2" in drawn
    assert "090 dcir_mohm: 16 x number mOhm, 0.35 to 0.55 -> 16 x number mOhm, 0.35 to 0.5" in drawn
    assert "0 to add, 0 to change, 1 new revisions" in drawn
