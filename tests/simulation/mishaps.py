"""What goes wrong at a station: each mishap spoils a question or a report that was good, in one way."""

from collections.abc import Callable
from typing import Any

from tests.simulation.choosing import Chance
from tests.simulation.plant import DOES, OLDER

Fields = dict[str, Any]
Mishap = Callable[[Chance, Fields], None]


def _component(chance: Chance, fields: Fields, **to: Any) -> None:
    """Alter one component, or name one where there is none."""
    if not fields["components"]:
        fields["components"] = [{"part": "CELL", "serial": _some(chance, chance.good("CELL")), "position": 1}]
    number = chance.rng.randrange(len(fields["components"]))
    fields["components"] = [dict(c) | (to if n == number else {}) for n, c in enumerate(fields["components"])]


def _some(chance: Chance, units: list[int]) -> str:
    return chance.serial(chance.one(units)) if units else "NOBODY"


def _all(chance: Chance) -> list[int]:
    return [u for part in ("CELL", "CELL-B", "BMS", "MOD") for u in chance.units(part)]


def _held_part(chance: Chance, fields: Fields) -> None:
    _component(chance, fields, serial=_some(chance, sorted(chance.held(_all(chance)))))


def _part_elsewhere(chance: Chance, fields: Fields) -> None:
    _component(chance, fields, serial=_some(chance, [u for u in _all(chance) if u in chance.book.tables.parent]))


def _scrap_part(chance: Chance, fields: Fields) -> None:
    _component(chance, fields, serial=_some(chance, [u for u in _all(chance) if _state(chance, u) == "scrapped"]))


def _untested_part(chance: Chance, fields: Fields) -> None:
    _component(chance, fields, serial=_some(chance, [u for u in _all(chance) if _state(chance, u) == "removed"]))


def _unfinished_part(chance: Chance, fields: Fields) -> None:
    _component(chance, fields, part="MOD", serial=_some(chance, chance.loose("MOD", "issued", "in_process")))


def _older_part(chance: Chance, fields: Fields) -> None:
    _component(chance, fields, part="MOD", serial=OLDER)


def _state(chance: Chance, unit: int) -> str:
    return chance.book.tables.state[unit]


def _unknown_part(chance: Chance, fields: Fields) -> None:
    serial = f"U{chance.number}"
    _component(chance, fields, part="CELL", serial=serial)
    chance.unheard_of[serial] = "CELL"


def _wrong_part(chance: Chance, fields: Fields) -> None:
    _component(chance, fields, part="BMS", serial=_some(chance, chance.good("BMS")))


def _part_twice(chance: Chance, fields: Fields) -> None:
    _component(chance, fields)
    fields["components"] = [*fields["components"], dict(fields["components"][0])]


def _same_position(chance: Chance, fields: Fields) -> None:
    _component(chance, fields, position=1)


def _far_position(chance: Chance, fields: Fields) -> None:
    _component(chance, fields, position=9)


def _part_forgotten(chance: Chance, fields: Fields) -> None:
    fields["components"] = fields["components"][1:]


def _itself(chance: Chance, fields: Fields) -> None:
    _component(chance, fields, serial=fields["serial"])


def _its_parent(chance: Chance, fields: Fields) -> None:
    """Fit a pack into what it contains."""
    inside = [u for u in chance.units("MOD") if u in chance.book.tables.parent]
    if inside:
        unit = chance.one(inside)
        fields["serial"] = chance.serial(unit)
        parent = chance.book.tables.edges[chance.book.tables.parent[unit]].parent_id
        _component(chance, fields, part="PACK", serial=chance.serial(parent))


def _removal(chance: Chance, fields: Fields) -> None:
    """Take out what isn't inside, or is."""
    tables = chance.book.tables
    inside = [tables.edges[e].child_id for e in tables.inside[tables.by_serial.get(fields["serial"], 0)]]
    mine = [u for u in inside if u is not None]
    chosen = chance.one(sorted(mine)) if mine and chance.is_so(0.6) else chance.one(_all(chance))
    fields["removals"] = [{"serial": chance.serial(chosen), "to": chance.one(("scrap", "stock", "review"))}]


def _in_and_out(chance: Chance, fields: Fields) -> None:
    """Take a part out and put the same part in again, untested."""
    _removal(chance, fields)
    _component(chance, fields, serial=fields["removals"][0]["serial"])


def _lot(*numbers: str) -> Mishap:
    def name(chance: Chance, fields: Fields) -> None:
        fields["lots"] = [chance.one(numbers)]

    return name


def _lot_twice(chance: Chance, fields: Fields) -> None:
    fields["lots"] = [*fields["lots"], *fields["lots"]] or ["S1", "S1"]


def _set(name: str, *values: Any) -> Mishap:
    def put(chance: Chance, fields: Fields) -> None:
        fields[name] = chance.one(values)

    return put


def _other_unit(chance: Chance, fields: Fields) -> None:
    fields["serial"] = chance.serial(chance.one([*chance.units("MOD"), *chance.units("PACK")]))


def _other_step(chance: Chance, fields: Fields) -> None:
    """The station is right for another step than the one that is next."""
    operation = chance.one(("10", "20", "21", "22", "30", "40", "41", "50", "60", "70", "71", "80", "90"))
    fields |= {"operation": operation, "station": chance.one(DOES[operation])}


def _unit_in(*states: str) -> Mishap:
    def choose(chance: Chance, fields: Fields) -> None:
        found = [u for part in ("MOD", "PACK") for u in chance.units(part, *states)]
        fields["serial"] = _some(chance, found) if found else fields["serial"]

    return choose


QUESTIONS: tuple[Mishap, ...] = (
    *(_held_part, _part_elsewhere, _scrap_part, _untested_part, _unfinished_part, _older_part, _unknown_part),
    *(_wrong_part, _part_twice, _same_position, _far_position, _part_forgotten, _itself, _its_parent, _removal),
    *(_in_and_out, _lot("GX"), _lot("NOLOT", "LATE"), _lot("S1", "S2"), _lot("G1", "G2"), _lot_twice),
    _set("station", *(f"W-{n}" for n in ("20", "21", "30", "40", "50", "70", "80", "90", "99", "NONE"))),
    _set("serial", "NOBODY", "S1"),
    _set("tool", "T-OLD", None),
    _set("recipe_digest", "0" * 64, None),
    _set("program_revision", "W8", None),
    _set("operator", "cid", None),
    _set("second_operator", "ann", "cid", None),
    _set("operation", None),
    *(_other_unit, _other_step, _other_step, _unit_in("scrapped"), _unit_in("removed"), _unit_in("finished")),
)


def spoil_question(chance: Chance, fields: Fields) -> None:
    """Spoil a question in one way."""
    chance.one(QUESTIONS)(chance, fields)


def spoil_report(chance: Chance, fields: Fields) -> None:
    """Spoil a report that was permitted: other parts than were asked for, or other numbers."""
    mishaps: tuple[Mishap, ...] = (
        *(_held_part, _part_elsewhere, _scrap_part, _untested_part, _unknown_part, _wrong_part, _part_twice),
        *(_same_position, _part_forgotten, _removal, _in_and_out, _its_parent, _other_unit, _quantity, _quantity),
        *(_lots_twice, _lots_twice, _future, _disagreeing),
    )
    chance.one(mishaps)(chance, fields)


def _quantity(chance: Chance, fields: Fields) -> None:
    fields["lots"] = [lot | {"quantity": chance.one(("0.1", "600", "0.333333"))} for lot in fields["lots"]]


def _lots_twice(chance: Chance, fields: Fields) -> None:
    lots = fields["lots"] or [{"lot": "S1", "quantity": "2"}]
    fields["lots"] = [*lots, lots[0] | {"quantity": "0.25"}]


def _future(chance: Chance, fields: Fields) -> None:
    fields["ended_at"] = {"in_min": 600}


def _disagreeing(chance: Chance, fields: Fields) -> None:
    fields["values"] = {"ok": [not fields["values"]["ok"][0]]}
