"""Splits lots and puts them together: what a lot came from is known, and its holds come along."""

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import Session
from mes.errors import Conflict, Malformed
from mes.materials import service as materials
from mes.materials.messages import LotAnswer, LotMerge, LotSplit
from mes.materials.queries import describe_lot, lock_lots
from mes.quality.queries import loose_of_lot, stopping
from mes.statement import Prepared
from mes.units import service as units

_COPY_HOLDS = Prepared(
    text(
        """
        INSERT INTO hold (lot_id, containment_id, inherited_from, stops, at_operation, release_roles, reason,
                          opened_at, opened_by)
        SELECT :lot_id, containment_id, id, stops, at_operation, release_roles, reason, :at, opened_by
        FROM hold WHERE lot_id = ANY(:lots) AND released_at IS NULL ORDER BY id
        """
    ).bindparams(bindparam("lot_id", type_=BigInteger), bindparam("lots", type_=ARRAY(BigInteger)))
)


class NothingToSplit(Conflict):
    """A split of lot {lot} names {expected}; it read {read}."""


class NotEnoughLeft(Conflict):
    """Lot {lot} has {left} left: {asked} can't become a lot of its own."""


class LotHeld(Conflict):
    """Lot {lot} is on hold: {reasons}. It stays as it is until the hold is released."""


class LotsDiffer(Conflict):
    """Lots of one part, traced by lot, of one supplier and country are put together: of these {differ} differ."""


async def split_lot(session: Session, message: LotSplit) -> LotAnswer:
    """Make a part of a lot a lot of its own. Cells that were ever fitted stay where their record has them."""
    (lot,) = await lock_lots(session, [message.lot])
    if reasons := await stopping(session, "move", lot_id=lot.id):
        raise LotHeld(lot=message.lot, reasons="; ".join(reasons))
    if lot.trace == "serial":
        ids = await _chosen(session, message, lot.id)
        quantity = Decimal(len(ids))
    else:
        ids, quantity = [], message.quantity or Decimal(0)
        if message.serials or message.cartons or not quantity:
            raise NothingToSplit(lot=message.lot, expected="a quantity", read="serials, cartons or nothing")
    if quantity >= lot.quantity_left:
        raise NotEnoughLeft(lot=message.lot, left=f"{lot.quantity_left:f}", asked=f"{quantity:f}")
    new = await materials.derive_lot(session, message.new_lot, [(lot, quantity)], message.reason)
    await session.run(_COPY_HOLDS, lot_id=new, lots=[lot.id])
    if ids:
        await units.change_lot(session, ids, new)
    session.tell("lot", lot=message.new_lot, state=lot.state)
    return await describe_lot(session, message.new_lot)


async def _chosen(session: Session, message: LotSplit, lot_id: int) -> Sequence[int]:
    """The loose units that the split names, locked; Malformed names those that aren't loose units of the lot."""
    if message.quantity is not None or not (message.serials or message.cartons):
        raise NothingToSplit(lot=message.lot, expected="serials or cartons", read="a quantity or nothing")
    loose = await loose_of_lot(session, lot_id, message.serials, message.cartons)
    serials, cartons = {row.serial for row in loose}, {row.carton for row in loose}
    expected = f"a unit of {message.lot} that was never fitted"
    wrong = [{"at": "serials", "read": one, "expected": expected} for one in message.serials if one not in serials]
    expected = f"a carton with units of {message.lot} that were never fitted"
    wrong += [{"at": "cartons", "read": one, "expected": expected} for one in message.cartons if one not in cartons]
    if wrong:
        raise Malformed(f"Lot {message.lot}", wrong[:200])
    return [row.id for row in loose]


async def merge_lots(session: Session, message: LotMerge) -> LotAnswer:
    """Put what is left of lots into one. Cells keep their own lots: put together, they could not be told apart."""
    lots = await lock_lots(session, message.lots)
    for lot in lots:  # put together, what is held would be used with what isn't
        if reasons := await stopping(session, "consume", lot_id=lot.id):
            raise LotHeld(lot=lot.number, reasons="; ".join(reasons))
    kinds = {"part": {lot.part for lot in lots}, "supplier": {lot.supplier for lot in lots}}
    kinds |= {"country": {lot.country for lot in lots}, "trace": {lot.trace for lot in lots} | {"lot"}}
    if differ := [name for name, values in kinds.items() if len(values) > 1]:
        raise LotsDiffer(differ=", ".join(differ))
    if empty := [lot.number for lot in lots if lot.quantity_left <= 0]:
        raise NotEnoughLeft(lot=", ".join(empty), left="nothing", asked="nothing")
    parts = [(lot, lot.quantity_left) for lot in lots]
    new = await materials.derive_lot(session, message.into, parts, message.reason)
    await session.run(_COPY_HOLDS, lot_id=new, lots=[lot.id for lot in lots])
    session.tell("lot", lot=message.into, state="put together")
    return await describe_lot(session, message.into)
