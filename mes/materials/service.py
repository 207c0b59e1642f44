"""Receives lots, counts them down, releases them."""

import hashlib
from base64 import b64decode
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Numeric, Text, bindparam, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import Session
from mes.errors import Conflict
from mes.materials.messages import LotReceipt
from mes.materials.models import Lot, LotDocument
from mes.materials.queries import LotRow
from mes.materials.rules import NEXT, Event, State
from mes.products.queries import get_part, newest_revision
from mes.statement import Clause, Prepared


class LotExists(Conflict):
    """Lot {lot} was received before. Give the new receipt a number of its own."""


class NotTracedByLot(Conflict):
    """Part {part} is traced by {trace}: {instead}."""


# A clause of the statement that records a cycle. What is used is open: its pot life runs. Below zero too: what was used
# was used. The caller holds the locks.
USE_UP = Clause(
    """
    used AS (
        UPDATE lot SET quantity_left = quantity_left - u.quantity,
               opened_at = CASE WHEN p.pot_life_min IS NULL THEN opened_at ELSE coalesce(opened_at, :at) END
        FROM unnest(:used_lots, :used_quantities) AS u (id, quantity), part p
        WHERE lot.id = u.id AND p.id = lot.part_id)
    """,
    {"used_lots": ARRAY(BigInteger), "used_quantities": ARRAY(Numeric)},
)
_MOVE = Prepared(
    text("UPDATE lot SET state = :state WHERE id = :id").bindparams(
        bindparam("state", type_=Text), bindparam("id", type_=BigInteger)
    )
)


_PLACE = Prepared(
    text("UPDATE lot SET location = :location WHERE id = :id").bindparams(
        bindparam("location", type_=Text), bindparam("id", type_=BigInteger)
    )
)


async def open_lot(session: Session, lot_id: int) -> bool:
    """Start a locked lot's pot life; False: it was opened before."""
    opened = update(Lot).where(Lot.id == lot_id, Lot.opened_at.is_(None)).values(opened_at=session.at)
    return bool((await session.execute(opened)).rowcount)


async def place(session: Session, lot_id: int, location: str) -> None:
    """Note where a locked lot is kept."""
    await session.run(_PLACE, id=lot_id, location=location)


async def receive_lot(session: Session, message: LotReceipt) -> int:
    """Receive a lot of a lot-traced part; its id. Quarantined until its part's route, if there is one, has passed."""
    part = await get_part(session, message.part)
    if part.trace != "lot":
        instead = "receive it with its file of serials" if part.trace == "serial" else "it needs no receipt"
        raise NotTracedByLot(part=part.number, trace=part.trace, instead=instead)
    return await add_lot(session, message, part.id)


async def add_lot(session: Session, message: LotReceipt, part_id: int) -> int:
    """Store the lot and its documents; its id."""
    if (await session.execute(select(Lot.id).where(Lot.number == message.lot))).first():
        raise LotExists(lot=message.lot)
    revision_id = await newest_revision(session, part_id)
    values = {
        "number": message.lot,
        "part_id": part_id,
        "revision_id": revision_id,
        "state": State.QUARANTINED if revision_id else State.RELEASED,
        "supplier": message.supplier,
        "supplier_lot": message.supplier_lot,
        "quantity": message.quantity,
        "quantity_left": message.quantity,
        "country": message.country,
        "received_at": session.at,
        "expires_on": message.expires_on,
        "date_code": message.date_code,
    }
    lot_id: int = (await session.execute(insert(Lot).values(values).returning(Lot.id))).scalar_one()
    if message.documents:
        rows = [(d, b64decode(d.content)) for d in message.documents]
        documents = [
            {
                "lot_id": lot_id,
                "kind": d.kind,
                "file_name": d.file_name,
                "digest": hashlib.sha256(content).hexdigest(),
                "content": content,
            }
            for d, content in rows
        ]
        await session.execute(insert(LotDocument), documents)
    session.tell("lot", lot=message.lot, state=values["state"])
    return lot_id


def to_use_up(quantities: Mapping[int, Decimal]) -> dict[str, Any]:
    """Give USE_UP its parameters: what was used, by lot id."""
    return {"used_lots": list(quantities), "used_quantities": list(quantities.values())}


async def inspect(session: Session, lot: LotRow, event: Event) -> State:
    """Move a locked lot on by what its receiving inspection found."""
    state = NEXT[State(lot.state), event]
    if state != lot.state:
        await session.run(_MOVE, id=lot.id, state=state.value)
    return state
