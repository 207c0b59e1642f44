"""Reads of lots, and the locks on them."""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Text, bindparam, select, text

from mes.db import ReadSession, Session
from mes.errors import NotFound
from mes.materials.messages import LotAnswer
from mes.materials.models import Lot
from mes.statement import Prepared


@dataclass(frozen=True, slots=True)
class LotRow:
    """A lot as it stands."""

    id: int
    number: str
    part_id: int
    revision_id: int | None
    state: str
    quantity_left: Decimal


async def lock_lot_whole(session: Session, number: str) -> LotRow:
    """Lock one lot against everything that could use it, or raise NotFound."""
    columns = (Lot.id, Lot.number, Lot.part_id, Lot.revision_id, Lot.state, Lot.quantity_left)
    row = (await session.execute(select(*columns).where(Lot.number == number).with_for_update())).one_or_none()
    if row is None:
        raise NotFound(kind="lot", name=number)
    return LotRow(**row._mapping)


async def get_lot(session: ReadSession, number: str) -> LotRow:
    """Read one lot, or raise NotFound."""
    columns = (Lot.id, Lot.number, Lot.part_id, Lot.revision_id, Lot.state, Lot.quantity_left)
    row = (await session.execute(select(*columns).where(Lot.number == number))).one_or_none()
    if row is None:
        raise NotFound(kind="lot", name=number)
    return LotRow(**row._mapping)


_DESCRIBE = Prepared(
    text(
        """
        SELECT l.number, p.number AS part, l.state, l.supplier, l.supplier_lot, l.country, l.quantity,
               l.quantity_left, l.received_at, l.expires_on, l.date_code, l.opened_at, l.location,
               (SELECT count(*) FROM unit u WHERE u.lot_id = l.id) AS units
        FROM lot l JOIN part p ON p.id = l.part_id WHERE l.number = :number
        """
    ).bindparams(bindparam("number", type_=Text))
)


async def describe_lot(session: ReadSession, number: str) -> LotAnswer:
    """Read a lot for people, or raise NotFound."""
    rows = await session.run(_DESCRIBE, number=number)
    if not rows:
        raise NotFound(kind="lot", name=number)
    row = rows[0]
    return LotAnswer(
        lot=row["number"],
        part=row["part"],
        state=row["state"],
        supplier=row["supplier"],
        supplier_lot=row["supplier_lot"],
        country=row["country"],
        quantity=float(row["quantity"]),
        left=float(row["quantity_left"]),
        received_at=row["received_at"],
        units=row["units"],
        expires_on=row["expires_on"],
        date_code=row["date_code"],
        opened_at=row["opened_at"],
        location=row["location"],
    )
