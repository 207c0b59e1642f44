"""Wrong steps and components by JSON pointer: what was read and what was expected. Each mistake is told once."""

from typing import Any

import pytest

from mes.plan.checks import Known, KnownPart, check
from mes.plan.messages import PlantFiles

PARTS = {
    "CELL": KnownPart("serial", "pcs", None),
    "CELL-B": KnownPart("serial", "pcs", None),
    "CELL-C": KnownPart("serial", "pcs", None),
    "BOLT": KnownPart("lot", "pcs", None),
    "BOLT-B": KnownPart("lot", "pcs", None),
    "GLUE": KnownPart("lot", "kg", None),
    "PACK": KnownPart("serial", "pcs", "P{number:06}"),
}
# What a step says beyond its operation; "015" is done instead of "010", "031" and "032" mend "030" and "040".
ROUTE: dict[str, dict[str, Any]] = {
    "010": {},
    "015": {"instead_of": "010"},
    "020": {},
    "030": {},
    "031": {"rework_of": ["030"]},
    "032": {"rework_of": ["030", "040"], "instead_of": "031"},
    "040": {},
}
OPERATIONS = ", ".join(ROUTE)


def problems(route: dict[str, dict[str, Any]], bom: list[dict[str, Any]] | None = None) -> list[tuple[str, str, str]]:
    """Check a pack; its problems' pointers below the product."""
    steps = [{"operation": operation, "name": operation} | more for operation, more in route.items()]
    files = PlantFiles.model_validate({"products": [{"part": "PACK", "route": steps, "bom": bom or []}]})
    return [(p.at.removeprefix("/products/0"), p.read, p.expected) for p in check(files, Known(PARTS))]


def clocks(**said: Any) -> dict[str, Any]:
    """One clock of a step."""
    return {"clocks": [said]}


def test_the_route_is_right() -> None:
    assert problems(ROUTE) == []


RIGHT: list[tuple[str, dict[str, Any]]] = [
    ("020", clocks(after="010", at_most_min=1)),
    ("020", clocks(after="015", at_least_min=1, at_most_min=1)),
    ("040", clocks(after="010", at_most_min=1)),
    ("040", clocks(after="032", at_least_min=1)),
    ("030", clocks(after="031", at_least_min=1)),  # its own rework: cured before it is tried again
    ("031", clocks(after="020", at_most_min=1)),
    ("031", {"repeats": ["020", "030"], "refits": ["010", "020"], "attempts": 3}),
    ("031", {"after": ["020"]}),
    ("032", {"after": ["031"]}),
    ("020", {"certificate": "weld", "persons": 0}),
    ("020", {"persons": 2}),
    ("020", {"is_complete": True, "ships": True, "first_article": True}),
    ("020", {"after": ["015"]}),
]


@pytest.mark.parametrize(("operation", "more"), RIGHT, ids=range(len(RIGHT)))
def test_right_conditions_are_let_through(operation: str, more: dict[str, Any]) -> None:
    assert problems(ROUTE | {operation: ROUTE[operation] | more}) == []


BEFORE_020 = "an operation that comes before 020: 010, 015"
WRONG: list[tuple[str, dict[str, Any], tuple[str, str, str]]] = [
    ("020", clocks(after="099", at_most_min=1), ("/route/2/clocks/0/after", "099", BEFORE_020)),
    ("020", clocks(after="020", at_most_min=1), ("/route/2/clocks/0/after", "020", BEFORE_020)),
    ("020", clocks(after="030", at_most_min=1), ("/route/2/clocks/0/after", "030", BEFORE_020)),
    ("020", clocks(after="031", at_most_min=1), ("/route/2/clocks/0/after", "031", BEFORE_020)),
    (
        "010",
        clocks(after="010", at_most_min=1),
        ("/route/0/clocks/0/after", "010", "an operation that comes before 010: there is none"),
    ),
    ("020", clocks(after="010"), ("/route/2/clocks/0", "neither", "at_least_min, at_most_min or both")),
    (
        "020",
        clocks(after="010", at_least_min=61, at_most_min=60),
        ("/route/2/clocks/0/at_least_min", "61", "at most at_most_min, 60"),
    ),
    ("015", {"instead_of": "099"}, ("/route/1/instead_of", "099", f"an operation of this route: {OPERATIONS}")),
    ("015", {"instead_of": "015"}, ("/route/1/instead_of", "015", "another operation than its own")),
    ("015", {"instead_of": "031"}, ("/route/1/instead_of", "031", "a step that is no rework; 031 is one")),
    (
        "020",
        {"instead_of": "015"},
        ("/route/2/instead_of", "015", "a step that replaces none itself; 015 is there instead of 010"),
    ),
    ("032", {"instead_of": "020"}, ("/route/5/instead_of", "020", "a rework step, as this is one")),
    ("031", {"rework_of": ["099"]}, ("/route/4/rework_of/0", "099", f"an operation of this route: {OPERATIONS}")),
    ("031", {"rework_of": ["030", "030"]}, ("/route/4/rework_of/1", "030", "each operation once")),
    ("031", {"rework_of": ["030", "031"]}, ("/route/4/rework_of/1", "031", "another operation than its own")),
    ("031", {"rework_of": ["032"]}, ("/route/4/rework_of/0", "032", "a step that is no rework; 032 is one")),
    ("031", {"repeats": ["099"]}, ("/route/4/repeats/0", "099", f"an operation of this route: {OPERATIONS}")),
    ("031", {"repeats": ["020", "020"]}, ("/route/4/repeats/1", "020", "each operation once")),
    ("031", {"repeats": ["031"]}, ("/route/4/repeats/0", "031", "another operation than its own")),
    ("031", {"refits": ["099"]}, ("/route/4/refits/0", "099", f"an operation of this route: {OPERATIONS}")),
    ("031", {"refits": ["020", "020"]}, ("/route/4/refits/1", "020", "each operation once")),
    ("031", {"refits": ["031"]}, ("/route/4/refits/0", "031", "another operation than its own")),
    ("020", {"repeats": ["010"]}, ("/route/2/repeats", "010", "none: only a step with rework_of has it")),
    ("015", {"refits": ["010"]}, ("/route/1/refits", "010", "none: only a step with rework_of has it")),
    (
        "020",
        {"reads_back": True},
        ("/route/2/reads_back", "true", "a recipe of this step to compare with, or no reads_back"),
    ),
    (
        "040",
        {"after": ["030", "031"]},
        ("/route/6/after/1", "031", "a step that is no rework: 031 is done to units alone that failed"),
    ),
    (
        "031",
        {"after": ["030"]},
        ("/route/4/after/0", "030", "an operation that comes before 030, which has failed when this is done"),
    ),
    (
        "032",
        {"after": ["020", "040"]},
        ("/route/5/after/1", "040", "an operation that comes before 030, 040, which has failed when this is done"),
    ),
]


@pytest.mark.parametrize(("operation", "more", "wanted"), WRONG, ids=[f"{w[2][0]} {w[2][1]}" for w in WRONG])
def test_wrong_conditions_are_told_once(operation: str, more: dict[str, Any], wanted: tuple[str, str, str]) -> None:
    assert problems(ROUTE | {operation: ROUTE[operation] | more}) == [wanted]


def item(part: str, operation: str, *alternates: str, **more: Any) -> dict[str, Any]:
    """A component."""
    return {"part": part, "operation": operation, "quantity": 2, "alternates": list(alternates)} | more


PARTS_WANTED = "the number of a part in the files or already stored"
BOMS: list[tuple[list[dict[str, Any]], list[tuple[str, str, str]]]] = [
    ([item("CELL", "010", "CELL-B", "CELL-C"), item("BOLT", "010", "BOLT-B"), item("BOLT", "020", "BOLT-B")], []),
    ([item("CELL", "010", "NOPE")], [("/bom/0/alternates/0", "NOPE", PARTS_WANTED)]),
    ([item("CELL", "010", "CELL")], [("/bom/0/alternates/0", "CELL", "another part than CELL itself")]),
    ([item("CELL", "010", "CELL-B", "CELL-B")], [("/bom/0/alternates/1", "CELL-B", "each alternate once")]),
    (
        [item("CELL", "010", "BOLT")],
        [("/bom/0/alternates/0", "BOLT", "a part with trace: serial, as CELL has; BOLT has lot")],
    ),
    (
        [item("BOLT", "010", "GLUE")],
        [("/bom/0/alternates/0", "GLUE", "a part counted in pcs, as BOLT is; GLUE is counted in kg")],
    ),
    (
        [item("CELL", "010", "CELL-B"), item("CELL-B", "020")],
        [("/bom/0/alternates/0", "CELL-B", "a part that is no component of PACK itself")],
    ),
    (
        [item("CELL", "010", "CELL-C"), item("CELL-B", "010", "CELL-C")],
        [("/bom/1/alternates/0", "CELL-C", "an alternate of one component alone at operation 010")],
    ),
    (
        [item("CELL", "010"), item("CELL", "020")],
        [("/bom/1/part", "CELL", "each serial-traced part at one operation; CELL stands at 010 already")],
    ),
    (
        [item("CELL", "010", "CELL-C"), item("CELL-B", "020", "CELL-C")],
        [("/bom/1/alternates/0", "CELL-C", "each serial-traced part at one operation; CELL-C stands at 010 already")],
    ),
    (
        [item("CELL", "010", "PACK")],
        [("/bom/0/alternates/0", "PACK", "a part that isn't made of PACK; this goes round: PACK needs PACK")],
    ),
]


@pytest.mark.parametrize(("bom", "wanted"), BOMS, ids=range(len(BOMS)))
def test_alternates_and_places(bom: list[dict[str, Any]], wanted: list[tuple[str, str, str]]) -> None:
    assert problems(ROUTE, bom) == wanted


def test_what_could_not_be_understood_is_not_called_wrong_besides() -> None:
    steps = [
        {"operation": "010", "name": "a", "clocks": [{"after": "005", "at_most_min": 1}], "rework_of": ["006"]},
        {"operation": "020", "name": "b", "instead_of": "007"},
    ]
    bom = [item("CELL", "010", "NEW")]
    files = PlantFiles.model_validate({"products": [{"part": "PACK", "route": steps, "bom": bom}]})
    broken = {"005", "006", "007", "NEW"}
    assert check(files, Known(PARTS, broken=broken)) == []
    assert len(check(files, Known(PARTS))) == len(broken)


def test_time_zones_are_those_the_database_knows() -> None:
    sites = [{"code": zone[:2], "name": zone, "timezone": zone} for zone in ("UTC", "America/Chicago", "Moon/Base")]
    files = PlantFiles.model_validate({"sites": sites})
    found = check(files, Known(zones={"America/Chicago"}))
    assert found == [("/sites/2/timezone", "Moon/Base", "a time zone that the database knows by this name")]
