"""Reads the line as it is now, and the MES's own health."""

import json
from datetime import timedelta

from sqlalchemy import DateTime, bindparam, text

from mes import clock
from mes.db import ReadSession
from mes.records.messages import LineNow, Ready, StationNow
from mes.statement import Prepared

SILENT_AFTER = timedelta(seconds=45)  # a gateway speaks every 15 s
WINDOW = timedelta(hours=24)

_STATIONS = Prepared(
    text(
        """
        WITH counted AS (
            SELECT station_id, count(*) FILTER (WHERE verdict = 'passed') AS passed,
                   count(*) FILTER (WHERE verdict = 'failed') AS failed, max(id) AS last_id
            FROM cycle WHERE reported_at > :since GROUP BY station_id),
        asked AS (
            SELECT station_id, count(*) FILTER (WHERE NOT granted) AS refused,
                   max(id) FILTER (WHERE granted) AS last_id
            FROM permit WHERE asked_at > :since GROUP BY station_id)
        SELECT s.code AS station, s.name, n.code AS line, coalesce(l.state, 'none') AS link,
               l.heard_at, coalesce(l.dead_letters, 0) AS dead_letters,
               coalesce(l.kept, 0) AS kept, l.skew_s, coalesce(l.encrypted, true) AS encrypted,
               CASE WHEN w.id IS NULL THEN p.serial END AS serial, CASE WHEN w.id IS NULL THEN p.asked_at END AS since,
               c.verdict AS last_verdict, c.reported_at AS last_at, coalesce(k.passed, 0) AS passed,
               coalesce(k.failed, 0) AS failed, coalesce(a.refused, 0) AS refused
        FROM station s JOIN line n ON n.id = s.line_id
        LEFT JOIN station_link l ON l.station_id = s.id
        LEFT JOIN counted k ON k.station_id = s.id LEFT JOIN cycle c ON c.id = k.last_id
        LEFT JOIN asked a ON a.station_id = s.id LEFT JOIN permit p ON p.id = a.last_id
        LEFT JOIN cycle w ON w.permit_id = p.id AND w.station_id = p.station_id AND w.cycle = p.cycle
        ORDER BY n.code, s.ordinal, s.code
        """
    ).bindparams(bindparam("since", type_=DateTime(timezone=True)))
)
_TOTALS = Prepared(
    text(
        """
        SELECT
          (SELECT json_object_agg(number, n)::text FROM (
              SELECT p.number, count(*) AS n FROM unit u JOIN part p ON p.id = u.part_id
              WHERE u.order_id IS NOT NULL AND u.state = 'finished' AND u.finished_at > :since GROUP BY 1) f
          ) AS finished,
          (SELECT json_object_agg(number, n)::text FROM (
              SELECT p.number, count(*) AS n FROM unit u JOIN part p ON p.id = u.part_id
              JOIN work_order o ON o.id = u.order_id
              WHERE u.state = 'in_process' AND o.state IN ('released', 'started', 'on_hold') GROUP BY 1) f
          ) AS in_process,
          (SELECT count(*) FROM hold WHERE released_at IS NULL) AS open_holds,
          (SELECT count(*) FROM signal WHERE closed_at IS NULL) AS open_signals,
          (SELECT array_agg(serial) FROM (
              SELECT DISTINCT u.serial FROM hold h JOIN unit u ON u.id = h.unit_id
              WHERE h.released_at IS NULL AND u.order_id IS NOT NULL ORDER BY 1 LIMIT 50) h) AS held,
          (SELECT json_agg(o)::text FROM (
              SELECT w.number AS order, p.number AS part, w.quantity, w.finished, w.state FROM work_order w
              JOIN part p ON p.id = w.part_id WHERE w.state IN ('released', 'started', 'on_hold', 'completed')
              ORDER BY w.priority, w.id DESC LIMIT 12) o) AS orders
        """
    ).bindparams(bindparam("since", type_=DateTime(timezone=True)))
)
_HEALTH = Prepared(
    text(
        """
        SELECT (SELECT version_num FROM alembic_version) AS schema_revision,
               coalesce(extract(epoch FROM :now - (SELECT min(at) FROM outbox)), 0)::float8 AS outbox_age_s,
               (SELECT count(*) FROM outbox) AS outbox_length
        """
    ).bindparams(bindparam("now", type_=DateTime(timezone=True)))
)


async def line_now(session: ReadSession) -> LineNow:
    """The line as it is now: stations, what is where, counts."""
    now = clock.now()
    totals = (await session.run(_TOTALS, since=now - WINDOW))[0]
    return LineNow(
        at=now,
        stations=await stations_now(session),
        finished=json.loads(totals["finished"] or "{}"),
        in_process=json.loads(totals["in_process"] or "{}"),
        open_holds=totals["open_holds"],
        open_signals=totals["open_signals"],
        held_units=totals["held"] or [],
        orders=json.loads(totals["orders"] or "[]"),
    )


async def stations_now(session: ReadSession) -> list[StationNow]:
    """Every station: its link, the unit at work in it, its counts."""
    now = clock.now()
    stations = []
    for row in await session.run(_STATIONS, since=now - WINDOW):
        told = dict(row)
        heard_at = told.pop("heard_at")
        if heard_at is not None and now - heard_at > SILENT_AFTER:
            told["link"] = "silent"
        stations.append(StationNow(**told))
    return stations


async def ready(session: ReadSession) -> tuple[Ready, int]:
    """Whether the database answers and holds a schema, and how many events wait in the outbox."""
    row = (await session.run(_HEALTH, now=clock.now()))[0]
    answer = Ready(
        ready=row["schema_revision"] is not None,
        database="answers",
        schema_revision=row["schema_revision"],
        outbox_age_s=round(row["outbox_age_s"], 3),
    )
    return answer, row["outbox_length"]
