"""Turns a plant's files into one checked message, and every error into its file, its line and a plain sentence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from mes.message import Code
from mes.plan.messages import PlantFiles
from mes.plan.problem import Problem
from mes.plan.yaml_tree import Place, Tree, read_tree
from mes.plant.messages import TIME_OF_DAY, ZONE
from mes.products.messages import SERIAL_PATTERN

NAMING = ("number", "operation", "name", "code", "part")
_CODE_PATTERN = get_args(Code)[1].pattern


@dataclass
class FilesRead:
    """What could be read and understood; `broken` names what couldn't, so that it isn't called unknown besides."""

    files: PlantFiles
    places: dict[str, Place]
    problems: list[tuple[Place, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def place(self, problem: Problem) -> tuple[Place, str]:
        """Where a problem of the data stood in the files, with what was expected there."""
        found = _nearest(self.places, problem.at)
        return found._replace(text=problem.read), problem.expected

    def errors(self, problems: Iterable[Problem] = ()) -> list[dict[str, Any]]:
        """Everything wrong, in the order of the files: {at, read, expected}."""
        everything = dict.fromkeys([*self.problems, *(self.place(problem) for problem in problems)])
        ordered = sorted(everything, key=lambda found: (found[0].file, found[0].line))
        return [
            {"at": f"{place.file}:{place.line}", "read": place.text, "expected": expected}
            for place, expected in ordered
        ]


def read_files(paths: Iterable[Path]) -> FilesRead:
    """Read and understand what can be; what can't is left out of `files` and stands among the problems."""
    tree = read_tree(paths)
    broken: set[str] = set()
    problems = list(tree.problems)
    first = True
    while True:
        try:
            return FilesRead(PlantFiles.model_validate(tree.data), tree.places, problems, broken)
        except ValidationError as error:
            found = error.errors(include_url=False)
            if first:  # what is left out may leave a list too short: told once is enough
                problems += _explain(tree, found)
                first = False
            tree = _without(tree, {_enclosing_item(tuple(e["loc"])) for e in found}, broken)


def _explain(tree: Tree, found: Sequence[Mapping[str, Any]]) -> list[tuple[Place, str]]:
    told: dict[Place, list[str]] = {}
    for error in found:
        pointer = _pointer(error["loc"])
        place = _nearest(tree.places, pointer)
        if error["type"] == "missing":
            place = place._replace(text="nothing")
        elif error["type"] == "extra_forbidden":
            place = place._replace(text=str(error["loc"][-1])[:80])
        elif error["type"] in {"too_short", "too_long"}:
            place = place._replace(text=f"{error['ctx']['actual_length']} of them")
        expected = told.setdefault(place, [])
        if (sentence := _sentence(error)) not in expected:
            expected.append(sentence)
    return [(place, _join(sentences)) for place, sentences in told.items()]


def _join(sentences: list[str]) -> str:
    # The branches of "true, false or a text" fail one by one: one sentence says them all.
    return " or ".join(s for s in sentences if s != "a whole number" or "a number" not in sentences)


def _sentence(error: Mapping[str, Any]) -> str:
    kind, context, loc = error["type"], error.get("ctx", {}), error["loc"]
    if kind == "missing":
        return f"{loc[-1]}: {_description(loc) or 'it is needed'}"
    if kind == "extra_forbidden":
        return f"one of {', '.join(_fields_at(loc[:-1]))}"
    if kind == "literal_error":
        return f"one of {context['expected'].replace(' or ', ', ').replace(chr(39), '')}"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], "another form of text")
    if kind in _PLAIN:
        return _PLAIN[kind].format(**context)
    return str(error["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")


_PATTERNS = {
    _CODE_PATTERN: "1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit",
    SERIAL_PATTERN: "letters, digits, {year} {week} {month} {day}, and at its end {number:06} (1 to 9 digits)",
    ZONE: "an IANA time zone such as America/Chicago, or UTC",
    TIME_OF_DAY: 'a time of day in quotes such as "06:00"',
}
_PLAIN = {
    "string_type": "a text (in quotes where it looks like a number, a date, yes or no)",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} character(s)",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "date_type": "a date such as 2027-06-30",
    "date_from_datetime_inexact": "a date such as 2027-06-30",
    "list_type": "a list",
    "dict_type": "names with values below them",
    "model_type": "names with values below them",
    "model_attributes_type": "names with values below them",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
}


def _model_at(loc: Sequence[Any]) -> type[BaseModel] | None:
    model: type[BaseModel] | None = PlantFiles
    for name in loc:
        if isinstance(name, int):
            continue
        known = model.model_fields.get(name) if model else None
        model = _model_in(known.annotation) if known else None
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)


def _fields_at(loc: Sequence[Any]) -> list[str]:
    model = _model_at(loc)
    return list(model.model_fields) if model else []


def _description(loc: Sequence[Any]) -> str | None:
    model = _model_at(loc[:-1])
    return model.model_fields[loc[-1]].description if model and loc[-1] in model.model_fields else None


def _pointer(loc: Iterable[Any]) -> str:
    return "".join(f"/{str(name).replace('~', '~0').replace('/', '~1')}" for name in loc)


def _nearest(places: Mapping[str, Place], pointer: str) -> Place:
    while pointer and pointer not in places:
        pointer = pointer.rpartition("/")[0]
    return places.get(pointer, Place("", 0, ""))


def _enclosing_item(loc: tuple[Any, ...]) -> str:
    last = max((index for index, name in enumerate(loc) if isinstance(name, int)), default=0)
    return _pointer(loc[: last + 1])


def _without(tree: Tree, drop: set[str], broken: set[str]) -> Tree:
    """The tree without these items; the places follow the items that remain."""
    kept = Tree(places={"": tree.places.get("", Place("", 0, ""))})

    def copy(value: Any, old: str, new: str) -> Any:
        if old in tree.places:
            kept.places[new] = tree.places[old]
        if isinstance(value, dict):
            pairs = [(name, inner, _pointer([name])) for name, inner in value.items()]
            return {name: copy(inner, old + step, new + step) for name, inner, step in pairs if old + step not in drop}
        if isinstance(value, list):
            remaining = [(index, inner) for index, inner in enumerate(value) if f"{old}/{index}" not in drop]
            return [copy(inner, f"{old}/{index}", f"{new}/{n}") for n, (index, inner) in enumerate(remaining)]
        return value

    for pointer in drop:
        broken |= {place.text for name in NAMING if (place := tree.places.get(f"{pointer}/{name}"))}
    kept.data = copy(tree.data, "", "")
    return kept
