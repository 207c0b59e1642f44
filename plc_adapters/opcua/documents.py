"""Results as documents, and paths into them; pure.

A result is a companion specification's structure, read by the server's own definition (see `structures`), or its JSON
form as text, under the same field names. One that comes in another form is kept as a dead letter with its bytes, never
dropped.
"""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from mes.execution.messages import ResultReport
from plc_adapters.mapping import described
from plc_adapters.port import Problem, Reported, Turn, Unreadable
from plc_adapters.profile_settings import CurvePaths

NOBODY = Turn("", 0)


class NotADocument(Exception):
    """What was read is no document, or has not what was sought in it."""

    def __init__(self, at: str, read: Any, expected: str) -> None:
        self.error = {"at": at, "read": repr(read)[:200], "expected": expected}
        super().__init__(expected)


def parsed(read: Any) -> dict[str, Any]:
    """Read a document, or raise NotADocument."""
    if isinstance(read, dict):
        return read
    try:
        found = json.loads(read) if isinstance(read, str | bytes) else None
    except ValueError as error:
        raise NotADocument("result", read, f"JSON: {error}") from error
    if not isinstance(found, dict):
        raise NotADocument("result", read, "a structure that the server describes, or a document as JSON text")
    return found


def at(document: Any, path: str) -> list[Any]:
    """Find all that a path leads to; `*` is every element of an array, an empty path the document itself."""
    found = [document]
    for part in path.split(".") if path else ():
        if part == "*":
            found = [one for many in found if isinstance(many, list) for one in many]
        elif part.isdecimal():
            found = [many[int(part)] for many in found if isinstance(many, list) and int(part) < len(many)]
        else:
            found = [one[part] for one in found if isinstance(one, dict) and part in one]
    return found


def one_at(document: Any, path: str) -> Any:
    """Find the first that a path leads to, or None."""
    return next(iter(at(document, path)), None)


def values_at(document: Any, path: str) -> list[Any]:
    """Find values; arrays at the path's end are joined."""
    return [value(path, one) for found in at(document, path) for one in (found if isinstance(found, list) else [found])]


def value(where: str, read: Any) -> bool | float | str | None:
    """Take one measured value; what was not measured is None."""
    if read is None or isinstance(read, bool | str):
        return read
    if isinstance(read, int | float):
        return float(read) if math.isfinite(read) else None
    raise NotADocument(where, read, "a number, a boolean or a text")


def curves_at(document: Any, paths: dict[str, CurvePaths]) -> list[dict[str, Any]]:
    """Find curves; those of one characteristic are counted in the order they stand in."""
    found = []
    for name, path in paths.items():
        for ordinal, part in enumerate(at(document, path.each), 1):
            found.append(
                {"characteristic": name, "ordinal": ordinal, "x": values_at(part, path.x), "y": values_at(part, path.y)}
            )
    return [curve for curve in found if curve["x"] or curve["y"]]


def moment(where: str, read: Any) -> datetime:
    """Take a time in UTC."""
    try:
        taken = datetime.fromisoformat(read) if isinstance(read, str) else None
    except ValueError:
        taken = None
    if taken is None:
        raise NotADocument(where, read, "a time as ISO 8601")
    return taken if taken.tzinfo else taken.replace(tzinfo=UTC)


def report_or_letter(
    station: str, cycle: str, words: dict[str, Any], build: Callable[[], dict[str, Any]]
) -> Reported | Unreadable:
    """Make the report of a document, or say what is wrong with it and keep what was read."""
    try:
        return Reported(NOBODY, ResultReport.model_validate({"station": station, "cycle": cycle, **build()}))
    except NotADocument as error:
        errors: tuple[dict[str, Any], ...] = (error.error,)
    except ValidationError as error:
        errors = tuple(described(error))
    problem = Problem(422, "Unreadable", "The machine's result makes no report.", errors)
    return Unreadable(NOBODY, station, cycle, True, problem, words)
