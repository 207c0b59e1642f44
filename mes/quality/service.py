"""Opens and releases holds: by containment, by what a report broke, by inheritance."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Text, bindparam, insert, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from mes.actor import Role
from mes.db import Session
from mes.errors import Conflict, Forbidden, NotFound
from mes.find.messages import Found
from mes.find.service import find
from mes.genealogy.queries import containing
from mes.products.queries import is_operation
from mes.quality.messages import (
    ContainAnswer,
    ContainRequest,
    ReleaseAnswer,
    ReleaseHoldRequest,
    ReleaseRequest,
)
from mes.quality.models import Containment, ContainmentQuestion, Hold, HoldSignature
from mes.quality.queries import Subjects, held_names, lock_above, lock_open_holds, lock_subjects, signatures
from mes.statement import Prepared
from mes.units.queries import lock_unit_ids


class NothingOpen(Conflict):
    """{kind} {name} has no open hold: it was released before, or never set."""


class SignedAlready(Conflict):
    """{name} has signed for this release already. It waits for another person: {owed}."""


FROZEN = 20_000  # units that a frozen answer lists; its counts are of all, and each has its hold
TOLD = 1000  # serials in one event; `held` counts them all


@dataclass(frozen=True, slots=True)
class NewHold:
    """A hold to open because of what a report broke; quality reviews it."""

    reason: str
    release_roles: tuple[str, ...] = (Role.QUALITY.value,)


_INHERIT = Prepared(
    text(
        """
        INSERT INTO hold (unit_id, containment_id, inherited_from, cycle_id, stops, at_operation, release_roles,
                          reason, opened_at, opened_by)
        SELECT u.id, h.containment_id, h.id, :cycle_id, h.stops,
               -- an intercept of the part's own route lies behind whatever it is in
               CASE WHEN NOT EXISTS (SELECT FROM step p JOIN unit c ON c.revision_id = p.revision_id
                                     WHERE c.id = h.unit_id AND p.operation = h.at_operation)
                    THEN h.at_operation END, h.release_roles,
               h.reason, :at, :opened_by
        FROM unnest(:units) AS u (id), hold h WHERE h.id = ANY(:holds) ORDER BY u.id, h.id
        """
    ).bindparams(
        bindparam("units", type_=ARRAY(BigInteger)),
        bindparam("holds", type_=ARRAY(BigInteger)),
        bindparam("cycle_id", type_=BigInteger),
        bindparam("opened_by", type_=Text),
    )
)


_OPEN = Prepared(
    text(
        """
        INSERT INTO hold (unit_id, lot_id, order_id, containment_id, inherited_from, stops, at_operation, release_roles,
                          reason, opened_at, opened_by)
        SELECT s.unit_id, s.lot_id, s.order_id, :containment, :source, :stops, :at_operation, :release_roles, :reason,
               :at, :opened_by
        FROM (SELECT 1 AS kind, NULL::bigint AS unit_id, id AS lot_id, NULL::bigint AS order_id
              FROM unnest(:lots) AS l (id)
              UNION ALL SELECT 2, NULL, NULL, id FROM unnest(:orders) AS o (id)
              UNION ALL SELECT 3, id, NULL, NULL FROM unnest(:units) AS u (id)) s
        ORDER BY s.kind, s.lot_id, s.order_id, s.unit_id RETURNING id
        """
    ).bindparams(
        *(bindparam(name, type_=ARRAY(BigInteger)) for name in ("units", "lots", "orders")),
        *(bindparam(name, type_=ARRAY(Text)) for name in ("stops", "release_roles")),
        *(bindparam(name, type_=BigInteger) for name in ("containment", "source")),
        *(bindparam(name, type_=Text) for name in ("at_operation", "reason", "opened_by")),
    )
)
_READ = Prepared(
    text("SELECT reason, release_roles FROM hold WHERE id = ANY(:holds) ORDER BY id").bindparams(
        bindparam("holds", type_=ARRAY(BigInteger))
    )
)


async def contain(session: Session, message: ContainRequest) -> ContainAnswer:
    """Hold what is named and everything that contains it.

    Trace, then hold, would let a pack slip past when a station fits a part meanwhile. So: lock the subjects, lock what
    contains them, and trace again until nothing new appears; whoever fits a part of it later finds the hold. A question
    is only opened here: what it fits is held in turns of its own (containments.py), so that no station waits for all.
    """
    if message.at_operation is not None and not await is_operation(session, message.at_operation):
        raise NotFound(kind="route with an operation", name=message.at_operation)
    affected = await find(session, message.question, limit=FROZEN) if message.question else None
    subjects = await lock_subjects(session, message)
    suspects = await lock_containing(session, subjects.lots, subjects.units)
    session.take_moment()
    question = message.model_dump(
        mode="json", exclude={"reason", "stops", "at_operation", "release_roles"}, exclude_none=True
    )
    answer = insert(Containment).values(
        question=question,
        station_id=subjects.station,
        reason=message.reason,
        opened_at=session.at,
        opened_by=session.actor.name,
    )
    containment: int = (await session.execute(answer.returning(Containment.id))).scalar_one()
    if affected is not None:
        await _keep_question(session, message, containment, affected)
    await _hold_all(session, message, containment, subjects, suspects)
    held = sorted(suspects.values())
    session.tell(
        "hold",
        **{name: value for name, value in question.items() if name != "serials"},
        containment=containment,
        state="open",
        reason=message.reason,
        held=len(held),
        serials=held[:TOLD],
    )
    return ContainAnswer(
        containment=containment,
        lot=message.lot,
        serial=message.serial,
        subjects=len(subjects.lots) + (1 if subjects.order else len(subjects.units)),
        held=held,
    )


async def lock_containing(session: Session, lots: Sequence[int], units: Sequence[int] = ()) -> dict[int, str]:
    """Lock whatever contains these locked lots and units, until nothing new appears; serials by id."""
    suspects: dict[int, str] = {}
    while new := {s.id: s.serial for s in await containing(session, lots=lots, units=units)}.items() - suspects.items():
        await lock_unit_ids(session, [unit for unit, _ in new])
        suspects |= dict(new)
    return suspects


async def _keep_question(session: Session, message: ContainRequest, containment: int, affected: Found) -> None:
    """Keep the question with its answer of this moment: it is asked of whatever comes until it is closed."""
    kept = {
        "containment_id": containment,
        "question": affected.question,
        "answer": affected.model_dump(mode="json"),
        "stops": message.stops,
        "at_operation": message.at_operation,
        "release_roles": [role.value for role in message.release_roles],
    }
    await session.execute(insert(ContainmentQuestion).values(kept))


async def _hold_all(
    session: Session, message: ContainRequest, containment: int, subjects: Subjects, suspects: dict[int, str]
) -> None:
    shared = {
        "containment": containment,
        "stops": message.stops,
        "at_operation": message.at_operation,
        "release_roles": [role.value for role in message.release_roles],
        "reason": message.reason,
        "opened_by": session.actor.name,
    }
    # an order's hold covers every unit it has or will have
    units = [] if subjects.order else list(subjects.units)
    orders = [subjects.order] if subjects.order else []
    named = {"units": units, "lots": list(subjects.lots), "orders": orders, "source": None}
    opened = await session.run(_OPEN, **shared, **named)
    source = opened[0]["id"] if len(opened) == 1 else None  # with several, the containment says where it came from
    containing = {"units": sorted(set(suspects) - set(subjects.units)), "lots": [], "orders": [], "source": source}
    await session.run(_OPEN, **shared, **containing)


async def release_containment(session: Session, message: ReleaseRequest) -> ReleaseAnswer:
    """Sign for the release of every hold of a containment, those inherited later too."""
    holds = await lock_open_holds(session, containment=message.containment)
    if not holds:
        raise NothingOpen(kind="containment", name=message.containment)
    return await _sign(session, holds, message.reason)


async def release_hold(session: Session, message: ReleaseHoldRequest) -> ReleaseAnswer:
    """Sign for the release of one hold; others on the same unit stay."""
    holds = await lock_open_holds(session, hold=message.hold)
    if not holds:
        raise NothingOpen(kind="hold", name=message.hold)
    return await _sign(session, holds, message.reason)


async def _sign(session: Session, holds: Sequence[Hold], reason: str) -> ReleaseAnswer:
    """Add one signature to each hold, and close those that have all. One person never signs for two roles."""
    session.take_moment()
    who = session.actor
    signed: dict[int, dict[str, str]] = {hold.id: {} for hold in holds}
    for hold_id, signer, name in await signatures(session, list(signed)):
        signed[hold_id][signer] = name
    new, closed, waiting = [], {}, set()
    for hold in holds:
        owed = [role for role in hold.release_roles if role not in signed[hold.id]]
        role = who.role.value
        if role not in owed and who.role is Role.ADMIN and owed:
            role = owed[0]  # an administrator stands in for any one role
        if role not in owed or who.name in signed[hold.id].values():
            waiting.update(owed)
            continue
        new.append({"hold_id": hold.id, "role": role, "signed_by": who.name, "reason": reason, "signed_at": session.at})
        signed[hold.id][role] = who.name
        if set(owed) == {role}:
            closed[hold.id] = ", ".join(signed[hold.id].values())
        else:
            waiting.update(set(owed) - {role})
    if not new:
        if any(who.name in names.values() for names in signed.values()):
            raise SignedAlready(name=who.name, owed=", ".join(sorted(waiting)))
        raise Forbidden(role=who.role, act="sign this release", allowed=", ".join(sorted(waiting)))
    await session.execute(insert(HoldSignature), new)
    for names in set(closed.values()):
        ids = [id_ for id_, signers in closed.items() if signers == names]
        closing = {"released_at": session.at, "released_by": names, "release_reason": reason}
        await session.execute(update(Hold).where(Hold.id.in_(ids)).values(closing))
    if closed:
        serials, lots = await held_names(session, list(closed))
        session.tell(
            "hold",
            state="released",
            reason=reason,
            released=len(closed),
            holds=list(closed)[:TOLD],
            serials=serials[:TOLD],
            lots=lots[:TOLD],
        )
    else:
        session.tell("hold", state="signed", holds=[row["hold_id"] for row in new][:TOLD], owed=sorted(waiting))
    return ReleaseAnswer(released=len(closed), waiting=len(holds) - len(closed), owed=sorted(waiting))


async def hold_upward(
    session: Session,
    unit_id: int,
    serial: str,
    cycle_id: int | None,
    inherited: Sequence[int],
    broken: NewHold | None,
    *,
    is_inside: bool,
) -> None:
    """Hold a unit that a report was about, and whatever it is in: the holds of what was fitted, and what it broke."""
    units = await lock_above(session, unit_id) if is_inside else [unit_id]
    who = session.actor.name
    if inherited:
        await session.run(_INHERIT, units=units, holds=list(inherited), cycle_id=cycle_id, opened_by=who)
    if broken is not None:
        await open_holds(session, units, broken, cycle_id)
    reason = broken.reason if broken else None
    session.tell("hold", serial=serial, state="open", reason=reason, inherited=len(inherited), held=len(units))


async def hold_lot(
    session: Session,
    lot_id: int,
    lot: str,
    cycle_id: int | None,
    inherited: Sequence[int],
    broken: NewHold | None,
) -> None:
    """Hold a lot that a report was about, and whatever of it is fitted already.

    By the containments of its station's time, and for what the report broke. The caller has locked the lot.
    """
    holds = [broken] if broken is not None else []
    if inherited:
        rows = await session.run(_READ, holds=list(inherited))
        holds += [NewHold(row["reason"], tuple(row["release_roles"])) for row in rows]
    opened = [id_ for hold in holds for id_ in await open_holds(session, [], hold, cycle_id, lots=[lot_id])]
    if opened:
        session.tell("hold", lot=lot, state="open", reason="; ".join(hold.reason for hold in holds))
    if opened and (suspects := await lock_containing(session, [lot_id])):
        await session.run(
            _INHERIT, units=sorted(suspects), holds=opened, cycle_id=cycle_id, opened_by=session.actor.name
        )


async def open_holds(
    session: Session, units: Sequence[int], hold: NewHold, cycle_id: int | None, *, lots: Sequence[int] = ()
) -> list[int]:
    """Hold these units and lots, each on its own, until the roles named have signed; the holds' ids."""
    shared = {
        "cycle_id": cycle_id,
        "stops": ["consume", "ship"],
        "release_roles": list(hold.release_roles),
        "reason": hold.reason,
        "opened_at": session.at,
        "opened_by": session.actor.name,
    }
    rows = [{"unit_id": unit, "lot_id": None} | shared for unit in units]
    rows += [{"unit_id": None, "lot_id": lot} | shared for lot in lots]
    return list((await session.execute(insert(Hold).returning(Hold.id), rows)).scalars())
