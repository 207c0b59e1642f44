"""Opens crates, packs units into them, and lets them leave: whole, or not at all."""

from collections.abc import Iterable

from sqlalchemy import insert, update

from mes.codes import gs1
from mes.db import ReadSession, Session
from mes.errors import Conflict, NotFound
from mes.genealogy.queries import places, undocumented
from mes.genealogy.trace import gaps_of
from mes.orders.service import issue_serials
from mes.products.queries import get_plan
from mes.quality.queries import stopping
from mes.shipping.messages import (
    CrateAnswer,
    CrateNumber,
    CrateOpening,
    CrateUnitRequest,
    PackAnswer,
    ShipAnswer,
    ShippingRefusal,
    ShipRequest,
)
from mes.shipping.models import Crate, CrateUnit
from mes.shipping.queries import (
    CrateRow,
    crate_of,
    get_crate,
    last_charge,
    lock_crate,
    passed_among,
    serials_in,
)
from mes.shipping.rules import NEXT, Event, State, UnitFacts, refusals
from mes.units.queries import UnitRow, lock_units

DIGITS = 16  # of company prefix and serial reference together: GS1 General Specifications, AI (00)


class CrateRefuses(Conflict):
    """Crate {crate} is {state}: it can't {event}."""


class NumbersUsedUp(Conflict):
    """Every SSCC of prefix {prefix} and extension digit {extension} is given: take another extension digit."""


class CrateEmpty(Conflict):
    """Nothing is in crate {crate}: pack something before it is closed."""


class NotInCrate(Conflict):
    """{serial} isn't in crate {crate}."""


async def open_crate(session: Session, message: CrateOpening) -> CrateAnswer:
    """Open a crate. Its number is the next of this prefix and extension digit, and never given twice."""
    places = f"SSCC-{message.extension}-{message.prefix}-"
    drawn = (await issue_serials(session, f"{places}{{number:0{DIGITS - len(message.prefix)}}}", 1))[0]
    reference = drawn.removeprefix(places)
    if len(reference) + len(message.prefix) > DIGITS:
        raise NumbersUsedUp(prefix=message.prefix, extension=message.extension)
    sscc = gs1.sscc(message.extension, message.prefix, int(reference))
    values = {"sscc": sscc, "state": State.OPEN, "opened_at": session.at, "opened_by": session.actor.name}
    await session.execute(insert(Crate).values(values))
    return await get_crate(session, sscc)


async def pack_unit(session: Session, message: CrateUnitRequest) -> PackAnswer:
    """Put a unit into an open crate; refused with every reason. A second scan of it changes nothing."""
    crate = await lock_crate(session, message.crate)
    unit = (await _lock(session, [message.serial]))[0]
    _next(crate, Event.PACK)
    if await crate_of(session, unit.id) == crate.sscc:
        session.repeated()
        return PackAnswer(crate=crate.sscc, serial=unit.serial, packed=True)
    if refused := await _refused(session, crate, unit):
        return PackAnswer(crate=crate.sscc, serial=unit.serial, packed=False, refusals=refused)
    values = {"crate_id": crate.id, "unit_id": unit.id, "put_in_at": session.at, "put_in_by": session.actor.name}
    await session.execute(insert(CrateUnit).values(values))
    session.tell("crate", crate=crate.sscc, serial=unit.serial, change="packed")
    return PackAnswer(crate=crate.sscc, serial=unit.serial, packed=True)


async def unpack_unit(session: Session, message: CrateUnitRequest) -> CrateAnswer:
    """Take a unit out of a crate that hasn't left; one that was closed is open again."""
    crate = await lock_crate(session, message.crate)
    unit = (await _lock(session, [message.serial]))[0]
    following = _next(crate, Event.UNPACK)
    inside = (CrateUnit.crate_id == crate.id) & (CrateUnit.unit_id == unit.id) & CrateUnit.taken_out_at.is_(None)
    closing = {"taken_out_at": session.at, "taken_out_by": session.actor.name}
    if not (await session.execute(update(CrateUnit).where(inside).values(closing))).rowcount:
        raise NotInCrate(serial=message.serial, crate=crate.sscc)
    reopened = {"state": following, "closed_at": None}
    await session.execute(update(Crate).where(Crate.id == crate.id).values(reopened))
    session.tell("crate", crate=crate.sscc, serial=unit.serial, change="unpacked")
    return await get_crate(session, crate.sscc)


async def close_crate(session: Session, message: CrateNumber) -> CrateAnswer:
    """Close a crate with what is in it."""
    crate = await lock_crate(session, message.crate)
    following = _next(crate, Event.CLOSE)
    if not await serials_in(session, crate.id):
        raise CrateEmpty(crate=crate.sscc)
    closed = {"state": following, "closed_at": session.at}
    await session.execute(update(Crate).where(Crate.id == crate.id).values(closed))
    session.tell("crate", crate=crate.sscc, state=following)
    return await get_crate(session, crate.sscc)


async def ship_crate(session: Session, message: ShipRequest) -> ShipAnswer:
    """Let a closed crate leave, if each unit in it may; else it stays, and every reason of every unit is listed.

    The same told again changes nothing.
    """
    crate = await lock_crate(session, message.crate)
    if crate.state is State.SHIPPED and (crate.shipped_to, crate.reference) == (message.to, message.reference):
        session.repeated()
        return ShipAnswer(crate=crate.sscc, shipped=True)
    following = _next(crate, Event.SHIP)
    units = await _lock(session, await serials_in(session, crate.id))
    if refused := [said for unit in units for said in await _refused(session, crate, unit)]:
        return ShipAnswer(crate=crate.sscc, shipped=False, refusals=refused)
    left = {"shipped_at": session.at, "shipped_by": session.actor.name}
    left |= {"state": following, "shipped_to": message.to, "reference": message.reference}
    await session.execute(update(Crate).where(Crate.id == crate.id).values(left))
    session.tell("crate", crate=crate.sscc, state=following, to=message.to)
    return ShipAnswer(crate=crate.sscc, shipped=True)


def _next(crate: CrateRow, event: Event) -> State:
    following = NEXT[crate.state, event]
    if following is None:
        raise CrateRefuses(crate=crate.sscc, state=crate.state, event=event)
    return following


async def _lock(session: Session, serials: Iterable[str]) -> list[UnitRow]:
    wanted = list(serials)
    found = await lock_units(session, wanted)
    if missing := [serial for serial in wanted if serial not in found]:
        raise NotFound(kind="unit", name=", ".join(missing))
    session.take_moment()
    return [found[serial] for serial in wanted]


async def _refused(session: ReadSession, crate: CrateRow, unit: UnitRow) -> list[ShippingRefusal]:
    """Ask the rules about a locked unit.

    A hold on what is in it stands on the unit itself too: law 6. One that was released there stops it no more.
    """
    held = [await stopping(session, stop, unit_id=unit.id, order_id=unit.order_id) for stop in ("ship", "move")]
    other = await crate_of(session, unit.id)
    steps = (await get_plan(session, unit.revision_id)).steps if unit.revision_id else {}
    ships = [operation for operation, step in steps.items() if step.conditions.ships]
    facts = UnitFacts(
        serial=unit.serial,
        state=unit.state,
        holds=[reason for reasons in held for reason in reasons],
        inside=next((place.serial for place in await places(session, unit.id) if place.removed_at is None), None),
        other_crate=other if other != crate.sscc else None,
        ships=ships,
        passed=await passed_among(session, unit.id, ships),
        gaps=await gaps_of(session, unit.serial, steps),
        undocumented=await undocumented(session, unit_id=unit.id),
        charge=await last_charge(session, unit.id),
    )
    return [
        ShippingRefusal(serial=unit.serial, code=said.code, text=said.text, clears=said.clears, who=list(said.who))
        for said in refusals(facts)
    ]
