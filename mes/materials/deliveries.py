"""Deliveries: what a supplier has announced, the cartons that arrive of it, and what is missing in the end."""

import json
from collections.abc import Sequence

from sqlalchemy import insert, text, update

from mes.db import ReadSession, Session
from mes.errors import Conflict, Malformed, NotFound
from mes.materials.messages import (
    CartonAnswer,
    CartonArrival,
    CartonLine,
    DeliveryAnswer,
    DeliveryClosing,
    DeliveryNotice,
)
from mes.materials.models import Carton, Delivery
from mes.materials.queries import awaited_cartons, known_cartons, lock_carton, lock_delivery, read_delivery
from mes.products.queries import get_part
from mes.statement import Prepared


class DeliveryExists(Conflict):
    """Delivery {delivery} was announced before. A corrected notice gets a number of its own."""


class DeliveryClosed(Conflict):
    """Delivery {delivery} was closed at {at}: what arrives after that is announced anew."""


class CartonUnknown(NotFound):
    """Carton {code} is in no notice. Read again, or announce the delivery it came with; {waiting} are still awaited."""


class CartonArrived(Conflict):
    """Carton {code} was scanned at {at} already, by {by}."""


_CARTONS = Prepared(
    text(
        """
        INSERT INTO carton (code, delivery_id, part_id, supplier_lot, quantity)
        SELECT r.code, r.delivery_id, p.id, r.supplier_lot, r.quantity
        FROM jsonb_to_recordset(CAST(:rows AS jsonb))
             AS r (code text, delivery_id bigint, part text, supplier_lot text, quantity numeric)
        JOIN part p ON p.number = r.part
        """
    )
)


async def announce_delivery(session: Session, message: DeliveryNotice) -> DeliveryAnswer:
    """Take an advance notice, whole or not at all."""
    if await lock_delivery(session, message.delivery) is not None:
        raise DeliveryExists(delivery=message.delivery)
    for part in sorted({carton.part for carton in message.cartons}):
        await get_part(session, part)
    if wrong := await _wrong_cartons(session, message.cartons):
        raise Malformed(f"Notice {message.delivery}", wrong)
    values = {
        "number": message.delivery,
        "supplier": message.supplier,
        "file_name": message.file_name,
        "digest": message.file_digest,
        "announced_at": session.at,
    }
    delivery_id = (await session.execute(insert(Delivery).values(values).returning(Delivery.id))).scalar_one()
    rows = [carton.model_dump(mode="json") | {"delivery_id": delivery_id} for carton in message.cartons]
    await session.run(_CARTONS, rows=json.dumps(rows))
    session.tell("delivery", delivery=message.delivery)
    return await read_delivery(session, message.delivery)


async def _wrong_cartons(session: Session, cartons: Sequence[CartonLine]) -> list[dict[str, str]]:
    known, seen, wrong = await known_cartons(session, [carton.code for carton in cartons]), set(), []
    for n, carton in enumerate(cartons, start=1):
        if carton.code in known:
            expected = f"a carton that no notice has named; {known[carton.code]} has"
            wrong.append({"at": f"carton {n}", "read": carton.code, "expected": expected})
        elif carton.code in seen:
            wrong.append({"at": f"carton {n}", "read": carton.code, "expected": "each carton once"})
        seen.add(carton.code)
    return wrong[:200]


async def scan_carton(session: Session, message: CartonArrival) -> CartonAnswer:
    """Note that a carton has arrived; of a damaged one no cell is put into a kit."""
    found = await lock_carton(session, message.code)
    if found is None:
        raise CartonUnknown(code=message.code, waiting=await _waiting(session))
    if found.arrived_at is not None:
        raise CartonArrived(code=found.code, at=f"{found.arrived_at:%Y-%m-%d %H:%M}", by=found.arrived_by)
    if found.closed_at is not None:
        raise DeliveryClosed(delivery=found.delivery, at=f"{found.closed_at:%Y-%m-%d %H:%M}")
    arrived = {"arrived_at": session.at, "arrived_by": session.actor.name}
    arrived |= {"is_damaged": message.is_damaged, "note": message.note}
    await session.execute(update(Carton).where(Carton.id == found.id).values(arrived))
    session.tell("delivery", delivery=found.delivery, carton=found.code)
    delivery = await read_delivery(session, found.delivery)
    return CartonAnswer(
        code=found.code,
        delivery=found.delivery,
        part=found.part,
        supplier_lot=found.supplier_lot,
        quantity=float(found.quantity),
        arrived=delivery.arrived,
        awaited=delivery.awaited,
    )


async def _waiting(session: ReadSession) -> str:
    number = await awaited_cartons(session)
    return f"{number} carton{'s' if number != 1 else ''}"


async def close_delivery(session: Session, message: DeliveryClosing) -> DeliveryAnswer:
    """Close a delivery: what hasn't arrived is a short receipt, and said to be one."""
    found = await lock_delivery(session, message.delivery)
    if found is None:
        raise NotFound(kind="delivery", name=message.delivery)
    if found.closed_at is not None:
        raise DeliveryClosed(delivery=message.delivery, at=f"{found.closed_at:%Y-%m-%d %H:%M}")
    closing = {"closed_at": session.at, "closed_by": session.actor.name}
    await session.execute(update(Delivery).where(Delivery.id == found.id).values(closing))
    session.tell("delivery", delivery=message.delivery)
    return await read_delivery(session, message.delivery)
