"""Moves a unit or a lot to another place, unless a hold stops it: quarantined stock may well go to its shelf."""

from mes.db import Session
from mes.errors import NotFound
from mes.execution.messages import MoveAnswer, MoveRequest, Refusal
from mes.execution.queries import lock_named
from mes.execution.rules.words import WORDS, Reason, Said
from mes.materials import service as materials
from mes.quality.queries import stopping
from mes.units import service as units


async def move_stock(session: Session, message: MoveRequest) -> MoveAnswer:
    """Bring a unit or a lot to another place; refused, with the reasons, while a hold stops moving."""
    found_units, found_lots = await lock_named(session, [message.serial], [message.serial], is_report=True)
    unit, lot = found_units.get(message.serial), found_lots.get(message.serial)
    if unit is not None:
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
