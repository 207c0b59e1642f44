"""Moves stock and opens lots, unless a hold stops it: quarantined stock may well go to its shelf."""

from mes.db import Session
from mes.errors import Conflict, NotFound
from mes.execution.messages import MoveAnswer, MoveRequest, Refusal
from mes.execution.queries import lock_named
from mes.execution.rules.words import WORDS, Reason, Said
from mes.genealogy.queries import above
from mes.materials import service as materials
from mes.materials.messages import LotAnswer, LotOpening
from mes.materials.queries import describe_lot, lock_lot_whole
from mes.quality.dispositions import StillFitted
from mes.quality.queries import stopping
from mes.units import service as units


class LotHeld(Conflict):
    """Lot {lot} is on hold: {reasons}. It stays closed until the hold is released."""


class OpenedBefore(Conflict):
    """Lot {lot} was opened at {opened_at}: its pot life runs since then. Give a new mix a lot of its own."""


async def open_lot(session: Session, message: LotOpening) -> LotAnswer:
    """Note that a lot is opened or mixed: from now on its pot life runs."""
    lot = await lock_lot_whole(session, message.lot)
    session.take_moment()
    if reasons := await stopping(session, "consume", lot_id=lot.id):
        raise LotHeld(lot=message.lot, reasons="; ".join(reasons))
    if not await materials.open_lot(session, lot.id):
        raise OpenedBefore(lot=message.lot, opened_at=(await describe_lot(session, message.lot)).opened_at)
    session.tell("lot", lot=message.lot, opened=True)
    return await describe_lot(session, message.lot)


async def move_stock(session: Session, message: MoveRequest) -> MoveAnswer:
    """Bring a unit or a lot to another place; refused, with the reasons, while a hold stops moving."""
    found_units, found_lots = await lock_named(session, [message.serial], [message.serial])
    unit, lot = found_units.get(message.serial), found_lots.get(message.serial)
    if unit is not None:
        if await above(session, unit.id):
            raise StillFitted(serial=unit.serial)
        reasons = await stopping(session, "move", unit_id=unit.id, lot_id=unit.lot_id, order_id=unit.order_id)
    elif lot is not None:
        reasons = await stopping(session, "move", lot_id=lot.id)
    else:
        raise NotFound(kind="unit or lot", name=message.serial)
    if reasons:
        said = Said(Reason.ON_HOLD, 1, "; ".join(dict.fromkeys(reasons)), {"serial": message.serial})
        refusal = Refusal(code=said.code, text=said.text, clears=said.clears, who=list(WORDS[said.code].who))
        return MoveAnswer(serial=message.serial, location=message.location, moved=False, refusals=[refusal])
    if unit is not None:
        await units.place(session, unit.id, message.location)
    elif lot is not None:
        await materials.place(session, lot.id, message.location)
    session.tell("move", serial=message.serial, location=message.location)
    return MoveAnswer(serial=message.serial, location=message.location, moved=True)
