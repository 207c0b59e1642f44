"""Creates work orders, releases them with their serial numbers, moves them on."""

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import BigInteger, bindparam, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from mes.db import Session
from mes.errors import Conflict
from mes.orders.messages import OrderAnswer, OrderEvent, OrderRequest
from mes.orders.models import OrderRevision, SerialCounter, WorkOrder
from mes.orders.queries import get_order, lock_order
from mes.orders.rules import NEXT, Event, State, serial_prefix
from mes.products.models import Part
from mes.products.queries import get_part, get_plan, made_parts
from mes.statement import Prepared
from mes.units import service as units


class OrderExists(Conflict):
    """Order {order} exists already. Orders are never renumbered; choose another number."""


class NotMadeHere(Conflict):
    """Part {part} has no released revision with a route and a serial pattern, so it can't be ordered."""


class EventRefused(Conflict):
    """Order {order} is {state}: it can't {event}."""


_COUNT_FINISHED = Prepared(
    text(
        """
        UPDATE work_order SET finished = finished + 1,
               state = CASE WHEN finished + 1 = quantity AND state IN ('released', 'started', 'on_hold')
                            THEN 'completed' ELSE state END
        WHERE id = :order_id AND part_id = :part_id RETURNING state, number
        """
    ).bindparams(bindparam("order_id", type_=BigInteger), bindparam("part_id", type_=BigInteger))
)
_COUNT_UNFINISHED = Prepared(
    text(
        """
        UPDATE work_order SET finished = finished - 1,
               state = CASE WHEN state = 'completed' THEN 'started' ELSE state END
        WHERE id = :order_id AND part_id = :part_id
        """
    ).bindparams(bindparam("order_id", type_=BigInteger), bindparam("part_id", type_=BigInteger))
)
_START = Prepared(
    text("UPDATE work_order SET state = 'started' WHERE id = :order_id AND state = 'released'").bindparams(
        bindparam("order_id", type_=BigInteger)
    )
)


async def create_order(session: Session, message: OrderRequest) -> OrderAnswer:
    """Create an order; nothing is issued before it is released."""
    part = await get_part(session, message.part)
    if part.id not in await made_parts(session, part.id):
        raise NotMadeHere(part=part.number)
    values = {
        "number": message.order,
        "part_id": part.id,
        "quantity": message.quantity,
        "finished": 0,
        "state": State.CREATED,
        "priority": message.priority,
        "due": message.due,
        "erp_reference": message.erp_reference,
        "created_at": session.at,
    }
    statement = upsert(WorkOrder).values(values).on_conflict_do_nothing(index_elements=["number"])
    if (await session.execute(statement.returning(WorkOrder.id))).first() is None:
        raise OrderExists(order=message.order)
    return await get_order(session, message.order)


async def move_order(session: Session, message: OrderEvent) -> OrderAnswer:
    """Release, start, hold, resume, complete, close or cancel an order. Its release issues all serial numbers."""
    order_id, part_id, quantity, state = await lock_order(session, message.order)
    event = Event(message.event)
    following = NEXT[State(state), event]
    if following is None:
        raise EventRefused(order=message.order, state=state.replace("_", " "), event=message.event)
    if event is Event.RELEASE:
        await _release(session, order_id, part_id, quantity)
    await session.execute(update(WorkOrder).where(WorkOrder.id == order_id).values(state=following))
    session.tell("order", order=message.order, state=following)
    return await get_order(session, message.order)


async def _release(session: Session, order_id: int, part_id: int, quantity: int) -> None:
    pins = await made_parts(session, part_id)
    rows = [{"order_id": order_id, "part_id": part, "revision_id": revision} for part, revision in pins.items()]
    await session.execute(insert(OrderRevision), rows)
    needed = await _quantities(session, part_id, pins)
    patterns = await session.execute(select(Part.id, Part.serial_pattern).where(Part.id.in_(pins)).order_by(Part.id))
    for row in patterns.all():
        made_id, pattern = row.id, row.serial_pattern or ""
        if not needed[made_id]:
            continue  # an alternate: its revision is pinned, and it is ordered on its own
        issued = await issue_serials(session, pattern, needed[made_id] * quantity)
        await units.issue(session, issued, part_id=made_id, order_id=order_id, revision_id=pins[made_id])


async def _quantities(session: Session, part_id: int, pins: Mapping[int, int]) -> Counter[int]:
    """How many of each made part one piece of the ordered part needs, itself and its sub-assemblies."""
    needed = Counter({part_id: 1})
    plan = await get_plan(session, pins[part_id])
    for item in plan.bom:
        if item.part_id in pins:
            for inner, count in (await _quantities(session, item.part_id, pins)).items():
                needed[inner] += count * int(item.quantity)
    return needed


async def issue_serials(session: Session, pattern: str, count: int) -> list[str]:
    """Draw serial numbers: one statement however many, none given twice. A gap can't arise: the counter rolls back."""
    prefix, digits = serial_prefix(pattern, session.at.date())
    statement = upsert(SerialCounter).values(prefix=prefix, last=count)
    statement = statement.on_conflict_do_update(index_elements=["prefix"], set_={"last": SerialCounter.last + count})
    last: int = (await session.execute(statement.returning(SerialCounter.last))).scalar_one()
    return [f"{prefix}{number:0{digits}}" for number in range(last - count + 1, last + 1)]


async def start(session: Session, order_id: int) -> None:
    """Note that work on a released order has begun."""
    await session.run(_START, order_id=order_id)


async def count_unfinished(session: Session, order_id: int, part_id: int) -> None:
    """Take back a finished unit of the order's own part: it is reworked or scrapped. A complete order is open again."""
    await session.run(_COUNT_UNFINISHED, order_id=order_id, part_id=part_id)


async def count_finished(session: Session, order_id: int, part_id: int) -> None:
    """Count a finished unit of the order's own part; the last one completes the order."""
    rows = await session.run(_COUNT_FINISHED, order_id=order_id, part_id=part_id)
    if rows and rows[0]["state"] == State.COMPLETED:
        session.tell("order", order=rows[0]["number"], state=State.COMPLETED)
