"""Opens and releases holds: by containment, by what a report broke, by inheritance."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Text, bindparam, insert, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import Session
from mes.errors import Conflict, NotFound
from mes.genealogy.queries import containing
from mes.materials.queries import lock_lot_whole
from mes.quality.messages import (
    ContainAnswer,
    ContainRequest,
    ReleaseAnswer,
    ReleaseHoldRequest,
    ReleaseRequest,
)
from mes.quality.models import Containment, Hold
from mes.quality.queries import LOCKED_ABOVE, lock_open_holds
from mes.statement import Prepared
from mes.units.queries import lock_unit_ids, lock_units


class NothingOpen(Conflict):
    """{kind} {name} has no open hold: it was released before, or never set."""


@dataclass(frozen=True, slots=True)
class NewHold:
    """A hold to open on the unit reported: inherited from another, or for what the report broke."""

    reason: str
    inherited_from: int | None
    containment_id: int | None


_HOLD_UPWARD = Prepared(
    text(
        f"""
        {LOCKED_ABOVE}
        INSERT INTO hold (unit_id, containment_id, inherited_from, cycle_id, reason, opened_at, opened_by)
        SELECT l.id, h.containment_id, h.inherited_from, :cycle_id, h.reason, :at, :opened_by
        FROM locked l, unnest(:reasons, :inherited, :containments) AS h (reason, inherited_from, containment_id)
        """  # noqa: S608
    ).bindparams(
        bindparam("unit_id", type_=BigInteger),
        bindparam("cycle_id", type_=BigInteger),
        bindparam("opened_by", type_=Text),
        bindparam("reasons", type_=ARRAY(Text)),
        bindparam("inherited", type_=ARRAY(BigInteger)),
        bindparam("containments", type_=ARRAY(BigInteger)),
    )
)


async def contain(session: Session, message: ContainRequest) -> ContainAnswer:
    """Hold a lot or unit and everything that contains it.

    Trace, then hold, would let a pack slip past when a station fits a part meanwhile. So: lock the subject, lock what
    contains it, and trace again until nothing new appears; whoever fits a part of it later finds the hold.
    """
    lot_id = unit_id = None
    if message.lot is not None:
        lot_id = (await lock_lot_whole(session, message.lot)).id
    else:
        found = await lock_units(session, [message.serial or ""])
        if message.serial not in found:
            raise NotFound(kind="unit", name=message.serial)
        unit_id = found[message.serial].id
    suspects: dict[int, str] = {}
    while new := {s.id: s.serial for s in await containing(session, lot_id=lot_id, unit_id=unit_id)}.items() - (
        suspects.items()
    ):
        await lock_unit_ids(session, [unit for unit, _ in new])
        suspects |= dict(new)
    answer = insert(Containment).values(
        lot_id=lot_id, unit_id=unit_id, reason=message.reason, opened_at=session.at, opened_by=session.actor.name
    )
    containment: int = (await session.execute(answer.returning(Containment.id))).scalar_one()
    shared = {
        "containment_id": containment,
        "reason": message.reason,
        "opened_at": session.at,
        "opened_by": session.actor.name,
    }
    subject = {"lot_id": lot_id, "unit_id": unit_id, "inherited_from": None, **shared}
    first: int = (await session.execute(insert(Hold).values(subject).returning(Hold.id))).scalar_one()
    inherited = [{"lot_id": None, "unit_id": s, "inherited_from": first, **shared} for s in sorted(suspects)]
    if inherited:
        await session.execute(insert(Hold), inherited)
    session.tell("hold", containment=containment, held=len(suspects))
    held = sorted(suspects.values())
    return ContainAnswer(containment=containment, lot=message.lot, serial=message.serial, held=held)


async def release_containment(session: Session, message: ReleaseRequest) -> ReleaseAnswer:
    """Release every hold of a containment, those inherited later too."""
    holds = await lock_open_holds(session, containment=message.containment)
    if not holds:
        raise NothingOpen(kind="containment", name=message.containment)
    return await _release(session, holds, message.reason)


async def release_hold(session: Session, message: ReleaseHoldRequest) -> ReleaseAnswer:
    """Release one hold; others on the same unit stay."""
    holds = await lock_open_holds(session, hold=message.hold)
    if not holds:
        raise NothingOpen(kind="hold", name=message.hold)
    return await _release(session, holds, message.reason)


async def _release(session: Session, holds: Sequence[int], reason: str) -> ReleaseAnswer:
    closing = {"released_at": session.at, "released_by": session.actor.name, "release_reason": reason}
    await session.execute(update(Hold).where(Hold.id.in_(holds)).values(closing))
    session.tell("hold", released=len(holds))
    return ReleaseAnswer(released=len(holds))


async def hold_upward(session: Session, unit_id: int, cycle_id: int, holds: Sequence[NewHold]) -> None:
    """Hold a unit that a report was about, and whatever it is in."""
    await session.run(
        _HOLD_UPWARD,
        unit_id=unit_id,
        cycle_id=cycle_id,
        opened_by=session.actor.name,
        reasons=[hold.reason for hold in holds],
        inherited=[hold.inherited_from for hold in holds],
        containments=[hold.containment_id for hold in holds],
    )
    session.tell("hold", unit_id=unit_id)
