"""Wrong files: every error is told at once, with its file, its line, what was read and what was expected."""

import json
from pathlib import Path

import pytest
import yaml

import mes.demo_plant
from mes.plan.checks import Known, KnownPart, KnownProduct, check
from mes.plan.files import read_files
from mes.plan.messages import PlantFiles, json_schema

DEMO = Path(mes.demo_plant.__file__).parent
PARTS = """\
parts:
  - {number: CELL, name: Cell, trace: serial}
  - {number: GLUE, name: Glue, trace: lot, unit: kg}
  - {number: TAPE, name: Tape, trace: none}
  - {number: PACK, name: Pack, trace: serial, serial_pattern: "P-{number:06}"}
  - {number: BARE, name: No pattern, trace: serial}
"""
PRODUCT = """\
products:
  - part: PACK
    bom:
      - {part: CELL, operation: "010", quantity: 6, groups: 3}
    recipes:
      - {name: weld, parameters: {power_w: 1500}}
    route:
      - {operation: "010", name: Insert}
      - operation: "020"
        name: Weld
        recipe: weld
        characteristics:
          - {name: power_w, unit: W, min: 1, max: 2}
"""


def wrong(*texts: str, folder: Path, known: Known | None = None) -> list[tuple[str, str, str]]:
    """Write files a.yaml, b.yaml ... and list what is wrong in them: (file:line, read, expected)."""
    paths = []
    for name, text in zip("abcdef", texts, strict=False):
        paths.append(folder / f"{name}.yaml")
        paths[-1].write_text(text, "utf-8")
    read = read_files(paths)
    base = known or Known()
    problems = check(read.files, Known(base.parts, base.products, read.broken))
    return [(Path(e["at"]).name, e["read"], e["expected"]) for e in read.errors(problems)]


def test_demo_plant_is_right() -> None:
    read = read_files([DEMO])
    assert read.errors(check(read.files, Known(zones={"America/Chicago"}))) == []
    assert [product.part for product in read.files.products] == [
        "CELL-LFP-15",
        "M16S7P",
        "GC48-105",
        "M16S10P",
        "GC48-150",
    ]


def test_files_and_documents_are_read_as_one(tmp_path: Path) -> None:
    assert wrong(PARTS, PRODUCT, folder=tmp_path) == []
    assert wrong(f"{PARTS}---\n{PRODUCT}", folder=tmp_path) == []
    assert wrong(PRODUCT, "# nothing\n", PARTS, folder=tmp_path) == []


SYNTAX = [
    ("parts: [", "a.yaml:1", "expected the node content"),
    ("parts:\n  - {number: A\n", "a.yaml:3", "YAML: "),
    ("- 1\n", "a.yaml:1", "the lists sites, parts or products at the top of the file"),
    ("just text\n", "a.yaml:1", "the lists sites, parts or products at the top of the file"),
    ("parts: 5\n", "a.yaml:1", "a list"),
    ("part: []\n", "a.yaml:1", "one of sites, parts, products"),
    ("parts: []\nparts: []\n", "a.yaml:2", "each name once: parts is given on line 1 already"),
    ("parts:\n  - ? [a]\n    : b\n", "a.yaml:2", "a name before the colon"),
    ("parts:\n  - &a [*a]\n", "a.yaml:1", "nested at most"),
    ("parts:\n  - !!python/object:os.system {}\n", "a.yaml:2", "number: The part number"),
    ("parts:\n  - number: !!python/name:os.system x\n", "a.yaml:2", "a plain value"),
    ('parts:\n  - number: "a\\0"\n', "a.yaml:2", "a text without control characters"),
    ("sites:\n  - 2027-13-40\n", "a.yaml:2", "a plain value"),
    (
        "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"{k}: &{k} [{', '.join([f'*{p}'] * 10)}]\n" for p, k in zip("abcdefgh", "bcdefghi", strict=True)),
        "a.yaml:1",
        "at most 500000 values",
    ),
    ("[" * 5000, "a.yaml:1", ""),
]


@pytest.mark.parametrize(("text", "at", "expected"), SYNTAX, ids=range(len(SYNTAX)))
def test_yaml_that_cannot_be_read(tmp_path: Path, text: str, at: str, expected: str) -> None:
    errors = wrong(text, folder=tmp_path)
    assert any(found[0] == at and expected in found[2] for found in errors), errors


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"parts: [\xff]")
    (tmp_path / "large.yaml").write_bytes(b"#" * 5_000_001)
    errors = read_files([tmp_path / "none.yaml", tmp_path / "latin.yaml", tmp_path / "large.yaml"]).errors()
    assert [(Path(e["at"]).name, e["expected"]) for e in errors] == [
        ("large.yaml:1", "at most 5000000 bytes; split the file"),
        ("latin.yaml:1", "UTF-8 text (byte 8 is not)"),
        ("none.yaml:1", "a file that can be read (No such file or directory)"),
    ]


EDITS = yaml.safe_load((Path(__file__).parent / "wrong.yaml").read_text("utf-8"))


@pytest.mark.parametrize("edit", EDITS, ids=[edit["new"][:40] for edit in EDITS])
def test_each_error_is_told_by_file_and_line(tmp_path: Path, edit: dict[str, str]) -> None:
    old, new = edit["old"], edit["new"]
    assert old in PARTS + PRODUCT
    files = (PARTS.replace(old, new, 1), PRODUCT) if old in PARTS else (PARTS, PRODUCT.replace(old, new, 1))
    errors = wrong(*files, folder=tmp_path)
    assert (edit["at"], edit["read"], edit["expected"]) in errors
    assert len(errors) <= 2, errors  # one cause may break two laws, never more


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    parts = PARTS.replace("trace: lot", "trace: batch").replace("name: Tape, ", "")
    product = (
        PRODUCT.replace("groups: 3", "groups: 4").replace("recipe: weld", "recipe: wedl").replace("max: 2", "max: x")
    )
    errors = wrong(parts, product, "products: [", folder=tmp_path)
    assert [at for at, _, _ in errors] == ["a.yaml:3", "a.yaml:4", "b.yaml:4", "b.yaml:11", "b.yaml:13", "c.yaml:1"]


def test_what_is_broken_is_not_called_unknown_besides(tmp_path: Path) -> None:
    product = PRODUCT.replace('{operation: "010", name: Insert}', '{operation: "010"}')
    errors = wrong(PARTS.replace("name: Cell, ", ""), product, folder=tmp_path)
    assert errors == [
        ("a.yaml:2", "nothing", "name: What people call it."),
        ("b.yaml:8", "nothing", "name: What people call the step."),
    ]


def test_codes_are_unique_in_the_plant(tmp_path: Path) -> None:
    site = """\
sites:
  - code: S
    name: Site
    lines:
      - code: L
        name: Line
        stations:
          - {code: A, name: A, operations: ["010", "010"], tools: [{code: T, name: T}]}
          - {code: A, name: A, operations: ["010"], tools: [{code: T, name: T, calibration_due: soon}]}
          - {code: B, name: A, operations: ["010"], tools: [{code: T, name: T}]}
"""
    assert wrong(site, folder=tmp_path) == [
        ("a.yaml:8", "010", "each operation once"),
        ("a.yaml:9", "soon", "a date such as 2027-06-30"),
        ("a.yaml:9", "A", "a code that no other station has"),
        ("a.yaml:10", "T", "a code that no other tool has"),
    ]


def test_zones_shifts_and_checks_of_a_plant(tmp_path: Path) -> None:
    site = """\
sites:
  - code: S
    name: Site
    timezone: America Chicago
    lines:
      - code: L
        name: Line
        shift_starts: ["06:00", 14:00, "24:00"]
        stations:
          - {code: A, name: A, operations: ["010"], known_good_h: 0, known_bad_h: 10001, daily_h: "24"}
      - {code: M, name: Line, shift_starts: ["06:00", "06:00"]}
"""
    zone, clock = "an IANA time zone such as America/Chicago, or UTC", 'a time of day in quotes such as "06:00"'
    assert wrong(site, folder=tmp_path) == [
        ("a.yaml:4", "America Chicago", zone),
        ("a.yaml:8", "14:00", "a text (in quotes where it looks like a number, a date, yes or no)"),
        ("a.yaml:8", "24:00", clock),
        ("a.yaml:10", "0", "more than 0"),
        ("a.yaml:10", "10001", "at most 10000"),
        ("a.yaml:10", "24", "a number"),
    ]
    assert wrong(site.replace(" Chicago", "/Chicago").replace(', 14:00, "24:00"', ""), folder=tmp_path)[0] == (
        "a.yaml:4",
        "America/Chicago",
        "a time zone that the database knows by this name",
    )
    right = site.replace("America Chicago", "UTC").replace(', 14:00, "24:00"', "")
    right = right.replace(': 0, known_bad_h: 10001, daily_h: "24"', ": 8")
    assert wrong(right, folder=tmp_path) == [("a.yaml:11", "06:00", "each shift once")]


def test_files_are_checked_against_what_is_stored(tmp_path: Path) -> None:
    used = KnownPart("serial", "pcs", "P{number:06}", is_used=True)
    stored = Known(
        {"PACK": used, "CELL": KnownPart("serial", "pcs", None, is_used=True), "MODULE": used},
        {"MODULE": KnownProduct(("PACK",), 2), "PACK": KnownProduct(("CELL",), 2)},
    )
    assert wrong(PRODUCT, folder=tmp_path, known=stored) == []
    assert wrong(PRODUCT.replace("CELL", "MODULE"), folder=tmp_path, known=stored) == [
        ("a.yaml:4", "MODULE", "a part that isn't made of PACK; this goes round: PACK needs MODULE needs PACK")
    ]
    changed = (
        "parts:\n  - {number: PACK, name: Pack, trace: serial}\n  - {number: CELL, name: C, trace: lot, unit: kg}\n"
    )
    assert wrong(changed, folder=tmp_path, known=stored) == [
        ("a.yaml:2", "PACK", "a serial_pattern of part PACK, since it is made here"),
        ("a.yaml:3", "lot", "serial: CELL is used already, and its pieces were traced so"),
        ("a.yaml:3", "kg", "pcs: CELL is used already, and its quantities were counted so"),
    ]


def test_steps_follow_each_other_unless_they_say_otherwise() -> None:
    route: list[dict[str, object]] = [{"operation": o, "name": o} for o in ("010", "020", "030")]
    route[2] |= {"after": ["010"]}
    product = PlantFiles.model_validate({"products": [{"part": "P", "route": route}]}).products[0]
    assert product.predecessors() == [[], ["010"], ["010"]]


def test_rework_and_alternatives_stand_beside_the_way_of_the_work() -> None:
    route: list[dict[str, object]] = [{"operation": o, "name": o} for o in ("010", "020", "021", "022", "030")]
    route[2] |= {"instead_of": "020"}
    route[3] |= {"rework_of": ["020"]}
    product = PlantFiles.model_validate({"products": [{"part": "P", "route": route}]}).products[0]
    assert product.predecessors() == [[], ["010"], ["010"], [], ["020"]]


def test_content_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        return PlantFiles.model_validate(yaml.safe_load(text)).products[0].digest()

    said = PRODUCT.replace('operation: "020"', 'operation: "020"\n        after: ["010"]')
    said = said.replace("quantity: 6", "quantity: 6.0").replace("unit: W", "unit: W, count: 1, kind: number")
    assert digest(said) == digest(PRODUCT)
    assert digest(PRODUCT.replace("max: 2", "max: 2.1")) != digest(PRODUCT)
    assert digest(PRODUCT.replace("1500", "1501")) != digest(PRODUCT)


def test_schema_beside_the_demo_plant_is_the_models_own() -> None:
    assert json.loads((DEMO / "plant.schema.json").read_text("utf-8")) == json_schema(), (
        "run: mes schema > mes/demo_plant/plant.schema.json"
    )


def test_every_field_is_described() -> None:
    schema = json_schema()
    bare = [
        f"{name}.{field}"
        for name, model in [("PlantFiles", schema), *schema["$defs"].items()]
        for field, said in model.get("properties", {}).items()
        if "description" not in said
    ]
    assert bare == []
