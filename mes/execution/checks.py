"""Checks of stations and tools: masters, daily checks, calibrations; and what passed since the last good one.

Plant rules 8 and 11: a station that fails a check is blocked, and every unit since its last good check is suspect.
"""

from datetime import UTC, datetime

from sqlalchemy import insert

from mes.db import Session
from mes.errors import Conflict, NotFound
from mes.execution.messages import CheckAnswer, CheckReport, HoldSinceCheck
from mes.execution.models import StationCheck
from mes.execution.queries import get_check, last_good_check
from mes.plant.queries import get_station, station_tools
from mes.quality.messages import ContainAnswer, ContainRequest, StationWindow
from mes.quality.queries import passed_serials
from mes.quality.service import contain

EVER = datetime(1970, 1, 1, tzinfo=UTC)
SHOWN = 1_000  # suspects in an answer


class CheckPassed(Conflict):
    """Check {check} at {station} passed: nothing is suspect because of it."""


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
    window, suspects = None, []
    if not values["passed"]:
        window = await _window(session, check)
        suspects = await passed_serials(session, window, SHOWN + 1)
    session.tell("check", station=message.station, kind=message.kind, tool=message.tool, passed=values["passed"])
    return CheckAnswer(
        check=check,
        station=message.station,
        tool=message.tool,
        kind=message.kind,
        passed=bool(values["passed"]),
        since=window.since if window else None,
        suspects=suspects[:SHOWN],
        has_more=len(suspects) > SHOWN,
    )


async def hold_since_check(session: Session, message: HoldSinceCheck) -> ContainAnswer:
    """Confirm a failed check: hold every unit that passed since the last good one, and whatever it is in by now.

    Results that are reported later of work in that time are held too, until the containment is released.
    """
    check, station = await get_check(session, message.check)
    if check.passed:
        raise CheckPassed(check=message.check, station=station)
    window = await _window(session, message.check)
    suffix = f" (check {message.check} of {station}, since {window.since:%Y-%m-%d %H:%M})"
    return await contain(session, ContainRequest(window=window, reason=message.reason[: 500 - len(suffix)] + suffix))


async def _window(session: Session, number: int) -> StationWindow:
    """What passed between the last good check of this kind and this one; since ever, where there was none."""
    check, station = await get_check(session, number)
    since = await last_good_check(session, number) or EVER
    return StationWindow(station=station, tool=check.tool, since=since, until=max(check.checked_at, since))
