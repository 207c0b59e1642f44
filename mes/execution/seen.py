"""Gathers, in one read, the facts a permit or a report is decided by."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession, Session
from mes.execution.rules import WaiverSeen
from mes.execution.rules.facts import CheckSeen
from mes.execution.rules.progress import StepSeen
from mes.statement import Prepared


@dataclass(frozen=True, slots=True)
class OpenHold:
    """A hold on one of the units or lots a message names, or on the subject's order."""

    id: int
    unit_id: int | None
    lot_id: int | None
    order_id: int | None
    reason: str
    stops: Sequence[str]
    at_operation: str | None
    opened_at: datetime
    is_behind: bool  # an intercept of the held thing's own route: whoever fits it stands behind it


@dataclass(frozen=True, slots=True)
class Fitted:
    """What stands at a position of the unit already, or was used up in it."""

    part_id: int
    position: int | None
    child_id: int | None
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class LotSeen:
    """How long a lot may be used. `earlier`: a lot of its part that expires before it, where the part asks."""

    expires_on: date | None
    unusable_at: datetime | None
    earlier: str | None


@dataclass(frozen=True, slots=True)
class LastCycle:
    """The station's latest cycle, and what it may take to call the next one a first article."""

    reported_at: datetime
    tool_id: int | None
    lot_ids: frozenset[int]
    shift_started_at: datetime | None


@dataclass(frozen=True, slots=True)
class Seen:
    """All that one read finds out about a message's station, cycle, unit and parts."""

    station_id: int | None
    today: date
    operations: tuple[str, ...]
    due_h: dict[str, float]
    tools: Sequence[tuple[int, str, date | None]]
    checks: Sequence[CheckSeen]
    open_article: str | None  # the first article that waits for its signature
    article_failed: bool  # the latest one was signed as failed, and none has been made since
    last_cycle: LastCycle | None
    permit_id: int | None
    permit_serial: str | None
    permit_granted: bool | None
    permit_asked_at: datetime | None
    permit_verdicts: dict[str, tuple[int, str]]
    permit_facts: dict[str, Any]
    permit_waivers: Sequence[int]
    permit_step_id: int | None
    cycle_id: int | None
    cycle_answer: dict[str, Any] | None
    cycle_digest: bytes | None
    cycle_times: tuple[datetime | None, datetime | None]
    order: str | None
    order_state: str | None
    revisions: dict[int, int]  # part id -> the revision the order was released with
    steps: dict[int, StepSeen]
    reworks: dict[str, int]
    waivers: tuple[WaiverSeen, ...]
    certificates: dict[tuple[str, str], datetime]  # (person, certificate) -> until when
    holds: tuple[OpenHold, ...]
    windows: Sequence[int]  # an open hold of each containment that covers the time and place of this report
    lots: dict[int, LotSeen]
    fitted: tuple[Fitted, ...]
    elsewhere: dict[int, int]  # child id -> the parent it is in
    above: frozenset[int]  # what the unit itself is in, all the way up


# One statement, so that its cost doesn't grow with what is asked; taken after the locks, so that it sees what those
# who held them before have committed.
_SEE = Prepared(
    text(
        """
        SELECT s.id AS station_id, s.operations, (:at AT TIME ZONE coalesce(w.timezone, 'UTC'))::date AS today,
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
            (SELECT a.why FROM first_article a WHERE a.station_id = s.id AND a.signed_at IS NULL
             ORDER BY a.id LIMIT 1) AS open_article,
            (SELECT a.sign_verdict FROM first_article a WHERE :looks_back AND a.station_id = s.id
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
             FROM cycle y WHERE :looks_back AND y.station_id = s.id ORDER BY y.id DESC LIMIT 1) AS last_cycle,
            p.id AS permit_id, p.serial AS permit_serial, p.granted, p.asked_at, p.verdicts::text, p.facts::text,
            p.waivers AS permit_waivers, p.step_id AS permit_step_id,
            c.id AS cycle_id, c.answer::text, c.digest, c.started_at, c.ended_at,
            o.number AS order_number, o.state AS order_state,
            (SELECT json_object_agg(r.part_id, r.revision_id)::text FROM order_revision r
             WHERE r.order_id = o.id) AS revisions,
            (SELECT json_agg(json_build_array(y.step_id, y.ids, y.passed, y.ended, y.reported))::text FROM (
                SELECT step_id, array_agg(id ORDER BY id) AS ids,
                       array_agg(verdict = 'passed' ORDER BY id) AS passed,
                       max(ended_at) FILTER (WHERE verdict = 'passed') AS ended,
                       max(reported_at) FILTER (WHERE verdict = 'passed') AS reported
                FROM cycle WHERE unit_id = :unit_id OR lot_id = :lot_id GROUP BY step_id) y) AS steps,
            (SELECT json_object_agg(d.operation, d.after_cycle)::text FROM (
                SELECT operation, max(after_cycle) AS after_cycle FROM disposition
                WHERE unit_id = :unit_id AND decision = 'rework' GROUP BY operation) d) AS reworks,
            (SELECT json_agg(json_build_array(v.id, v.rule, x.code, v.operation) ORDER BY v.id)::text
             FROM waiver v LEFT JOIN station x ON x.id = v.station_id
             WHERE (p.granted AND p.unit_id IS NOT DISTINCT FROM :unit_id AND v.id = ANY(p.waivers))
                OR (v.revoked_at IS NULL AND v.ends_at > :at AND v.starts_at <= :at
                    AND (v.unit_ids IS NULL OR :unit_id = ANY(v.unit_ids)))) AS waivers,
            (SELECT json_agg(json_build_array(person, name, until))::text FROM (
                SELECT person, name, max(expires_at) AS until FROM certificate
                WHERE person = ANY(:people) AND withdrawn_at IS NULL GROUP BY person, name) q) AS certificates,
            (SELECT json_agg(json_build_array(h.id, h.unit_id, h.lot_id, h.order_id, h.reason, h.stops,
                                              h.at_operation, h.opened_at, EXISTS (
                        SELECT FROM step p WHERE p.operation = h.at_operation AND p.revision_id = coalesce(
                            (SELECT revision_id FROM unit WHERE id = h.unit_id),
                            (SELECT revision_id FROM lot WHERE id = h.lot_id)))) ORDER BY h.id)::text
             FROM hold h WHERE h.released_at IS NULL
               AND (h.unit_id = ANY(:unit_ids) OR h.lot_id = ANY(:lot_ids) OR h.order_id = ANY(:order_ids))) AS holds,
            (SELECT array_agg(h.id) FROM (
                SELECT c.id, c.question -> 'window' AS asked FROM containment c WHERE c.station_id = s.id) q, LATERAL (
                SELECT id FROM hold WHERE containment_id = q.id AND released_at IS NULL ORDER BY id LIMIT 1) h
             WHERE :started_at IS NOT NULL
               AND coalesce(q.asked ->> 'tool' = :tool, true)
               AND coalesce(q.asked ->> 'program_revision' = :program, q.asked ->> 'program_revision' IS NULL)
               AND ((:ended_at >= (q.asked ->> 'since')::timestamptz
                     AND :started_at <= (q.asked ->> 'until')::timestamptz)
                    OR :at BETWEEN (q.asked ->> 'since')::timestamptz AND (q.asked ->> 'until')::timestamptz)
            ) AS windows,
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
             FROM lot l JOIN part q ON q.id = l.part_id WHERE l.id = ANY(:lot_ids)) AS lots,
            (WITH RECURSIVE above AS (
                SELECT i.parent_id AS id FROM installation i WHERE i.child_id = :parent_id AND i.removed_at IS NULL
                UNION SELECT i.parent_id FROM installation i JOIN above a ON i.child_id = a.id
                      WHERE i.removed_at IS NULL)
             SELECT array_agg(id) FROM above) AS above,
            f.part_ids, f.positions, f.child_ids, f.quantities, e.children, e.parents
        FROM (SELECT) AS one
        LEFT JOIN station s ON s.code = :station
        LEFT JOIN line n ON n.id = s.line_id LEFT JOIN site w ON w.id = n.site_id
        LEFT JOIN permit p ON p.station_id = s.id AND p.cycle = :cycle
        LEFT JOIN cycle c ON c.station_id = s.id AND c.cycle = :cycle
        LEFT JOIN work_order o ON o.id = :order_id
        LEFT JOIN LATERAL (
            SELECT array_agg(i.part_id) AS part_ids, array_agg(i.position) AS positions,
                   array_agg(i.child_id) AS child_ids, array_agg(i.quantity) AS quantities
            FROM installation i WHERE i.parent_id = :parent_id AND i.removed_at IS NULL) AS f ON true
        LEFT JOIN LATERAL (
            SELECT array_agg(i.child_id) AS children, array_agg(i.parent_id) AS parents
            FROM installation i WHERE i.child_id = ANY(:child_ids) AND i.removed_at IS NULL) AS e ON true
        """
    ).bindparams(
        *(bindparam(name, type_=Text) for name in ("station", "cycle", "tool", "program")),
        *(bindparam(name, type_=DateTime(timezone=True)) for name in ("started_at", "ended_at")),
        *(bindparam(name, type_=BigInteger) for name in ("unit_id", "lot_id", "order_id", "parent_id")),
        *(bindparam(name, type_=ARRAY(BigInteger)) for name in ("unit_ids", "lot_ids", "child_ids", "order_ids")),
        bindparam("looks_back", type_=Boolean),
        bindparam("people", type_=ARRAY(Text)),
        bindparam("at", type_=DateTime(timezone=True)),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to look up: the message's names, and the ids that the locks have found.

    `parent_id`: the unit whose content is asked for; None: nothing is fitted or taken out. `looks_back`: whether the
    station's last cycle matters. `started_at`, `ended_at`: of a report; None: it only asks.
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
    looks_back: bool


async def see(session: ReadSession, question: Question) -> Seen:
    """Gather what is recorded: the caller holds the locks."""
    values = {name: getattr(question, name) for name in _SEE.names if name != "at"}
    row = (await session.run(_SEE, **values, **({} if isinstance(session, Session) else {"at": question.at})))[0]
    due = {"known_good": row["known_good_h"], "known_bad": row["known_bad_h"], "daily": row["daily_h"]}
    return Seen(
        station_id=row["station_id"],
        today=row["today"],
        operations=tuple(row["operations"] or ()),
        due_h={kind: hours for kind, hours in due.items() if hours is not None},
        tools=[(id_, code, _day(day)) for id_, code, day in _list(row["tools"])],
        checks=[CheckSeen(kind, passed, _time(at), tool) for kind, passed, at, tool in _list(row["checks"])],
        open_article=row["open_article"],
        article_failed=row["article_verdict"] == "failed",
        last_cycle=_last_cycle(row["last_cycle"]),
        permit_id=row["permit_id"],
        permit_serial=row["permit_serial"],
        permit_granted=row["granted"],
        permit_asked_at=row["asked_at"],
        permit_verdicts=json.loads(row["verdicts"]) if row["verdicts"] else {},
        permit_facts=json.loads(row["facts"]) if row["facts"] else {},
        permit_waivers=row["permit_waivers"] or (),
        permit_step_id=row["permit_step_id"],
        cycle_id=row["cycle_id"],
        cycle_answer=json.loads(row["answer"]) if row["answer"] else None,
        cycle_digest=row["digest"],
        cycle_times=(row["started_at"], row["ended_at"]),
        order=row["order_number"],
        order_state=row["order_state"],
        revisions={int(part): revision for part, revision in json.loads(row["revisions"] or "{}").items()},
        steps={
            step: StepSeen(ids, passed, _moment(ended), _moment(reported))
            for step, ids, passed, ended, reported in _list(row["steps"])
        },
        reworks=json.loads(row["reworks"] or "{}"),
        waivers=tuple(WaiverSeen(*waiver) for waiver in _list(row["waivers"])),
        certificates={(person, name): _time(until) for person, name, until in _list(row["certificates"])},
        holds=tuple(_hold(hold) for hold in _list(row["holds"])),
        windows=row["windows"] or (),
        lots={id_: LotSeen(_day(day), _moment(at), earlier) for id_, day, at, earlier in _list(row["lots"])},
        fitted=tuple(
            Fitted(*edge) for edge in _columns(row["part_ids"], row["positions"], row["child_ids"], row["quantities"])
        ),
        elsewhere=dict(_columns(row["children"], row["parents"])),
        above=frozenset(row["above"] or ()),
    )


def _hold(told: Sequence[Any]) -> OpenHold:
    id_, unit_id, lot_id, order_id, reason, stops, at_operation, opened_at, is_behind = told
    return OpenHold(id_, unit_id, lot_id, order_id, reason, stops, at_operation, _time(opened_at), is_behind)


def _list(told: str | None) -> list[Any]:
    found: list[Any] = json.loads(told) if told else []
    return found


def _time(told: str) -> datetime:
    return datetime.fromisoformat(told)


def _moment(told: str | None) -> datetime | None:
    return datetime.fromisoformat(told) if told else None


def _day(told: str | None) -> date | None:
    return date.fromisoformat(told) if told else None


def _last_cycle(told: str | None) -> LastCycle | None:
    if told is None:
        return None
    reported_at, tool_id, lots, shift = json.loads(told)
    return LastCycle(_time(reported_at), tool_id, frozenset(lots or ()), _moment(shift))


def _columns(*arrays: Sequence[Any] | None) -> Iterable[tuple[Any, ...]]:
    return zip(*(array or () for array in arrays), strict=True)
