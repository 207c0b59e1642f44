"""Waivers: named units, or a window of time at a station or operation, may deviate from one rule.

Never a switch: laws can't be waived, each use stands on the permit and the cycle, and each waiver ends. Plant rule 16.
"""

from datetime import timedelta

from sqlalchemy import insert, update

from mes.db import Session
from mes.errors import Conflict, Forbidden, NotFound
from mes.execution.messages import WaiverAnswer, WaiverNumber, WaiverRequest
from mes.execution.models import Waiver
from mes.execution.queries import list_waivers
from mes.execution.rules import waivable
from mes.plant.queries import get_station
from mes.units.queries import lock_units

LONGEST = timedelta(days=90)


class NotWaivable(Conflict):
    """{rule} is a law: nobody can waive it. These can be waived: {waivable}."""


class WindowWrong(Conflict):
    """A waiver ends after it starts and in time to come, within 90 days: it would run from {starts_at} to {ends_at}."""


async def grant_waiver(session: Session, message: WaiverRequest) -> WaiverAnswer:
    """Approve a waiver. Who approves must have a role that this rule names."""
    allowed = waivable().get(message.rule)
    if allowed is None:
        raise NotWaivable(rule=message.rule, waivable=", ".join(waivable()))
    if session.actor.role not in allowed:
        raise Forbidden(role=session.actor.role, act=f"waive {message.rule}", allowed=", ".join(sorted(allowed)))
    unit_ids = None
    if message.serials is not None:
        found = await lock_units(session, message.serials)  # whoever asks meanwhile is answered before or after
        if missing := sorted(set(message.serials) - set(found)):
            raise NotFound(kind="unit", name=", ".join(missing[:20]))
        unit_ids = [unit.id for unit in found.values()]
    session.take_moment()
    starts_at = message.starts_at or session.at
    if not max(starts_at, session.at) < message.ends_at <= starts_at + LONGEST:
        raise WindowWrong(starts_at=starts_at, ends_at=message.ends_at)
    values = {
        "rule": message.rule.value,
        "unit_ids": unit_ids,
        "station_id": (await get_station(session, message.station)).id if message.station else None,
        "operation": message.operation,
        "starts_at": starts_at,
        "ends_at": message.ends_at,
        "reason": message.reason,
        "approved_by": session.actor.name,
        "approved_role": session.actor.role.value,
        "approved_at": session.at,
    }
    number: int = (await session.execute(insert(Waiver).values(values).returning(Waiver.id))).scalar_one()
    named = message.model_dump(mode="json", include={"rule", "serials", "station", "operation"}, exclude_none=True)
    session.tell("waiver", waiver=number, state="granted", **named)
    return (await list_waivers(session, waiver=number))[0]


async def revoke_waiver(session: Session, message: WaiverNumber) -> WaiverAnswer:
    """Revoke a waiver; what used it keeps it on its record."""
    closing = {"revoked_at": session.at, "revoked_by": session.actor.name, "revoke_reason": message.reason}
    open_ = update(Waiver).where(Waiver.id == message.waiver, Waiver.revoked_at.is_(None)).values(closing)
    if not (await session.execute(open_)).rowcount:
        raise NotFound(kind="waiver in force", name=message.waiver)
    session.tell("waiver", waiver=message.waiver, state="revoked")
    return (await list_waivers(session, waiver=message.waiver))[0]
