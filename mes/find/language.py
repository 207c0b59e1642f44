"""The language of questions: parsed, put in its normal form, printed. Pure.

    lot = L-7 or carton = B-12
    station = ST-330 and tool = W2 and not operator = anna and at 2026-11-20T06:00Z..2026-11-20T14:00Z
    passed (station = ST-330 and value weld_pull_n outside 90..140) and not passed (operation = 340)

What is said of a cycle within one `passed (...)` is said of one and the same cycle. Terms about cycles that stand bare
are gathered into one `passed (...)`, those beside each other in an `and` into the same; the normal form shows it.
`not passed (...)`: no cycle is like that.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from mes.errors import Malformed

LONGEST, DEEPEST, MOST_VALUES = 2_000, 12, 1_000
OF_UNITS = ("serial", "part", "order", "lot", "carton", "date_code", "supplier")
OF_CYCLES = ("station", "operation", "tool", "program", "operator", "verdict", "article")
_TOKEN = re.compile(r'\s*(?:(?P<quoted>"[^"]*")|(?P<mark>\.\.|[(),=])|(?P<word>(?:(?!\.\.)[^\s(),="])+))')
_PLAIN = re.compile(r"(?:(?!\.\.)[^\s(),=\"])+")


@dataclass(frozen=True, slots=True)
class Term:
    """A field that is one of some values."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Period:
    """The cycle's work overlaps a time, or it was reported in it: a wrong clock lets nothing slip past."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a characteristic of the cycle is outside or inside limits; None: no limit on that side."""

    name: str
    how: Literal["outside", "inside"]
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Passed:
    """One cycle is like that."""

    item: "Question"


@dataclass(frozen=True, slots=True)
class Not:
    """It isn't so."""

    item: "Question"


@dataclass(frozen=True, slots=True)
class All:
    """All of them."""

    items: tuple["Question", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one of them."""

    items: tuple["Question", ...]


Question = Term | Period | Value | Passed | Not | All | Any


def parse(text: str) -> Question:
    """Read a question and put it in its normal form; Malformed says what was read, where, and what was expected."""
    if len(text) > LONGEST:
        raise _malformed(f"{len(text)} characters", f"at most {LONGEST}")
    return normal(_Parser(text).whole())


def show(question: Question) -> str:
    """A question in words, which parse to the same again."""
    return _show(question, 0)


def _show(question: Question, around: int) -> str:
    match question:
        case Term(field, values):
            shown = [_quoted(value) for value in values]
            return f"{field} = {shown[0]}" if len(shown) == 1 else f"{field} in ({', '.join(shown)})"
        case Period(since, until):
            return f"at {_moment(since)}..{_moment(until)}"
        case Value(name, "outside", low, high) if low is None or high is None:
            return f"value {_quoted(name)} " + (f"below {low!r}" if high is None else f"above {high!r}")
        case Value(name, how, low, high):
            return f"value {_quoted(name)} {how} {low!r}..{high!r}"
        case Passed(item):
            return f"passed ({_show(item, 0)})"
        case Not(item):
            return f"not {_show(item, 3)}"
        case All(items):
            said, own = " and ".join(_show(item, 2) for item in items), 2
        case Any(items):
            said, own = " or ".join(_show(item, 1) for item in items), 1
    return f"({said})" if around >= own else said


def normal(question: Question) -> Question:
    """Gather bare terms about cycles: every one stands within a `passed`."""
    match question:
        case Passed(item):
            if not _is_of_cycle(item):
                raise _malformed(
                    show(item), f"within passed (...), of a cycle alone: {', '.join(OF_CYCLES)}, at, value"
                )
            return Passed(_flat(item))
        case Not(item):
            return Not(normal(item))
        case All(items):
            bare = [item for item in items if _is_of_cycle(item)]
            rest = [normal(item) for item in items if not _is_of_cycle(item)]
            if any(not isinstance(item, Not) for item in bare):
                return _flat(All((*rest, Passed(_flat(All(tuple(bare)))))))
            return _flat(All((*rest, *(normal(item) for item in bare))))
        case Any(items):
            bare = [item for item in items if _is_of_cycle(item) and not isinstance(item, Not)]
            rest = [normal(item) for item in items if item not in bare]
            return _flat(Any((*rest, *([Passed(_flat(Any(tuple(bare))))] if bare else []))))
    return Passed(question) if _is_of_cycle(question) else question


def terms(question: Question) -> Iterator[Term | Period | Value]:
    """Every term of a question."""
    match question:
        case Passed(item) | Not(item):
            yield from terms(item)
        case All(items) | Any(items):
            for item in items:
                yield from terms(item)
        case _:
            yield question


def _is_of_cycle(question: Question) -> bool:
    match question:
        case Passed():
            return False
        case Not(item):
            return _is_of_cycle(item)
        case All(items) | Any(items):
            return all(map(_is_of_cycle, items))
        case Term(field, _):
            return field in OF_CYCLES
    return True


def _flat(question: Question) -> Question:
    """Without `and` in `and`, `or` in `or`, and groups of one."""
    match question:
        case All(items) | Any(items):
            kind = type(question)
            inner: list[Question] = []
            for item in map(_flat, items):
                inner += item.items if isinstance(item, kind) else (item,)
            return inner[0] if len(inner) == 1 else kind(tuple(inner))
        case Not(item):
            return Not(_flat(item))
    return question


class _Parser:
    """Reads by precedence: not, and, or."""

    def __init__(self, text: str) -> None:
        self._text, self._tokens, self._at = text, [], 0
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise _malformed(f"{text[at:].strip()[:40]} at character {at + 1}", 'a word, or a closed "..."')
            kind = found.lastgroup or ""
            value = found.group(kind)
            self._tokens.append((kind, value[1:-1] if kind == "quoted" else value, found.start(kind) + 1))
            at = found.end()

    _tokens: list[tuple[str, str, int]]

    def whole(self) -> Question:
        question = self._any(0)
        if self._at < len(self._tokens):
            raise self._wrong("and, or, or the end")
        return question

    def _any(self, depth: int) -> Question:
        return self._group("or", Any, lambda: self._group("and", All, lambda: self._not(depth)))

    def _group(self, word: str, kind: type[All] | type[Any], inner: Callable[[], Question]) -> Question:
        items = [inner()]
        while self._takes(word):
            items.append(inner())
        return items[0] if len(items) == 1 else _flat(kind(tuple(items)))

    def _not(self, depth: int) -> Question:
        if depth > DEEPEST:
            raise self._wrong(f"at most {DEEPEST} levels of brackets and not")
        if self._takes("not"):
            return Not(self._not(depth + 1))
        if self._takes("passed"):
            self._expect("(")
            return Passed(self._closed(depth))
        if self._takes("("):
            return self._closed(depth)
        return self._term()

    def _closed(self, depth: int) -> Question:
        question = self._any(depth + 1)
        self._expect(")")
        return question

    def _term(self) -> Question:
        if self._takes("at"):
            since = self._moment()
            self._expect("..")
            until = self._moment()
            if until < since:
                raise _malformed(f"{_moment(since)}..{_moment(until)}", "the earlier moment first")
            return Period(since, until)
        if self._takes("value"):
            return self._value()
        fields = (*OF_UNITS, *OF_CYCLES)
        if self._peek()[1] not in fields or self._peek()[0] != "word":
            raise self._wrong(f"not, passed (...), at, value, or one of {', '.join(fields)}")
        field = self._next()[1]
        if self._takes("in"):
            self._expect("(")
            values = [self._text_of(field)]
            while self._takes(","):
                values.append(self._text_of(field))
            self._expect(")")
            if len(values) > MOST_VALUES:
                raise _malformed(f"{len(values)} values of {field}", f"at most {MOST_VALUES}")
            return Term(field, tuple(dict.fromkeys(values)))
        self._expect("=", f"= or in (...) after {field}")
        return Term(field, (self._text_of(field),))

    def _value(self) -> Value:
        name = self._text_of("value")
        if self._takes("below"):
            return Value(name, "outside", self._number(), None)
        if self._takes("above"):
            return Value(name, "outside", None, self._number())
        for how in ("outside", "inside"):
            if self._takes(how):
                low = self._number()
                self._expect("..")
                return Value(name, how, low, self._number())
        raise self._wrong("outside 1..2, inside 1..2, below 1 or above 2")

    def _text_of(self, field: str) -> str:
        kind, value, _ = self._peek()
        if kind not in ("word", "quoted") or not value or not value.isprintable():
            raise self._wrong(f"a value of {field}; one with spaces or marks in double quotes")
        self._next()
        if field == "verdict" and value not in ("passed", "failed"):
            raise _malformed(value, "the verdict passed or failed")
        if field == "article" and not (value.isascii() and value.isdecimal() and len(value) < 18):
            raise _malformed(value, "the number of a first article")
        return value

    def _number(self) -> float:
        kind, value, _ = self._peek()
        try:
            number = float(value) if kind == "word" else math.nan
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self._wrong("a number")
        self._next()
        return number

    def _moment(self) -> datetime:
        kind, value, _ = self._peek()
        try:
            moment = datetime.fromisoformat(value) if kind == "word" else None
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise self._wrong("a moment with its zone, as 2026-11-20T06:00Z or 2026-11-20T06:00-05:00")
        self._next()
        return moment.astimezone(UTC)

    def _peek(self) -> tuple[str, str, int]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "", len(self._text) + 1)

    def _next(self) -> tuple[str, str, int]:
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, what: str) -> bool:
        kind, value, _ = self._peek()
        is_it = value == what and kind not in ("quoted", "end")
        self._at += is_it
        return is_it

    def _expect(self, what: str, expected: str | None = None) -> None:
        if not self._takes(what):
            raise self._wrong(expected or what)

    def _wrong(self, expected: str) -> Malformed:
        kind, value, at = self._peek()
        return _malformed("the end" if kind == "end" else f"{value[:40]} at character {at}", expected)


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else f'"{value}"'


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _malformed(read: str, expected: str) -> Malformed:
    return Malformed("The question", [{"at": "question", "read": read, "expected": expected}])
