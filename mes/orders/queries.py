"""Reads of work orders, and the locks on them."""

from collections.abc import Sequence

from sqlalchemy import func, select

from mes.db import ReadSession, Session
from mes.errors import NotFound
from mes.orders.messages import OrderAnswer, SerialsAnswer
from mes.orders.models import OrderRevision, WorkOrder
from mes.products.models import Part, ProductRevision
from mes.units.models import Unit


async def lock_order(session: Session, number: str) -> tuple[int, int, int, str]:
    """Lock an order: (id, part id, quantity, state), or raise NotFound."""
    columns = (WorkOrder.id, WorkOrder.part_id, WorkOrder.quantity, WorkOrder.state)
    found = await session.execute(select(*columns).where(WorkOrder.number == number).with_for_update())
    row = found.one_or_none()
    if row is None:
        raise NotFound(kind="work order", name=number)
    return row.id, row.part_id, row.quantity, row.state


async def find_orders(session: ReadSession, number: str | None = None, limit: int = 500) -> Sequence[OrderAnswer]:
    """List orders, the most urgent first; or the one of this number."""
    pins = (
        select(func.jsonb_object_agg(Part.number, ProductRevision.revision))
        .select_from(OrderRevision)
        .join(ProductRevision, ProductRevision.id == OrderRevision.revision_id)
        .join(Part, Part.id == OrderRevision.part_id, isouter=False)
        .where(OrderRevision.order_id == WorkOrder.id)
        .correlate(WorkOrder)
        .scalar_subquery()
    )
    made = select(Part.number).where(Part.id == WorkOrder.part_id).correlate(WorkOrder).scalar_subquery()
    statement = (
        select(
            WorkOrder.number.label("order"),
            made.label("part"),
            WorkOrder.quantity,
            WorkOrder.finished,
            WorkOrder.state,
            WorkOrder.priority,
            WorkOrder.due,
            WorkOrder.erp_reference,
            pins.label("revisions"),
        )
        .order_by(WorkOrder.priority, WorkOrder.due.nulls_last(), WorkOrder.id)
        .limit(limit)
    )
    if number is not None:
        statement = statement.where(WorkOrder.number == number)
    rows = (await session.execute(statement)).mappings()
    return [OrderAnswer(**dict(row) | {"revisions": row["revisions"] or {}}) for row in rows]


async def get_order(session: ReadSession, number: str) -> OrderAnswer:
    """Read one order, or raise NotFound."""
    found = await find_orders(session, number)
    if not found:
        raise NotFound(kind="work order", name=number)
    return found[0]


async def serials(session: ReadSession, number: str) -> SerialsAnswer:
    """List the serial numbers issued for an order."""
    statement = (
        select(Part.number, func.array_agg(Unit.serial).label("issued"))
        .select_from(Unit)
        .join(WorkOrder, WorkOrder.id == Unit.order_id)
        .join(Part, Part.id == Unit.part_id)
        .where(WorkOrder.number == number)
        .group_by(Part.number)
    )
    rows = await session.execute(statement)
    return SerialsAnswer(order=number, serials={row.number: sorted(row.issued) for row in rows})
