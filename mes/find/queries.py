"""Looks up what a question names, asks it, and finds out where the answer is."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession
from mes.errors import Malformed
from mes.find.compiling import OF_LOTS, Known, Statement, Subject, condition
from mes.find.language import OF_UNITS, Question, Term, Value, terms
from mes.genealogy.queries import edges_at
from mes.materials.queries import derived_lots
from mes.statement import Prepared

MOST = 500_000  # units; more than that is a plant, not an answer
_TEXTS, _IDS = ARRAY(Text), ARRAY(BigInteger)
_LOOKED_UP = {
    "part": "SELECT id, number AS name FROM part WHERE number = ANY($1)",
    "order": "SELECT id, number AS name FROM work_order WHERE number = ANY($1)",
    "lot": "SELECT id, number AS name FROM lot WHERE number = ANY($1)",
    "station": "SELECT id, code AS name FROM station WHERE code = ANY($1)",
    "operation": "SELECT id, operation AS name FROM step WHERE operation = ANY($1)",
    "tool": "SELECT id, code AS name, station_id FROM tool WHERE code = ANY($1)",
    "program": "SELECT p.name, s.id, s.id AS station_id FROM station s, unnest($1::text[]) AS p (name) "
    "WHERE EXISTS (SELECT FROM cycle c WHERE c.station_id = s.id AND c.program_revision = p.name)",
    "serial": "SELECT id, serial AS name FROM unit WHERE serial = ANY($1)",
    "carton": "SELECT DISTINCT 0 AS id, carton AS name FROM cell WHERE carton = ANY($1)",
    "supplier": "SELECT DISTINCT 0 AS id, supplier AS name FROM lot WHERE supplier = ANY($1)",
    "date_code": "SELECT DISTINCT 0 AS id, date_code AS name FROM lot WHERE date_code = ANY($1) "
    "UNION SELECT DISTINCT 0, date_code FROM cell WHERE date_code = ANY($1)",
    "article": "SELECT id, id::text AS name FROM first_article WHERE id = ANY($1::text[]::bigint[])",
    "value": "SELECT DISTINCT 0 AS id, name FROM characteristic WHERE name = ANY($1) AND kind = 'number'",
}
_CONTAINING = Prepared(
    text(
        f"""
        WITH RECURSIVE own AS (SELECT * FROM unnest(:units, :certain) AS o (id, is_certain)),
        first AS (
            SELECT i.parent_id AS id, bool_or(o.is_certain) AS is_certain FROM own o
            CROSS JOIN LATERAL {edges_at("child_id", "o.id", ":as_of")} i
            GROUP BY i.parent_id),
        above AS (
            SELECT id, is_certain FROM first
            UNION SELECT i.parent_id, a.is_certain FROM above a
            CROSS JOIN LATERAL {edges_at("child_id", "a.id", ":as_of")} i),
        every AS (
            SELECT id, bool_or(is_certain) AS is_certain, bool_or(is_own) AS is_own FROM (
                SELECT id, is_certain, true AS is_own FROM own UNION ALL SELECT id, is_certain, false FROM above) x
            GROUP BY id)
        SELECT u.id, u.serial, p.number AS part, e.is_certain, e.is_own,
               e.is_own AND EXISTS (
                   SELECT FROM {edges_at("parent_id", "u.id", ":as_of")} i
                   WHERE i.lot_id = ANY(:lots) AND i.child_id IS NULL) AS is_by_lot,
               CASE WHEN EXISTS (SELECT FROM installation i WHERE i.child_id = u.id AND i.removed_at IS NULL
                                 AND EXISTS (SELECT FROM every o WHERE o.id = i.parent_id)) THEN 'inside'
                    WHEN r.state = 'shipped' THEN 'shipped' WHEN u.state = 'scrapped' THEN 'scrapped'
                    WHEN r.id IS NOT NULL THEN 'packed' WHEN u.state = 'finished' THEN 'finished'
                    WHEN u.state IN ('issued', 'in_process')
                         OR EXISTS (SELECT FROM installation i WHERE i.child_id = u.id AND i.removed_at IS NULL)
                    THEN 'in process' ELSE 'in stock' END AS place, r.sscc AS crate, r.shipped_to
        FROM every e JOIN unit u ON u.id = e.id JOIN part p ON p.id = u.part_id
        LEFT JOIN crate_unit k ON k.unit_id = u.id AND k.taken_out_at IS NULL LEFT JOIN crate r ON r.id = k.crate_id
        ORDER BY u.id
        """  # noqa: S608 - of SQL of ours
    ).bindparams(
        bindparam("units", type_=_IDS),
        bindparam("certain", type_=ARRAY(Boolean)),
        bindparam("lots", type_=_IDS),
        bindparam("as_of", type_=DateTime(timezone=True)),
    )
)


async def look_up(session: ReadSession, question: Question, as_of: datetime | None) -> Known:
    """The ids of what is named, each name known; Malformed names those that aren't: a slip finds nothing, silently."""
    asked: defaultdict[str, set[str]] = defaultdict(set)
    for term in terms(question):
        if isinstance(term, Term):
            asked[term.field].update(term.values)
        elif isinstance(term, Value):
            asked["value"].add(term.name)
    ids: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    stations: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    wrong = []
    for field, names in asked.items():
        if field not in _LOOKED_UP:
            continue  # who an operator is, and what verdicts there are, nothing lists
        rows = await session.driver.fetch(_LOOKED_UP[field], sorted(names))
        for row in rows:
            ids[field, row["name"]].append(row["id"])
            if field in ("tool", "program"):
                stations[field, row["name"]].append(row["station_id"])
        missing = names - {row["name"] for row in rows}
        wrong += [{"at": field, "read": one, "expected": f"a {field} that the record knows"} for one in sorted(missing)]
    if wrong:
        raise Malformed("The question", wrong[:200])
    for (field, name), own in ids.items():
        if field == "lot":
            ids[field, name] = await derived_lots(session, own)
    return Known(ids, stations, as_of)


async def fitting(
    session: ReadSession, question: Question, known: Known, subject: Subject = "unit", among: Collection[int] = ()
) -> list[tuple[int, bool]]:
    """The units, or lots, that fit themselves: id, and whether for certain; of those in `among`, if any are named."""
    said = {term.field for term in terms(question) if isinstance(term, Term) and term.field in OF_UNITS}
    if subject == "lot" and not said <= OF_LOTS:
        return []  # what is said of single units is no word about a whole lot
    statement, one = Statement(), subject[0]
    certain = condition(question, known, statement, subject, is_possible=False)
    possible = condition(question, known, statement, subject, is_possible=True)
    chosen = f" AND {one}.id = ANY({statement.bind(list(among), 'bigint[]')})" if among else ""
    if subject == "lot" and not said:  # of cycles alone: lots that have any, not all that never came to a station
        chosen += " AND l.id IN (SELECT c.lot_id FROM cycle c WHERE c.lot_id IS NOT NULL)"
    sql = (
        f"SELECT {one}.id, {certain} AS is_certain FROM {subject} {one} "  # noqa: S608 - values are bound
        f"WHERE {possible}{chosen} ORDER BY {one}.id LIMIT {MOST + 1}"
    )
    rows = await session.driver.fetch(sql, *statement.values)
    return [(row["id"], row["is_certain"]) for row in rows]


async def containing(
    session: ReadSession, own: Sequence[tuple[int, bool]], lots: Sequence[int], as_of: datetime
) -> Sequence[Any]:
    """These units and whatever contains them, each with its ground and where it is now."""
    units, certain = [id_ for id_, _ in own], [is_certain for _, is_certain in own]
    return await session.run(_CONTAINING, units=units, certain=certain, lots=list(lots), as_of=as_of)


async def lot_numbers(session: ReadSession, lots: Sequence[int]) -> list[str]:
    """The numbers of lots."""
    rows = await session.driver.fetch("SELECT number FROM lot WHERE id = ANY($1) ORDER BY number", list(lots))
    return [row["number"] for row in rows]
