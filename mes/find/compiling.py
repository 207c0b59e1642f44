"""A question as SQL: which units, or lots, fit it for certain, and which may for all that the record knows.

What the record doesn't know counts as no for certain, and as yes for possible; `not` turns that round.
"""

# ruff: noqa: S608 - every value is bound; what is put together is this file's own SQL
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from mes.find.language import All, Any, Not, Passed, Period, Question, Term, Value

Subject = Literal["unit", "lot"]
OF_LOTS = frozenset({"lot", "part", "date_code", "supplier"})  # what can be said of a whole lot


@dataclass(slots=True)
class Statement:
    """SQL being put together, with its numbered values."""

    values: list[object] = field(default_factory=list)

    def bind(self, value: object, type_: str) -> str:
        """Name a value in the SQL."""
        self.values.append(value)
        return f"CAST(${len(self.values)} AS {type_})"


@dataclass(frozen=True, slots=True)
class Known:
    """What a question names, looked up by field and name: ids, of a lot with all that came from it; and the stations
    where a tool, or a program, is in use."""

    ids: Mapping[tuple[str, str], Sequence[int]]
    stations: Mapping[tuple[str, str], Sequence[int]]
    as_of: datetime | None = None

    def ids_of(self, term: Term) -> list[int]:
        """The ids of all that a term names."""
        return [id_ for name in term.values for id_ in self.ids.get((term.field, name), ())]

    def stations_of(self, term: Term) -> list[int]:
        """Where any of what a term names is in use."""
        return [id_ for name in term.values for id_ in self.stations.get((term.field, name), ())]


def condition(question: Question, known: Known, statement: Statement, subject: Subject, *, is_possible: bool) -> str:
    """The WHERE of a question about `u` (unit) or `l` (lot)."""
    match question:
        case Not(item):
            return f"NOT {condition(item, known, statement, subject, is_possible=not is_possible)}"
        case All(items) | Any(items):
            word = " AND " if isinstance(question, All) else " OR "
            parts = (condition(item, known, statement, subject, is_possible=is_possible) for item in items)
            return f"({word.join(parts)})"
        case Passed(item):
            inner = _of_cycle(item, known, statement, is_possible=is_possible)
            until = f" AND c.reported_at <= {statement.bind(known.as_of, 'timestamptz')}" if known.as_of else ""
            own, key = ("u.id", "c.unit_id") if subject == "unit" else ("l.id", "c.lot_id")
            return f"{own} IN (SELECT {key} FROM cycle c WHERE {key} IS NOT NULL{until} AND {inner})"
        case Term():
            of = _of_unit if subject == "unit" else _of_lot
            return of(question, known, statement, is_possible=is_possible)
    raise AssertionError(question)  # the normal form has no bare terms of cycles


def _of_unit(term: Term, known: Known, statement: Statement, *, is_possible: bool) -> str:
    # of a piece that was bought: the record doesn't know with which lot
    stray = " OR (u.lot_id IS NULL AND u.order_id IS NULL)" if is_possible else ""
    match term.field:
        case "serial":
            return f"u.serial = ANY({statement.bind(list(term.values), 'text[]')})"
        case "part" | "order":
            return f"coalesce(u.{term.field}_id = ANY({_ids(term, known, statement)}), false)"
        case "lot":
            lots = _ids(term, known, statement)
            return f"(coalesce(u.lot_id = ANY({lots}), false) OR {_used(f'= ANY({lots})', known, statement)}{stray})"
        case "carton":
            values = statement.bind(list(term.values), "text[]")
            unsaid = " OR x.carton IS NULL" if is_possible else ""
            nothing = "u.order_id IS NULL AND NOT EXISTS (SELECT FROM cell x WHERE x.unit_id = u.id)"
            unheard = f" OR ({nothing})" if is_possible else ""
            return f"(u.id IN (SELECT x.unit_id FROM cell x WHERE x.carton = ANY({values}){unsaid}){unheard})"
        case "supplier":
            lots = f"IN (SELECT y.id FROM lot y WHERE y.supplier = ANY({statement.bind(list(term.values), 'text[]')}))"
            return f"(coalesce(u.lot_id {lots}, false) OR {_used(lots, known, statement)}{stray})"
    values = statement.bind(list(term.values), "text[]")
    of_cell = f"u.id IN (SELECT x.unit_id FROM cell x WHERE x.date_code = ANY({values}))"
    lots = f"IN (SELECT y.id FROM lot y WHERE y.date_code = ANY({values}))"
    return f"({of_cell} OR coalesce(u.lot_id {lots}, false) OR {_used(lots, known, statement)}{stray})"


def _used(lots: str, known: Known, statement: Statement) -> str:
    """Something of these lots was used up in it: what is known by its lot alone."""
    valid = _valid("i", known, statement)
    return f"u.id IN (SELECT i.parent_id FROM installation i WHERE i.lot_id {lots} AND i.child_id IS NULL{valid})"


def _of_lot(term: Term, known: Known, statement: Statement, *, is_possible: bool) -> str:
    match term.field:
        case "lot":
            return f"l.id = ANY({_ids(term, known, statement)})"
        case "part":
            return f"l.part_id = ANY({_ids(term, known, statement)})"
        case "supplier":
            return f"l.supplier = ANY({statement.bind(list(term.values), 'text[]')})"
        case "date_code":
            return f"coalesce(l.date_code = ANY({statement.bind(list(term.values), 'text[]')}), {is_possible})"
    return "false"


def _of_cycle(question: Question, known: Known, statement: Statement, *, is_possible: bool) -> str:
    match question:
        case Not(item):
            return f"NOT {_of_cycle(item, known, statement, is_possible=not is_possible)}"
        case All(items) | Any(items):
            word = " AND " if isinstance(question, All) else " OR "
            parts = (_of_cycle(item, known, statement, is_possible=is_possible) for item in items)
            return f"({word.join(parts)})"
        case Period(since, until):
            first, last = statement.bind(since, "timestamptz"), statement.bind(until, "timestamptz")
            return f"((c.ended_at >= {first} AND c.started_at <= {last}) OR c.reported_at BETWEEN {first} AND {last})"
        case Value():
            return _of_value(question, statement, is_possible=is_possible)
        case Term():
            return _of_cycles_term(question, known, statement, is_possible=is_possible)
    raise AssertionError(question)


def _of_cycles_term(term: Term, known: Known, statement: Statement, *, is_possible: bool) -> str:
    match term.field:
        case "station":
            return f"c.station_id = ANY({_ids(term, known, statement)})"
        case "operation":
            return f"c.step_id = ANY({_ids(term, known, statement)})"
        case "tool" | "program":
            column = "c.tool_id" if term.field == "tool" else "c.program_revision"
            asked = (
                _ids(term, known, statement) if term.field == "tool" else statement.bind(list(term.values), "text[]")
            )
            # work that names none may have been done with this one, where it is in use
            unsaid = ""
            if is_possible:
                where = statement.bind(known.stations_of(term), "bigint[]")
                unsaid = f" OR ({column} IS NULL AND c.station_id = ANY({where}))"
            return f"(coalesce({column} = ANY({asked}), false){unsaid})"
        case "operator":
            people = statement.bind(list(term.values), "text[]")
            return (
                f"(coalesce(c.operator = ANY({people}), false) OR coalesce(c.second_operator = ANY({people}), false))"
            )
        case "verdict":
            return f"c.verdict = ANY({statement.bind(list(term.values), 'text[]')})"
    numbers = statement.bind([int(value) for value in term.values], "bigint[]")
    # from a first article on, until the next one was asked for at its station
    return (
        f"EXISTS (SELECT FROM first_article a WHERE a.id = ANY({numbers}) AND a.station_id = c.station_id "
        "AND a.cycle_id <= c.id AND NOT EXISTS (SELECT FROM first_article b WHERE b.station_id = a.station_id "
        "AND b.id > a.id AND b.cycle_id <= c.id))"
    )


def _of_value(value: Value, statement: Statement, *, is_possible: bool) -> str:
    low = statement.bind(value.low, "float8") if value.low is not None else None
    high = statement.bind(value.high, "float8") if value.high is not None else None
    if value.how == "inside":
        fits = f"v.x BETWEEN {low} AND {high}"
    else:
        fits = " OR ".join([*([f"v.x < {low}"] if low else []), *([f"v.x > {high}"] if high else [])])
    unsaid = " OR v.x IS NULL" if is_possible else ""
    name = statement.bind(value.name, "text")
    return (
        "EXISTS (SELECT FROM characteristic h JOIN measurement m ON m.cycle_id = c.id AND m.at = c.reported_at, "
        'LATERAL unnest(m.numbers[h."offset" + 1 : h."offset" + h.count]) AS v (x) '
        f"WHERE h.step_id = c.step_id AND h.name = {name} AND h.kind = 'number' AND (({fits}){unsaid}))"
    )


def _ids(term: Term, known: Known, statement: Statement) -> str:
    return statement.bind(known.ids_of(term), "bigint[]")


def _valid(alias: str, known: Known, statement: Statement) -> str:
    """An installation that stands now, or stood then."""
    if known.as_of is None:
        return f" AND {alias}.removed_at IS NULL"
    at = statement.bind(known.as_of, "timestamptz")
    return f" AND {alias}.installed_at <= {at} AND ({alias}.removed_at IS NULL OR {alias}.removed_at > {at})"
