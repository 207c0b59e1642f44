"""Words to messages and answers to words, for the handshakes by tags; pure."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from mes.execution.messages import PermitAnswer, PermitRequest, RecipeAnswer, ReportAnswer, ResultReport
from plc_adapters.mapping import StationMap, described
from plc_adapters.port import ASKER, KEPT, Asked, Problem, Reported, Turn, Unreadable

KEPT_TEXT = "Kept on the gateway until the MES is back."
LONGEST_TEXT = 200  # a PLC's string is short; what doesn't fit stands on the screens
GRANTED, REFUSED = 1, 2
PASSED, FAILED, FINDINGS, DEAD_LETTER = 1, 2, 3, 9
M = TypeVar("M", Asked, Reported)
_VERDICTS = {1: "passed", 2: "failed"}

# What both a request and a result say of the work; the PLC's word is the prefix and this.
_WORK_WORDS = (
    *("Serial", "Operation", "Operator", "SecondOperator", "Tool", "ProgramRevision", "RecipeId"),
    *("ComponentParts", "ComponentSerials", "ComponentPositions", "Lots", "Removals", "RemovalsTo"),
)
REQUEST_WORDS = tuple(f"Req{word}" for word in _WORK_WORDS)
RESULT_WORDS = (
    *(f"Done{word}" for word in _WORK_WORDS),
    *("DoneReqSeq", "DoneReqAt", "DoneVerdict", "DoneStartedAt", "DoneEndedAt", "DoneLotQuantities"),
)


class _Wrong(Exception):
    def __init__(self, at: str, read: Any, expected: str) -> None:
        self.error = {"at": at, "read": repr(read)[:200], "expected": expected}
        super().__init__(expected)


def request_of(
    station: StationMap, turn: Turn, cycle: str, words: dict[str, Any], bad: dict[str, str]
) -> Asked | Unreadable:
    """Make the question of a station out of its words; `bad` names the words that came without a value."""

    def build(wrong: list[dict[str, Any]]) -> Asked:
        message = {
            "station": station.code,
            "cycle": cycle,
            "asker": ASKER,
            **_work(wrong, "Req", words),
            "lots": _try(wrong, _list, "ReqLots", words) or [],
        }
        return Asked(turn, PermitRequest.model_validate(message))

    built = _built(build, bad)
    if isinstance(built, Problem):
        return Unreadable(turn, station.code, cycle, False, built, _printable(words))
    return built


def result_of(
    station: StationMap, turn: Turn, cycle: str, words: dict[str, Any], bad: dict[str, str]
) -> Reported | Unreadable:
    """Make the report out of a station's words, values and curves (read under `values.NAME`, `curves.NAME.1.y`)."""

    def build(wrong: list[dict[str, Any]]) -> Reported:
        values = {name: _try(wrong, _values, f"values.{name}", words) for name in station.values}
        message = {
            "station": station.code,
            "cycle": cycle,
            "asker": ASKER,
            **_work(wrong, "Done", words),
            "verdict": _try(wrong, _verdict, "DoneVerdict", words),
            "started_at": _try(wrong, _moment, "DoneStartedAt", words),
            "ended_at": _try(wrong, _moment, "DoneEndedAt", words),
            "values": {name: found for name, found in values.items() if found},
            "curves": _curves(wrong, station, words),
            "lots": _table(wrong, words, {"lot": "DoneLots", "quantity": "DoneLotQuantities"}),
        }
        return Reported(turn, ResultReport.model_validate(message))

    built = _built(build, bad)
    if isinstance(built, Problem):
        return Unreadable(turn, station.code, cycle, True, built, _printable(words))
    return built


def _work(wrong: list[dict[str, Any]], prefix: str, words: dict[str, Any]) -> dict[str, Any]:
    """What both messages say of the work."""
    names = {
        "operation": "Operation",
        "operator": "Operator",
        "second_operator": "SecondOperator",
        "tool": "Tool",
        "program_revision": "ProgramRevision",
    }
    said = {field: _try(wrong, _text, f"{prefix}{word}", words) or None for field, word in names.items()}
    # the recipe is read back as it was sent: NAME@DIGEST
    recipe = _try(wrong, _text, f"{prefix}RecipeId", words) or None
    placed = {"part": "ComponentParts", "serial": "ComponentSerials", "position": "ComponentPositions"}
    out = {"serial": "Removals", "to": "RemovalsTo"}
    return {
        "serial": _try(wrong, _text, f"{prefix}Serial", words),
        **said,
        "recipe_digest": recipe.rpartition("@")[2] if recipe else None,
        "components": _table(wrong, words, {field: f"{prefix}{word}" for field, word in placed.items()}),
        "removals": _table(wrong, words, {field: f"{prefix}{word}" for field, word in out.items()}),
    }


def permit_words(serial: str, answer: PermitAnswer | Problem) -> dict[str, Any]:
    """The payload of a permit."""
    empty = {"PermitSerial": serial, "PermitText": "", "PermitReason": "", "RecipeId": "", "RecipeParameters": ""}
    if isinstance(answer, Problem):
        return empty | {"PermitCode": REFUSED, "PermitText": short(answer.text), "PermitReason": answer.code}
    if not answer.granted:
        first = answer.refusals[0] if answer.refusals else None
        text = f"{first.text} {first.clears}" if first else "refused"
        return empty | {
            "PermitCode": REFUSED,
            "PermitText": short(text),
            "PermitReason": str(first.code) if first else "",
        }
    if answer.recipe is None:
        return empty | {"PermitCode": GRANTED}
    return empty | {"PermitCode": GRANTED} | recipe_words(answer.recipe)


def recipe_words(recipe: RecipeAnswer) -> dict[str, Any]:
    """A recipe as a machine is given it; it says NAME@DIGEST back when it holds it."""
    parameters = json.dumps(recipe.parameters, ensure_ascii=False, separators=(",", ":"))
    return {"RecipeParameters": parameters, "RecipeId": f"{recipe.name}@{recipe.digest}"}


def ack_words(answer: ReportAnswer | Problem) -> dict[str, Any]:
    """The payload of an acknowledgement; a finding outweighs the verdict, because the unit is on hold for it."""
    if isinstance(answer, Problem):
        return {"AckCode": DEAD_LETTER, "AckText": short(answer.text)}
    if answer.findings:
        first = answer.findings[0]
        return {"AckCode": FINDINGS, "AckText": short(f"{first.text} {first.clears}")}
    if answer.verdict == "failed":
        text = "failed"
        if answer.failures:
            one = answer.failures[0]
            text = f"{one.characteristic} {one.index}: {one.value}, expected {one.expected}"
        return {"AckCode": FAILED, "AckText": short(text)}
    return {"AckCode": PASSED, "AckText": KEPT_TEXT if answer.unit_state == KEPT else ""}


def short(text: str) -> str:
    """Cut a text to what a PLC's string holds."""
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 3] + "..."


def _built(build: Callable[[list[dict[str, Any]]], M], bad: dict[str, str]) -> M | Problem:
    wrong = [{"at": word, "read": status, "expected": "a value of good quality"} for word, status in bad.items()]
    try:
        message: M | None = build(wrong)
    except ValidationError as error:
        named = {one["at"] for one in wrong}
        wrong += [one for one in described(error) if one["at"] not in named]
        message = None
    if wrong or message is None:
        return Problem(422, "Unreadable", "The station's words make no message.", tuple(wrong))
    return message


def _try(wrong: list[dict[str, Any]], take: Callable[[str, Any], Any], word: str, words: dict[str, Any]) -> Any:
    if word not in words:
        return None
    try:
        return take(word, words[word])
    except _Wrong as error:
        wrong.append(error.error)
        return None


def _text(word: str, read: Any) -> str:
    if read is None:
        return ""
    if not isinstance(read, str):
        raise _Wrong(word, read, "a text")
    return read.strip()


def _verdict(word: str, read: Any) -> str:
    if read not in _VERDICTS:
        raise _Wrong(word, read, "1 (passed) or 2 (failed)")
    return _VERDICTS[read]


def _moment(word: str, read: Any) -> datetime:
    if not isinstance(read, datetime):
        raise _Wrong(word, read, "a DateTime in UTC")
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _list(word: str, read: Any) -> list[Any]:
    if read is None:
        return []
    if not isinstance(read, list):
        raise _Wrong(word, read, "an array")
    return read


def _values(word: str, read: Any) -> list[Any]:
    """Take an array or a single value; NaN says that it was not measured, infinity is no measurement."""
    given = read if isinstance(read, list) else [] if read is None else [read]
    return [_value(f"{word}.{place}", one) for place, one in enumerate(given, 1)]


def _value(at: str, read: Any) -> bool | float | str | None:
    if read is None or isinstance(read, bool | str):
        return read
    if isinstance(read, int | float):
        if math.isnan(read):
            return None
        if math.isinf(read):
            raise _Wrong(at, read, "a finite number, or NaN where nothing was measured")
        return float(read)
    raise _Wrong(at, read, "a number, a boolean or a text")


def _curves(wrong: list[dict[str, Any]], station: StationMap, words: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, count in station.curves.items():
        for ordinal in range(1, count + 1):
            axes = {axis: _try(wrong, _values, f"curves.{name}.{ordinal}.{axis}", words) for axis in "xy"}
            if any(axes.values()):
                found.append({"characteristic": name, "ordinal": ordinal, **axes})
    return found


def _table(wrong: list[dict[str, Any]], words: dict[str, Any], columns: dict[str, str]) -> list[dict[str, Any]]:
    read = {field: _try(wrong, _list, word, words) for field, word in columns.items() if word in words}
    lengths = {columns[field]: len(column or []) for field, column in read.items()}
    if len(set(lengths.values())) > 1:
        wrong.append(_Wrong(" ".join(lengths), list(lengths.values()), "arrays of one length").error)
        return []
    rows = zip(*(column or [] for column in read.values()), strict=True)
    return [dict(zip(read, row, strict=True)) for row in rows]


def _printable(words: dict[str, Any]) -> dict[str, Any]:
    """Make what was read fit for JSON, without losing any of it: what has no form there is kept as text."""
    return json.loads(json.dumps({word: _json(one) for word, one in words.items()}))  # type: ignore[no-any-return]


def _json(read: Any) -> Any:
    if isinstance(read, list):
        return [_json(one) for one in read]
    if isinstance(read, float) and not math.isfinite(read):
        return str(read)
    if read is None or isinstance(read, bool | int | float | str):
        return read
    return read.isoformat() if isinstance(read, datetime) else repr(read)
