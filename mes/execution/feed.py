"""Reads what the gateway of some stations keeps, so that they are answered while the MES is away."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes import clock
from mes.db import ReadSession
from mes.execution.question import Question
from mes.execution.rules import WaiverSeen
from mes.execution.rules.facts import HoldSeen, StationFacts, ToolSeen
from mes.execution.rules.material import LotUse
from mes.execution.seen import see
from mes.execution.standing import SUBJECT, CycleStanding, LotStanding, Standing, StationStanding, SubjectStanding
from mes.products.queries import get_plan
from mes.statement import Prepared

MOST_SUBJECTS = 5_000
Rows = Sequence[Any]  # of the driver

# Units of orders that are being made, at whose stations; those begun first, then by the orders' priority. Lots of a
# part with a route are inspected while they are in quarantine.
_DUE = Prepared(
    text(
        """
        WITH here AS (SELECT DISTINCT unnest(operations) AS operation FROM station WHERE code = ANY(:stations)),
        routed AS (SELECT DISTINCT p.revision_id AS id FROM step p JOIN here USING (operation))
        (SELECT u.id AS unit_id, NULL::bigint AS lot_id, u.serial, u.state, u.revision_id, o.id AS order_id,
                o.number AS order_number, o.state AS order_state
         FROM work_order o JOIN unit u ON u.order_id = o.id JOIN routed r ON r.id = u.revision_id
         WHERE o.state IN ('released', 'started', 'on_hold') AND u.state IN ('issued', 'in_process')
           AND (cardinality(:only) = 0 OR u.serial = ANY(:only))
         ORDER BY u.state = 'in_process' DESC, o.priority, u.id LIMIT :most)
        UNION ALL
        (SELECT NULL, l.id, l.number, l.state, l.revision_id, NULL, NULL, NULL
         FROM lot l JOIN routed r ON r.id = l.revision_id
         WHERE l.state = 'quarantined' AND (cardinality(:only) = 0 OR l.number = ANY(:only))
         ORDER BY l.id DESC LIMIT 200)
        """
    ).bindparams(
        bindparam("stations", type_=ARRAY(Text)),
        bindparam("only", type_=ARRAY(Text)),
        bindparam("most", type_=BigInteger),
    )
)
_HELD = ("unit_id", "lot_id", "order_id")
_IDS = {name: ARRAY(BigInteger) for name in ("units", "lots", "orders")}


def _of(sql: str, *names: str) -> Prepared:
    return Prepared(text(sql).bindparams(*(bindparam(name, type_=_IDS[name]) for name in names)))


_CYCLES = _of(
    """
    SELECT c.unit_id, c.lot_id, s.code || '/' || c.cycle AS key, c.id, p.operation, c.verdict = 'passed' AS passed,
           c.ended_at, coalesce(c.heard_at, c.reported_at) AS heard_at
    FROM cycle c JOIN step p ON p.id = c.step_id JOIN station s ON s.id = c.station_id
    WHERE c.unit_id = ANY(:units) OR c.lot_id = ANY(:lots) ORDER BY c.id
    """,
    "units",
    "lots",
)
_HOLDS = _of(
    """
    SELECT unit_id, lot_id, order_id, reason, stops, at_operation, opened_at FROM hold
    WHERE released_at IS NULL AND (unit_id = ANY(:units) OR lot_id = ANY(:lots) OR order_id = ANY(:orders))
    """,
    "units",
    "lots",
    "orders",
)
_REWORKS = _of(
    """
    SELECT unit_id, operation, max(after_cycle) AS after_cycle FROM disposition
    WHERE unit_id = ANY(:units) AND decision = 'rework' GROUP BY unit_id, operation
    """,
    "units",
)
_WAIVERS = Prepared(
    text(
        """
        SELECT v.id, v.rule, s.code, v.operation, v.ends_at, v.unit_ids
        FROM waiver v LEFT JOIN station s ON s.id = v.station_id
        WHERE v.revoked_at IS NULL AND v.starts_at <= now() AND v.ends_at > now()
        """
    )
)
# Lots that are in use or may be: of what the stations' steps use up.
_LOTS = Prepared(
    text(
        """
        SELECT l.number, q.number AS part, l.state, l.quantity_left::float8 AS left, l.expires_on,
               l.opened_at + make_interval(secs => q.pot_life_min * 60) AS unusable_at,
               (SELECT string_agg(h.reason, '; ') FROM hold h
                WHERE h.lot_id = l.id AND h.released_at IS NULL AND 'consume' = ANY(h.stops)) AS hold,
               (SELECT b.number FROM lot b
                WHERE q.fefo AND b.part_id = l.part_id AND b.state = 'released' AND b.quantity_left > 0
                  AND b.expires_on < coalesce(l.expires_on, 'infinity') AND b.expires_on >= current_date
                  AND NOT EXISTS (SELECT FROM hold h WHERE h.lot_id = b.id AND h.released_at IS NULL)
                ORDER BY b.expires_on, b.id LIMIT 1) AS earlier
        FROM part q JOIN lot l ON l.part_id = q.id
        WHERE q.number = ANY(:parts) AND (l.quantity_left > 0 OR l.received_at > now() - interval '7 days')
        ORDER BY l.id DESC LIMIT 2000
        """
    ).bindparams(bindparam("parts", type_=ARRAY(Text)))
)
_CERTIFICATES = Prepared(
    text(
        """
        SELECT person, name, max(expires_at) AS until FROM certificate
        WHERE withdrawn_at IS NULL AND expires_at > now() GROUP BY person, name ORDER BY person, name LIMIT 5000
        """
    )
)
_ZONES = Prepared(
    text(
        """
        SELECT s.code, w.timezone FROM station s JOIN line n ON n.id = s.line_id JOIN site w ON w.id = n.site_id
        WHERE s.code = ANY(:stations)
        """
    ).bindparams(bindparam("stations", type_=ARRAY(Text)))
)


async def read_standing(
    session: ReadSession, stations: Sequence[str], only: Sequence[str] = (), most: int = MOST_SUBJECTS
) -> Standing:
    """Read what a gateway keeps for these stations, in one snapshot; statements don't grow with the units.

    `only`: of these units and lots, and what their routes use up; nothing of the stations and people.
    """
    at = clock.now()
    due = await session.run(_DUE, stations=list(stations), only=list(only), most=most + 1)
    units = [row for row in due if row["unit_id"]]
    is_whole = len(units) <= most
    subjects = await _subjects(session, [*units[:most], *(row for row in due if row["lot_id"])])
    plans = {id_: await get_plan(session, id_) for id_ in sorted({row["revision_id"] for row in due})}
    parts = {
        number
        for plan in plans.values()
        for item in plan.bom
        if item.trace == "lot"
        for number in (item.part, *item.alternates)
    }
    certificates: defaultdict[str, dict[str, datetime]] = defaultdict(dict)
    for row in () if only else await session.run(_CERTIFICATES):
        certificates[row["person"]][row["name"]] = row["until"]
    return Standing(
        at=at,
        is_whole=is_whole,
        stations={} if only else await _stations(session, stations, at),
        plans=plans,
        subjects=subjects,
        lots={row["number"]: _lot(row) for row in await session.run(_LOTS, parts=sorted(parts))},
        certificates=certificates,
        only=list(only),
    )


async def _stations(session: ReadSession, codes: Sequence[str], at: datetime) -> Mapping[str, StationStanding]:
    zones = {row["code"]: row["timezone"] for row in await session.run(_ZONES, stations=list(codes))}
    found = {}
    for code, zone in zones.items():
        # the very read of a permit, of nobody: what it says of the station is what a permit would be judged by
        seen = await see(session, _about(code, at))
        tools = [ToolSeen(tool, due) for _, tool, due in seen.tools]
        facts = StationFacts(code, seen.operations, tools, seen.checks, seen.due_h, seen.open_article, seen.signals)
        found[code] = StationStanding(facts, zone)
    return found


def _about(station: str, at: datetime) -> Question:
    nobody: dict[str, Any] = dict.fromkeys(
        ("tool", "program", "started_at", "ended_at", "unit_id", "lot_id", "order_id", "parent_id")
    )
    nothing: dict[str, Any] = {name: [] for name in ("people", "order_ids", "unit_ids", "lot_ids", "child_ids")}
    return Question(at=at, station=station, cycle="", articles=True, signals=True, kitted=False, **nobody, **nothing)


async def _subjects(session: ReadSession, due: Rows) -> dict[str, str]:
    units = [row["unit_id"] for row in due if row["unit_id"]]
    lots = [row["lot_id"] for row in due if row["lot_id"]]
    orders = sorted({row["order_id"] for row in due if row["order_id"]})
    done = await session.run(_CYCLES, units=units, lots=lots)
    held = await session.run(_HOLDS, units=units, lots=lots, orders=orders)
    reworks = await session.run(_REWORKS, units=units)
    waivers = await session.run(_WAIVERS)
    # a tenth of a second for thousands of units: in a thread, so that no station waits for it
    put = _put_together(due, done, held, reworks, waivers)
    return await asyncio.to_thread(lambda: {one.serial: SUBJECT.dump_json(one).decode() for one in put})


def _put_together(due: Rows, done: Rows, held: Rows, reworked: Rows, waived: Rows) -> Iterator[SubjectStanding]:
    cycles: defaultdict[tuple[int | None, int | None], list[CycleStanding]] = defaultdict(list)
    for row in done:
        unit_id, lot_id, *told = row
        cycles[unit_id, lot_id].append(CycleStanding(*told))
    holds: defaultdict[tuple[str, int], list[HoldSeen]] = defaultdict(list)
    for row in held:
        hold = HoldSeen(row["reason"], frozenset(row["stops"]), row["at_operation"], row["opened_at"])
        for kind in _HELD:
            if row[kind] is not None:
                holds[kind, row[kind]].append(hold)
    reworks: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for row in reworked:
        reworks[row["unit_id"]][row["operation"]] = row["after_cycle"]
    waivers = [(WaiverSeen(*row[:5]), row["unit_ids"]) for row in waived]
    for row in due:
        yield SubjectStanding(
            serial=row["serial"],
            state=row["state"],
            revision_id=row["revision_id"],
            order=row["order_number"],
            order_state=row["order_state"],
            holds=tuple(
                hold for kind in ("unit_id", "lot_id", "order_id") for hold in holds.get((kind, row[kind]), ())
            ),
            waivers=tuple(waiver for waiver, ids in waivers if ids is None or row["unit_id"] in ids),
            reworks=reworks.get(row["unit_id"], {}),
            cycles=tuple(cycles.get((row["unit_id"], row["lot_id"]), ())),
        )


def _lot(row: Mapping[str, Any]) -> LotStanding:
    use = LotUse(row["number"], row["state"], row["expires_on"], row["unusable_at"], row["earlier"])
    return LotStanding(use, row["part"], row["left"], row["hold"])
