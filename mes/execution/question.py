"""The one read that a permit or a report is decided by, put together of the parts that its message asks for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, DateTime, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from mes.kits.queries import CELL, KNOWN_OF_CELL
from mes.statement import Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to look up: the message's names, and the ids that the locks have found.

    `parent_id`: the unit whose content is asked for; None: nothing is fitted or taken out. `articles`: whether a step
    of the route asks for first articles. `signals`: whether one is blocked by its charts' signals. `kitted`: whether
    the unit is made of matched cells. `started_at`, `ended_at`: of a report; None: it only asks.
    """

    at: datetime
    station: str
    cycle: str
    people: Sequence[str]
    tool: str | None
    program: str | None
    started_at: datetime | None
    ended_at: datetime | None
    unit_id: int | None
    lot_id: int | None
    order_id: int | None
    order_ids: Sequence[int]
    unit_ids: Sequence[int]
    lot_ids: Sequence[int]
    parent_id: int | None
    child_ids: Sequence[int]
    articles: bool
    signals: bool
    kitted: bool

    def statement(self) -> Prepared:
        """The read that finds out about it, and looks for nothing that can't be there."""
        is_report = self.started_at is not None
        asked = [
            (_REPORT, is_report),
            (_FITS, self.parent_id is not None),
            (_CHILDREN, bool(self.child_ids)),
            (_KIT, self.kitted),
            (_LOTS, bool(self.lot_ids)),
            (_ARTICLES, self.articles),
            (_SIGNALS, self.signals),
            (_LAST_CYCLE, self.articles and is_report),
            (_PEOPLE, bool(self.people)),
        ]
        return _statement(*(part for part, is_asked in asked if is_asked))


@dataclass(frozen=True, slots=True)
class _Part:
    """Columns, and what they are read from, beyond station, permit and order."""

    columns: str
    joined: str = ""


_ALWAYS = """
    s.id AS station_id, s.operations, (:at AT TIME ZONE coalesce(w.timezone, 'UTC'))::date AS today,
    s.known_good_h, s.known_bad_h, s.daily_h,
    (SELECT json_agg(json_build_array(t.id, t.code, t.calibration_due) ORDER BY t.id)::text
     FROM tool t WHERE t.station_id = s.id) AS tools,
    (SELECT json_agg(json_build_array(k.kind, l.passed, l.checked_at, l.code))::text
     FROM unnest(ARRAY['known_good', 'known_bad', 'daily', 'calibration']) AS k (kind), LATERAL (
        (SELECT NULL AS code, passed, checked_at FROM station_check
         WHERE station_id = s.id AND kind = k.kind AND tool_id IS NULL ORDER BY id DESC LIMIT 1)
        UNION ALL
        SELECT t.code, c.passed, c.checked_at FROM tool t, LATERAL (
            SELECT passed, checked_at FROM station_check
            WHERE station_id = s.id AND kind = k.kind AND tool_id = t.id ORDER BY id DESC LIMIT 1) c
        WHERE t.station_id = s.id) l) AS checks,
    p.id AS permit_id, p.serial AS permit_serial, p.granted, p.asked_at, p.verdicts::text, p.facts::text,
    p.waivers AS permit_waivers, p.step_id AS permit_step_id,
    o.number AS order_number, o.state AS order_state,
    (SELECT json_agg(json_build_array(y.step_id, y.ids, y.passed, y.ended, y.reported))::text FROM (
        SELECT step_id, array_agg(id ORDER BY id) AS ids,
               array_agg(verdict = 'passed' ORDER BY id) AS passed,
               max(ended_at) FILTER (WHERE verdict = 'passed') AS ended,
               max(coalesce(heard_at, reported_at)) FILTER (WHERE verdict = 'passed') AS reported
        FROM cycle WHERE unit_id = :unit_id OR lot_id = :lot_id GROUP BY step_id) y) AS steps,
    (SELECT json_object_agg(d.operation, d.after_cycle)::text FROM (
        SELECT operation, max(after_cycle) AS after_cycle FROM disposition
        WHERE unit_id = :unit_id AND decision = 'rework' GROUP BY operation) d) AS reworks,
    (SELECT json_agg(json_build_array(v.id, v.rule, x.code, v.operation) ORDER BY v.id)::text
     FROM waiver v LEFT JOIN station x ON x.id = v.station_id
     WHERE (p.granted AND p.unit_id IS NOT DISTINCT FROM :unit_id AND v.id = ANY(p.waivers))
        OR (v.revoked_at IS NULL AND v.ends_at > :at AND v.starts_at <= :at
            AND (v.unit_ids IS NULL OR :unit_id = ANY(v.unit_ids)))) AS waivers,
    (SELECT json_agg(json_build_array(h.id, h.unit_id, h.lot_id, h.order_id, h.reason, h.stops,
                                      h.at_operation, h.opened_at) ORDER BY h.id)::text
     FROM hold h WHERE h.released_at IS NULL
       AND (h.unit_id = ANY(:unit_ids) OR h.lot_id = ANY(:lot_ids) OR h.order_id = ANY(:order_ids))) AS holds
"""
_REPORT = _Part(
    """
    c.answer::text, c.digest, c.started_at, c.ended_at,
    (SELECT array_agg(h.id) FROM (
        SELECT c.id, c.question -> 'window' AS asked FROM containment c WHERE c.station_id = s.id) q, LATERAL (
        SELECT id FROM hold WHERE containment_id = q.id AND released_at IS NULL ORDER BY id LIMIT 1) h
     WHERE coalesce(q.asked ->> 'tool' = :tool, true)
       AND coalesce(q.asked ->> 'program_revision' = :program, q.asked ->> 'program_revision' IS NULL)
       AND ((:ended_at >= (q.asked ->> 'since')::timestamptz
             AND :started_at <= (q.asked ->> 'until')::timestamptz)
            OR :at BETWEEN (q.asked ->> 'since')::timestamptz AND (q.asked ->> 'until')::timestamptz)
    ) AS windows,
    (SELECT json_agg(json_build_array(q.containment_id, q.question) ORDER BY q.containment_id)::text
     FROM containment_question q WHERE q.closed_at IS NULL) AS questions
    """,
    "LEFT JOIN cycle c ON c.station_id = s.id AND c.cycle = :cycle",
)
_FITS = _Part(
    """
    (SELECT json_object_agg(r.part_id, r.revision_id)::text FROM order_revision r
     WHERE r.order_id = o.id) AS revisions,
    (WITH RECURSIVE above AS (
        SELECT i.parent_id AS id FROM installation i WHERE i.child_id = :parent_id AND i.removed_at IS NULL
        UNION SELECT i.parent_id FROM installation i JOIN above a ON i.child_id = a.id
              WHERE i.removed_at IS NULL)
     SELECT array_agg(id) FROM above) AS above,
    f.part_ids, f.positions, f.child_ids, f.quantities
    """,
    """
    LEFT JOIN LATERAL (
        SELECT array_agg(i.part_id) AS part_ids, array_agg(i.position) AS positions,
               array_agg(i.child_id) AS child_ids, array_agg(i.quantity) AS quantities
        FROM installation i WHERE i.parent_id = :parent_id AND i.removed_at IS NULL) AS f ON true
    """,
)
_CHILDREN = _Part(
    """
    e.children, e.parents,
    (SELECT array_agg(h.id) FROM hold h JOIN unit u ON u.id = h.unit_id
     WHERE h.released_at IS NULL AND h.unit_id = ANY(:child_ids)
       AND EXISTS (SELECT FROM step p WHERE p.revision_id = u.revision_id AND p.operation = h.at_operation)
    ) AS units_behind,
    (SELECT json_agg(json_build_array(y.unit_id, k.number))::text FROM kit_cell y JOIN kit k ON k.id = y.kit_id
     WHERE y.unit_id = ANY(:child_ids) AND y.ended_at IS NULL) AS reserved
    """,
    """
    LEFT JOIN LATERAL (
        SELECT array_agg(i.child_id) AS children, array_agg(i.parent_id) AS parents
        FROM installation i WHERE i.child_id = ANY(:child_ids) AND i.removed_at IS NULL) AS e ON true
    """,
)
_KIT = _Part(
    f"""
    (SELECT json_build_array(k.id, k.number, (
            SELECT json_agg(json_build_array(y.position, {CELL}))
            FROM kit_cell y JOIN unit u ON u.id = y.unit_id {KNOWN_OF_CELL}
            WHERE y.kit_id = k.id AND y.ended_at IS NULL))::text
     FROM kit k WHERE k.unit_id = :parent_id AND k.state <> 'released') AS kit,
    (SELECT json_agg(json_build_array({CELL}))::text
     FROM unit u {KNOWN_OF_CELL} WHERE u.id = ANY(:child_ids)) AS offered
    """  # noqa: S608 - of constants
)
_LOTS = _Part(
    """
    (SELECT array_agg(h.id) FROM hold h JOIN lot l ON l.id = h.lot_id
     WHERE h.released_at IS NULL AND h.lot_id = ANY(:lot_ids)
       AND EXISTS (SELECT FROM step p WHERE p.revision_id = l.revision_id AND p.operation = h.at_operation)
    ) AS lots_behind,
    (SELECT json_agg(json_build_array(l.id, l.expires_on,
            l.opened_at + make_interval(secs => q.pot_life_min * 60), (
                SELECT b.number FROM lot b
                WHERE q.fefo AND b.part_id = l.part_id AND b.state = 'released' AND b.quantity_left > 0
                  AND b.expires_on < coalesce(l.expires_on, 'infinity')
                  AND b.expires_on >= (:at AT TIME ZONE coalesce(w.timezone, 'UTC'))::date
                  AND (q.pot_life_min IS NULL OR b.opened_at IS NULL
                       OR b.opened_at + make_interval(secs => q.pot_life_min * 60) > :at)
                  AND NOT EXISTS (SELECT FROM hold h WHERE h.lot_id = b.id AND h.released_at IS NULL)
                ORDER BY b.expires_on, b.id LIMIT 1)))::text
     FROM lot l JOIN part q ON q.id = l.part_id WHERE l.id = ANY(:lot_ids)) AS lots
    """
)
_ARTICLES = _Part(
    """
    (SELECT a.why FROM first_article a WHERE a.station_id = s.id AND a.signed_at IS NULL
     ORDER BY a.id LIMIT 1) AS open_article
    """
)
_SIGNALS = _Part(
    """
    (SELECT json_agg(json_build_array(h.operation, concat_ws(' ', h.characteristic, nullif(g.position, 0), g.rules[1],
                                      'since', left((g.opened_at AT TIME ZONE 'UTC')::text, 16))))::text
     FROM chart h JOIN signal g ON g.chart_id = h.id AND g.closed_at IS NULL AND g.blocks
     WHERE h.station_id = s.id) AS signals
    """
)
_LAST_CYCLE = _Part(
    """
    (SELECT a.sign_verdict FROM first_article a WHERE a.station_id = s.id
     ORDER BY a.id DESC LIMIT 1) AS article_verdict,
    (SELECT json_build_array(y.reported_at, y.tool_id, (
            SELECT array_agg(DISTINCT i.lot_id) FROM installation i
            WHERE i.parent_id = y.unit_id AND i.cycle_id = y.id AND i.child_id IS NULL
              AND i.removed_at IS NULL), (
            SELECT max((d.day + t.start::time) AT TIME ZONE w.timezone)
            FROM unnest(n.shift_starts) AS t (start),
                 LATERAL (SELECT (:at AT TIME ZONE w.timezone)::date - b AS day
                          FROM generate_series(0, 1) AS b) AS d
            WHERE (d.day + t.start::time) AT TIME ZONE w.timezone <= :at))::text
     FROM cycle y WHERE y.station_id = s.id ORDER BY y.id DESC LIMIT 1) AS last_cycle
    """
)
_PEOPLE = _Part(
    """
    (SELECT json_agg(json_build_array(person, name, until))::text FROM (
        SELECT person, name, max(expires_at) AS until FROM certificate
        WHERE person = ANY(:people) AND withdrawn_at IS NULL GROUP BY person, name) q) AS certificates
    """
)
_TYPES: dict[str, TypeEngine[Any]] = {
    **dict.fromkeys(("station", "cycle", "tool", "program"), Text()),
    **dict.fromkeys(("at", "started_at", "ended_at"), DateTime(timezone=True)),
    **dict.fromkeys(("unit_id", "lot_id", "order_id", "parent_id"), BigInteger()),
    **dict.fromkeys(("unit_ids", "lot_ids", "child_ids", "order_ids"), ARRAY(BigInteger)),
    "people": ARRAY(Text),
}


@cache
def _statement(*parts: _Part) -> Prepared:
    # One statement, so that its cost doesn't grow with what is asked; taken after the locks, so that it sees what
    # those who held them before have committed. A part that can't find anything is left out: PostgreSQL sets up every
    # part of a statement, whether it comes to it or not, and that is most of the cost.
    sql = f"""
        SELECT {", ".join([_ALWAYS, *(part.columns for part in parts)])}
        FROM (SELECT) AS one
        LEFT JOIN station s ON s.code = :station
        LEFT JOIN line n ON n.id = s.line_id LEFT JOIN site w ON w.id = n.site_id
        LEFT JOIN permit p ON p.station_id = s.id AND p.cycle = :cycle
        LEFT JOIN work_order o ON o.id = :order_id
        {" ".join(part.joined for part in parts)}
    """  # noqa: S608 - of the constants above
    used = set(re.findall(r"(?<!:):(\w+)", sql))
    return Prepared(text(sql).bindparams(*(bindparam(name, type_=_TYPES[name]) for name in sorted(used))))
