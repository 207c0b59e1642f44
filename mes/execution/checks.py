"""Checks of stations and tools: masters, daily checks, calibrations; and what passed since the last good one.

Plant rules 8 and 11: a station that fails a check is blocked, and every unit since its last good check is suspect.
"""

from datetime import datetime

from sqlalchemy import insert

from mes.db import Session
from mes.errors import Conflict, NotFound
from mes.execution.messages import CheckAnswer, CheckReport, HoldSinceCheck
from mes.execution.models import StationCheck
from mes.execution.queries import find_check, last_good_check, suspects_since
from mes.plant.queries import get_station, station_tools
from mes.quality.messages import ContainAnswer, ContainRequest
from mes.quality.service import contain


class CheckPassed(Conflict):
    """Check {check} at {station} passed: nothing is suspect because of it."""


class NothingPassed(Conflict):
    """No unit passed {station} between {since} and check {check}: there is nothing to hold."""


async def record_check(session: Session, message: CheckReport) -> CheckAnswer:
    """Record a check. Failed, it blocks the station and lists every unit since the last good check of its kind."""
    station = await get_station(session, message.station)
    tools = await station_tools(session, station.id)
    if message.tool is not None and message.tool not in tools:
        raise NotFound(kind=f"tool at {message.station} called", name=message.tool)
    tool_id = tools.get(message.tool) if message.tool else None
    # a master that is known to be bad is to be called bad
    expected = "failed" if message.kind == "known_bad" else "passed"
    values = {
        "station_id": station.id,
        "tool_id": tool_id,
        "kind": message.kind,
        "passed": message.verdict == expected,
        "note": message.note,
        "checked_at": session.at,
        "checked_by": session.actor.name,
    }
    added = insert(StationCheck).values(values).returning(StationCheck.id)
    check: int = (await session.execute(added)).scalar_one()
    since, suspects = None, []
    if not values["passed"]:
        since = await last_good_check(session, check)
        suspects = await suspects_since(session, check, since)
    session.tell("check", station=message.station, passed=values["passed"])
    return CheckAnswer(
        check=check,
        station=message.station,
        tool=message.tool,
        kind=message.kind,
        passed=bool(values["passed"]),
        since=since,
        suspects=suspects,
    )


async def hold_since_check(session: Session, message: HoldSinceCheck) -> ContainAnswer:
    """Confirm a failed check: hold every unit that passed since the last good one, and whatever it is in by now."""
    station, passed = await find_check(session, message.check)
    if passed:
        raise CheckPassed(check=message.check, station=station)
    since = await last_good_check(session, message.check)
    suspects = await suspects_since(session, message.check, since)
    if not suspects:
        raise NothingPassed(station=station, since=_shown(since), check=message.check)
    reason = f"{message.reason} (check {message.check} of {station}, since {_shown(since)})"
    return await contain(session, ContainRequest(serials=suspects, reason=reason))


def _shown(since: datetime | None) -> str:
    return f"{since:%Y-%m-%d %H:%M}" if since else "the beginning"
