"""Picks what a drill is about, and counts what is affected without the questions' own statements."""

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select

from mes.db import ReadSession
from mes.drill.messages import DrillAnswer, Kind
from mes.drill.models import Drill

WINDOW = timedelta(hours=8)
_STANDING = "SELECT parent_id FROM installation WHERE child_id = ANY($1) AND removed_at IS NULL"


async def pick(session: ReadSession, kind: Kind, chance: random.Random) -> tuple[str, str] | None:
    """What a drill of a kind is about: the name to ask for, and the question; None: there is nothing yet.

    A lot something of which is fitted; a shift's time at a station; the lot of something in a finished unit.
    """
    if kind == "station":
        rows = await session.driver.fetch(
            "SELECT s.code, max(c.ended_at) AS last, min(c.ended_at) AS first FROM station s "
            "JOIN cycle c ON c.station_id = s.id WHERE c.unit_id IS NOT NULL GROUP BY s.code ORDER BY s.code"
        )
        if not rows:
            return None
        row = chance.choice(rows)
        until = row["first"] + (row["last"] - row["first"]) * chance.random()
        since = until - WINDOW
        return row["code"], f'station = "{row["code"]}" and at {since.isoformat()}..{until.isoformat()}'
    of_finished = "JOIN unit u ON u.id = i.parent_id AND u.state = 'finished'" if kind == "failure" else ""
    rows = await session.driver.fetch(
        f"SELECT DISTINCT l.number FROM installation i JOIN lot l ON l.id = i.lot_id {of_finished} "  # noqa: S608
        "WHERE i.removed_at IS NULL ORDER BY l.number"
    )
    if not rows:
        return None
    number = chance.choice(rows)["number"]
    return number, f'lot = "{number}"'


async def count_lot(session: ReadSession, number: str) -> set[int]:
    """The units of a lot and of what came from it, those that used any of it up, and whatever contains them."""
    made: defaultdict[int, list[int]] = defaultdict(list)
    for row in await session.driver.fetch("SELECT from_lot_id, lot_id FROM lot_lineage"):
        made[row["from_lot_id"]].append(row["lot_id"])
    lots: set[int] = set()
    waiting = [row["id"] for row in await session.driver.fetch("SELECT id FROM lot WHERE number = $1", number)]
    while waiting:
        lot = waiting.pop()
        if lot not in lots:
            lots.add(lot)
            waiting += made[lot]
    ids = sorted(lots)
    own = await session.driver.fetch("SELECT id FROM unit WHERE lot_id = ANY($1)", ids)
    used = "SELECT parent_id AS id FROM installation WHERE lot_id = ANY($1) AND child_id IS NULL AND removed_at IS NULL"
    return await _with_all_above(session, [row["id"] for row in (*own, *await session.driver.fetch(used, ids))])


async def count_station(session: ReadSession, code: str, since: datetime, until: datetime) -> set[int]:
    """The units that passed a station in a time, by its clock or by ours, and whatever contains them."""
    rows = await session.driver.fetch(
        "SELECT c.unit_id, c.started_at, c.ended_at, c.reported_at FROM cycle c JOIN station s ON s.id = c.station_id "
        "WHERE s.code = $1 AND c.unit_id IS NOT NULL",
        code,
    )
    passed = [
        row["unit_id"]
        for row in rows
        if (row["ended_at"] >= since and row["started_at"] <= until) or since <= row["reported_at"] <= until
    ]
    return await _with_all_above(session, passed)


async def _with_all_above(session: ReadSession, units: Iterable[int]) -> set[int]:
    found, edge = set(units), set(units)
    while edge:
        rows = await session.driver.fetch(_STANDING, sorted(edge))
        edge = {row["parent_id"] for row in rows} - found
        found |= edge
    return found


async def serials_of(session: ReadSession, units: Iterable[int]) -> set[str]:
    """The serials of units."""
    rows = await session.driver.fetch("SELECT serial FROM unit WHERE id = ANY($1)", sorted(units))
    return {row["serial"] for row in rows}


async def list_drills(session: ReadSession, limit: int = 100) -> list[DrillAnswer]:
    """Drills, the newest first."""
    names = [name for name in DrillAnswer.model_fields if name != "drill"]
    chosen = select(Drill.id.label("drill"), *(getattr(Drill, name) for name in names))
    rows = await session.execute(chosen.order_by(Drill.id.desc()).limit(limit))
    return [DrillAnswer(**row._mapping) for row in rows]
