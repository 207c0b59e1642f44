"""What a plant asks at its stations comes back as the files said it, and each change of it is shown by itself."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from mes.actor import Actor
from mes.db import Database
from mes.errors import Malformed
from mes.plan.files import read_files
from mes.plan.messages import Change, PlantFiles
from mes.plan.service import apply_files, apply_plan, plan_files
from mes.plant.models import Line, Site, Station
from mes.products.messages import CONDITIONS, StepSpec, spec_of
from mes.products.models import Part
from mes.products.queries import get_part, get_plan, newest_revision
from mes.products.rules import ProductPlan

EVERYTHING = Path(__file__).parent / "everything.yaml"


async def read_pack(database: Database) -> ProductPlan:
    """Read the pack's newest plan."""
    async with database.reading() as session:
        revision_id = await newest_revision(session, (await get_part(session, "PACK")).id)
        assert revision_id is not None
        return await get_plan(session, revision_id)


async def changes(database: Database, path: Path) -> list[tuple[str, str, str, str | None, str | None]]:
    """Plan a file: (kind, name, field, old, new) of every detail."""
    changed: list[Change] = (await plan_files(database, [path])).changed
    return [(c.kind, c.name, d.field, d.old, d.new) for c in changed for d in c.details]


def edited(folder: Path, old: str, new: str) -> Path:
    """Write the file with one text replaced."""
    text = EVERYTHING.read_text("utf-8")
    assert text.count(old) == 1, old
    path = folder / "a.yaml"
    path.write_text(text.replace(old, new), "utf-8")
    return path


async def test_the_file_says_every_condition() -> None:
    product, cell = (await asyncio.to_thread(read_files, [EVERYTHING])).files.products
    assert product.matching is not None
    assert cell.incoming is not None
    for spec in (product.matching, cell.incoming, cell.incoming.k_value, cell.incoming.sampling):
        assert spec is not None
        assert spec.model_fields_set == set(type(spec).model_fields), "the file leaves something unsaid"
    silent = set(CONDITIONS) - {name for step in product.route for name in step.conditions()}
    assert silent == set()


async def test_everything_comes_back_and_a_second_time_nothing_changes(database: Database, admin: Actor) -> None:
    assert {c.action for c in (await apply_files(database, [EVERYTHING], admin)).changes} == {"add"}
    assert (await plan_files(database, [EVERYTHING])).changed == []
    assert (await apply_files(database, [EVERYTHING], admin)).changed == []
    product, cell = (await asyncio.to_thread(read_files, [EVERYTHING])).files.products
    plan = await read_pack(database)
    assert plan.revision == 1
    assert spec_of(plan).content() == product.content()
    assert spec_of(plan).digest() == product.digest() == plan.digest
    assert list(plan.bom[0].alternates) == ["CELL-C", "CELL-B"]
    assert [item.part for item in plan.steps["035"].components] == ["CELL"]
    assert plan.matching == product.matching
    async with database.reading() as session:
        revision = await newest_revision(session, (await get_part(session, "CELL-B")).id)
        assert revision is not None
        assert spec_of(await get_plan(session, revision)).digest() == cell.digest()
    again = await database.transact(apply_plan, PlantFiles(products=[spec_of(plan)]), admin)
    assert again.changed == []


async def test_plant_and_parts_are_stored(database: Database, admin: Actor) -> None:
    await apply_files(database, [EVERYTHING], admin)
    async with database.reading() as session:
        assert (await session.execute(select(Site.timezone))).scalars().all() == ["America/Chicago"]
        assert (await session.execute(select(Line.shift_starts))).scalars().all() == [["06:00", "14:00"]]
        checks = select(Station.known_good_h, Station.known_bad_h, Station.daily_h)
        assert (await session.execute(checks)).all() == [(8, 8.5, 24)]
        glue = select(Part.pot_life_min, Part.fefo).where(Part.number == "GLUE")
        assert (await session.execute(glue)).all() == [(30, True)]


PLAIN = [
    (", known_good_h: 8,", ", known_good_h: 12,", ("station", "A", "known_good_h", "8", "12")),
    (", known_bad_h: 8.5", "", ("station", "A", "known_bad_h", "8.5", None)),
    (", daily_h: 24", "", ("station", "A", "daily_h", "24", None)),
    ("timezone: America/Chicago", "timezone: Etc/GMT+5", ("site", "S", "timezone", "America/Chicago", "Etc/GMT+5")),
    ("    timezone: America/Chicago\n", "", ("site", "S", "timezone", "America/Chicago", "UTC")),
    ('"14:00"]', '"15:30"]', ("line", "L", "shift_starts", "06:00, 14:00", "06:00, 15:30")),
    ("pot_life_min: 30", "pot_life_min: 30.5", ("part", "GLUE", "pot_life_min", "30", "30.5")),
    (", pot_life_min: 30", "", ("part", "GLUE", "pot_life_min", "30", None)),
    (", fefo: true", "", ("part", "GLUE", "fefo", "true", None)),
]
REVISED = [
    ("[CELL-C, CELL-B]", "[CELL-B]", "bom 010 CELL", "6 in 3 groups, or CELL-C, CELL-B", "6 in 3 groups, or CELL-B"),
    ("0.123457", "0.123456", "bom 020 GLUE", "0.123457", "0.123456"),
    ("certificate: cells", "certificate: line", "010 condition certificate", "cells", "line"),
    ("persons: 1", "persons: 2", "010 condition persons", "1", "2"),
    (", attempts: 5", "", "010 condition attempts", "5", None),
    (", from_kit: true", "", "010 condition from_kit", "true", None),
    (
        "summary, certificate]",
        "summary]",
        "040 condition documents",
        "un383_test_summary, certificate",
        "un383_test_summary",
    ),
    ("one_grade: true, ", "", "matching one_grade", "True", None),
    ("grades: [C15.1]", "grades: [C15.2]", "matching grades", "C15.1", "C15.2"),
    ("        reads_back: true\n", "", "020 condition reads_back", "true", None),
    ('program: "2026.11"', 'program: "2026.12"', "020 condition program", "2026.11", "2026.12"),
    ("first_article: true", "first_article: false", "020 condition first_article", "true", None),
    ("is_complete: true, ", "", "040 condition is_complete", "true", None),
    (", ships: true", "", "040 condition ships", "true", None),
    ("480}", "500}", "020 condition clocks", "after 010, at most 480.0 min", "after 010, at most 500.0 min"),
    ('["030", "020"]', '["030"]', "035 condition rework_of", "030, 020", "030"),
    ('["020", "030"]', '["020"]', "035 condition repeats", "020, 030", "020"),
    (', refits: ["010"]', "", "035 condition refits", "010", None),
    (
        '          - {after: "035", at_least_min: 10}\n',
        "",
        "030 condition clocks",
        "after 020, 240.0 to 4320.5 min; after 025, at least 240.0 min; after 035, at least 10.0 min",
        "after 020, 240.0 to 4320.5 min; after 025, at least 240.0 min",
    ),
]


async def test_each_field_of_plant_and_parts_is_compared(database: Database, admin: Actor, tmp_path: Path) -> None:
    for old, new, wanted in PLAIN:
        await apply_files(database, [EVERYTHING], admin)
        path = edited(tmp_path, old, new)
        assert await changes(database, path) == [wanted]
        await apply_files(database, [path], admin)
        assert await changes(database, path) == []


async def test_each_condition_of_a_product_is_compared(database: Database, admin: Actor, tmp_path: Path) -> None:
    await apply_files(database, [EVERYTHING], admin)
    for old, new, field, before, after in REVISED:
        assert await changes(database, edited(tmp_path, old, new)) == [("product", "PACK", field, before, after)]


async def test_each_rule_of_a_cell_is_compared(database: Database, admin: Actor, tmp_path: Path) -> None:
    await apply_files(database, [EVERYTHING], admin)
    for old, new, *wanted in (
        ("max: 3.3,", "max: 3.31,", "incoming readings ocv_v max", "3.3", "3.31"),
        ("from_median_pct: 8", "from_median_pct: 9", "incoming readings acir_mohm from_median_pct", "8.0", "9.0"),
        ("min_h: 20", "min_h: 21", "incoming k_value min_h", "20.0", "21.0"),
    ):
        assert await changes(database, edited(tmp_path, old, new)) == [("product", "CELL-B", *wanted)]


WRONG_CELLS = [
    ("part: CELL, grades", "part: GLUE, grades", "GLUE", "a component in groups of two or more: `groups` of the bill"),
    ("part: CELL, grades", "part: PACK, grades", "PACK", "a component of PACK: CELL, GLUE"),
    (
        "certificate: cells, persons: 1, attempts: 5, from_kit: true}\n",
        'certificate: cells}\n      - {operation: "015", name: Look, from_kit: true}\n',
        "true",
        "true only where this operation fits the part that `matching` names",
    ),
    ("is_sampled: true", "gauge_error: 1", "1", "none: a certificate says ocv_v, acir_mohm, capacity_ah alone"),
    ("is_sampled: true", "is_sampled: false", "a mapping", "a reading with is_sampled: true, or no sampling"),
    ('      sampling: {aql: "1.0", level: III}\n', "", "true", "a `sampling` plan beside the readings"),
    ("min_h: 20", "min_h: 80", "80", "at most max_h, 70"),
    ("min: 3.23", "min: 3.4", "3.4", "at most max, 3.3"),
    ("name: mass_g", "name: ocv_v", "ocv_v", "each reading once"),
]


async def test_rules_of_cells_that_make_no_sense_are_refused(database: Database, tmp_path: Path) -> None:
    for old, new, read, expected in WRONG_CELLS:
        with pytest.raises(Malformed) as caught:
            await plan_files(database, [edited(tmp_path, old, new)])
        found = [(e["read"], e["expected"]) for e in caught.value.errors]
        assert any(r == read and e.startswith(expected) for r, e in found), (old, found)


async def test_a_product_that_says_nothing_new_shows_nothing_new() -> None:
    step = StepSpec(operation="010", name="Old")
    assert step.conditions() == {}
    assert step.model_dump(mode="json", exclude_defaults=True) == {"operation": "010", "name": "Old"}


@pytest.mark.parametrize("zone", ["America/Chigaco", "Chicago", "est5edt"])
async def test_an_unknown_time_zone_is_refused_at_its_line(
    database: Database, admin: Actor, tmp_path: Path, zone: str
) -> None:
    path = edited(tmp_path, "timezone: America/Chicago", f"timezone: {zone}")
    wanted = {"at": f"{path}:5", "read": zone, "expected": "a time zone that the database knows by this name"}
    for attempt in (plan_files(database, [path]), apply_files(database, [path], admin)):
        with pytest.raises(Malformed) as caught:
            await attempt
        assert caught.value.errors == [wanted]


async def test_an_alternate_counts_as_used_and_as_a_component(database: Database, admin: Actor, tmp_path: Path) -> None:
    await apply_files(database, [EVERYTHING], admin)
    path = tmp_path / "b.yaml"
    path.write_text("parts:\n  - {number: CELL-C, name: Third cell, trace: lot}\n", "utf-8")
    with pytest.raises(Malformed) as caught:
        await apply_files(database, [path], admin)
    assert [(e["at"], e["read"]) for e in caught.value.errors] == [(f"{path}:2", "lot")]
    path.write_text(
        'products:\n  - part: CELL-C\n    bom:\n      - {part: PACK, operation: "010", quantity: 1}\n'
        '    route:\n      - {operation: "010", name: Round}\n',
        "utf-8",
    )
    with pytest.raises(Malformed) as caught:
        await apply_files(database, [path], admin)
    rounds = "a part that isn't made of CELL-C; this goes round: CELL-C needs PACK needs CELL-C"
    assert rounds in [e["expected"] for e in caught.value.errors]
