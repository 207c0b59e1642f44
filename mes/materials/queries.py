"""Reads of lots, and the locks on them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Text, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession, Session
from mes.errors import NotFound
from mes.materials.messages import DeliveryAnswer, DocumentAnswer, LineageAnswer, LotAnswer, LotBalance
from mes.materials.models import Carton, Delivery, Lot
from mes.products.models import Part
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


@dataclass(frozen=True, slots=True)
class WholeLot:
    """A lot with all that a lot derived from it takes over."""

    id: int
    number: str
    part: str
    trace: str
    part_id: int
    revision_id: int | None
    state: str
    supplier: str
    supplier_lot: str
    country: str
    quantity_left: Decimal
    expires_on: date | None
    date_code: str | None
    opened_at: datetime | None
    location: str | None


async def lock_lots(session: Session, numbers: Sequence[str]) -> list[WholeLot]:
    """Lock lots against everything that could use them, in id order; NotFound names one that isn't there."""
    kept = [name for name in WholeLot.__dataclass_fields__ if name not in {"part", "trace"}]
    columns = [getattr(Lot, name) for name in kept]
    found = select(*columns, Part.number.label("part"), Part.trace).join(Part, Part.id == Lot.part_id)
    found = found.where(Lot.number.in_(numbers)).order_by(Lot.id).with_for_update(of=Lot)
    lots = [WholeLot(**row) for row in (await session.execute(found)).mappings()]
    if missing := set(numbers) - {lot.number for lot in lots}:
        raise NotFound(kind="lot", name=", ".join(sorted(missing)))
    return lots


async def lock_lots_from(session: Session, number: str) -> list[int]:
    """Lock a lot and every lot that came from it against everything that could use them, or raise NotFound."""
    lot = await get_lot(session, number)
    locked: list[int] = []
    while (found := await derived_lots(session, [lot.id])) != locked:  # until none was split off meanwhile
        await session.execute(select(Lot.id).where(Lot.id.in_(found)).order_by(Lot.id).with_for_update())
        locked = found
    return locked


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
               (SELECT count(*) FROM unit u WHERE u.lot_id = l.id) AS units,
               (SELECT coalesce(json_agg(json_build_array(d.kind, d.file_name, d.digest) ORDER BY d.id), '[]')::text
                FROM lot_document d WHERE d.lot_id = l.id) AS documents
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
        documents=[DocumentAnswer(kind=d[0], file_name=d[1], digest=d[2]) for d in json.loads(row["documents"])],
    )


@dataclass(frozen=True, slots=True)
class CartonRow:
    """A carton with its delivery."""

    id: int
    code: str
    delivery: str
    part: str
    supplier_lot: str
    quantity: Decimal
    arrived_at: datetime | None
    arrived_by: str | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery as it stands."""

    id: int
    closed_at: datetime | None


_LOCK_CARTON = Prepared(
    text(
        """
        SELECT c.id, c.code, d.number AS delivery, p.number AS part, c.supplier_lot, c.quantity, c.arrived_at,
               c.arrived_by, d.closed_at
        FROM carton c JOIN delivery d ON d.id = c.delivery_id JOIN part p ON p.id = c.part_id
        WHERE c.code = :code ORDER BY c.id FOR UPDATE OF c FOR SHARE OF d
        """
    ).bindparams(bindparam("code", type_=Text))
)
_DELIVERY = Prepared(
    text(
        r"""
        SELECT d.number AS delivery, d.supplier, d.announced_at, d.closed_at,
               count(c.arrived_at) AS arrived, count(*) - count(c.arrived_at) AS awaited,
               coalesce(array_agg(c.code ORDER BY c.code) FILTER (WHERE c.is_damaged), '{}') AS damaged,
               coalesce((array_agg(c.code ORDER BY c.code) FILTER (WHERE c.arrived_at IS NULL))[1\:100], '{}')
                   AS missing
        FROM delivery d JOIN carton c ON c.delivery_id = d.id WHERE d.number = :number GROUP BY d.id
        """
    ).bindparams(bindparam("number", type_=Text))
)
_BALANCES = Prepared(
    text(
        """
        SELECT p.number AS part, c.supplier_lot, sum(c.quantity) AS announced,
               coalesce(sum(c.quantity) FILTER (WHERE c.arrived_at IS NOT NULL), 0) AS arrived,
               coalesce((SELECT sum(l.quantity) FROM lot l
                         WHERE l.part_id = c.part_id AND l.supplier = d.supplier AND l.supplier_lot = c.supplier_lot
                           AND NOT EXISTS (SELECT FROM lot_lineage y WHERE y.lot_id = l.id)), 0) AS received
        FROM delivery d JOIN carton c ON c.delivery_id = d.id JOIN part p ON p.id = c.part_id
        WHERE d.number = :number GROUP BY d.supplier, c.part_id, p.number, c.supplier_lot
        ORDER BY p.number, c.supplier_lot
        """
    ).bindparams(bindparam("number", type_=Text))
)
_LINEAGE = Prepared(
    text(
        """
        SELECT l.number AS lot, f.number AS from_lot, y.quantity, y.reason, y.at, y.done_by
        FROM lot_lineage y JOIN lot l ON l.id = y.lot_id JOIN lot f ON f.id = y.from_lot_id
        WHERE l.number = :number OR f.number = :number ORDER BY y.id
        """
    ).bindparams(bindparam("number", type_=Text))
)
_DERIVED = Prepared(
    text(
        """
        WITH RECURSIVE derived AS (
            SELECT unnest(:lots) AS id
            UNION SELECT y.lot_id FROM lot_lineage y JOIN derived d ON y.from_lot_id = d.id)
        SELECT id FROM derived ORDER BY id
        """
    ).bindparams(bindparam("lots", type_=ARRAY(BigInteger)))
)


async def lock_carton(session: Session, code: str) -> CartonRow | None:
    """Lock a carton, and its delivery against being closed; None: no notice names it."""
    rows = await session.run(_LOCK_CARTON, code=code)
    return CartonRow(**rows[0]) if rows else None


async def lock_delivery(session: Session, number: str) -> DeliveryRow | None:
    """Lock a delivery; None: there is none of this number."""
    found = select(Delivery.id, Delivery.closed_at).where(Delivery.number == number).with_for_update()
    row = (await session.execute(found)).one_or_none()
    return DeliveryRow(**row._mapping) if row else None


async def known_cartons(session: ReadSession, codes: Sequence[str]) -> dict[str, str]:
    """Those of these cartons that a notice has named already, with its number."""
    found = select(Carton.code, Delivery.number).join(Delivery, Delivery.id == Carton.delivery_id)
    return {row.code: row.number for row in await session.execute(found.where(Carton.code.in_(codes)))}


async def awaited_cartons(session: ReadSession) -> int:
    """How many cartons of open deliveries haven't arrived."""
    found = select(func.count()).select_from(Carton).join(Delivery, Delivery.id == Carton.delivery_id)
    statement = found.where(Carton.arrived_at.is_(None), Delivery.closed_at.is_(None))
    number: int = (await session.execute(statement)).scalar_one()
    return number


async def read_delivery(session: ReadSession, number: str) -> DeliveryAnswer:
    """Read a delivery for people, or raise NotFound."""
    rows = await session.run(_DELIVERY, number=number)
    if not rows:
        raise NotFound(kind="delivery", name=number)
    lots = [
        LotBalance(**{name: float(v) if isinstance(v, Decimal) else v for name, v in row.items()})
        for row in await session.run(_BALANCES, number=number)
    ]
    return DeliveryAnswer(**rows[0], lots=lots)


async def lineage(session: ReadSession, number: str) -> list[LineageAnswer]:
    """What a lot came from, and what came from it."""
    rows = await session.run(_LINEAGE, number=number)
    return [LineageAnswer(**{**row, "quantity": float(row["quantity"])}) for row in rows]


async def derived_lots(session: ReadSession, lots: Sequence[int]) -> list[int]:
    """These lots and every lot that anything of them was split off or put into."""
    return [row["id"] for row in await session.run(_DERIVED, lots=list(lots))]
