"""Receives lots, counts them down, releases them."""

import hashlib
from base64 import b64decode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Numeric, Text, bindparam, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import Session
from mes.errors import Conflict
from mes.materials.messages import Document, DocumentReceipt, LotAnswer, LotReceipt
from mes.materials.models import Lot, LotDocument, LotLineage
from mes.materials.queries import LotRow, WholeLot, describe_lot, get_lot
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
        await _keep(session, lot_id, message.documents)
    session.tell("lot", lot=message.lot, state=values["state"])
    return lot_id


async def derive_lot(session: Session, number: str, parts: Sequence[tuple[WholeLot, Decimal]], reason: str) -> int:
    """Make a lot of quantities of locked ones; its id. It expires, and its pot life ends, with the first of them."""
    if (await session.execute(select(Lot.id).where(Lot.number == number))).first():
        raise LotExists(lot=number)
    lots = [lot for lot, _ in parts]
    first = lots[0]
    values = {name: getattr(first, name) for name in ("part_id", "revision_id", "supplier", "country", "location")}
    quantity = sum((quantity for _, quantity in parts), Decimal(0))
    values |= {
        "number": number,
        "state": max((State(lot.state) for lot in lots), key=[State.RELEASED, State.QUARANTINED, State.REJECTED].index),
        "supplier_lot": ", ".join(dict.fromkeys(lot.supplier_lot for lot in lots))[:200],
        "date_code": first.date_code if len({lot.date_code for lot in lots}) == 1 else None,
        "quantity": quantity,
        "quantity_left": quantity,
        "received_at": session.at,
        "expires_on": min((lot.expires_on for lot in lots if lot.expires_on), default=None),
        "opened_at": min((lot.opened_at for lot in lots if lot.opened_at), default=None),
    }
    lot_id: int = (await session.execute(insert(Lot).values(values).returning(Lot.id))).scalar_one()
    shared = {"lot_id": lot_id, "reason": reason, "at": session.at, "done_by": session.actor.name}
    rows = [shared | {"from_lot_id": lot.id, "quantity": quantity} for lot, quantity in parts]
    await session.execute(insert(LotLineage), rows)
    for lot, quantity in parts:
        left = update(Lot).where(Lot.id == lot.id).values(quantity_left=Lot.quantity_left - quantity)
        await session.execute(left)
    return lot_id


async def add_documents(session: Session, message: DocumentReceipt) -> LotAnswer:
    """Keep documents that came after their lot, each with its hash."""
    lot = await get_lot(session, message.lot)
    await _keep(session, lot.id, message.documents)
    session.tell("lot", lot=message.lot, documents=len(message.documents))
    return await describe_lot(session, message.lot)


async def _keep(session: Session, lot_id: int, documents: Sequence[Document]) -> None:
    rows = [(d, b64decode(d.content)) for d in documents]
    kept = [
        {
            "lot_id": lot_id,
            "kind": d.kind,
            "file_name": d.file_name,
            "digest": hashlib.sha256(content).hexdigest(),
            "content": content,
        }
        for d, content in rows
    ]
    await session.execute(insert(LotDocument), kept)


def to_use_up(quantities: Mapping[int, Decimal]) -> dict[str, Any]:
    """Give USE_UP its parameters: what was used, by lot id."""
    return {"used_lots": list(quantities), "used_quantities": list(quantities.values())}


async def inspect(session: Session, lot: LotRow, event: Event) -> State:
    """Move a locked lot on by what its receiving inspection found."""
    state = NEXT[State(lot.state), event]
    if state != lot.state:
        await session.run(_MOVE, id=lot.id, state=state.value)
    return state
