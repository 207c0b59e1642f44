"""Reads of holds, and the locks on them."""

from sqlalchemy import select

from mes.db import ReadSession, Session
from mes.materials.models import Lot
from mes.quality.messages import HoldAnswer
from mes.quality.models import Hold
from mes.units.models import Unit

# The unit :unit_id and whatever it is in, locked in id order; a hold is opened on each in the same statement.
LOCKED_ABOVE = """
        WITH RECURSIVE above AS (
            SELECT CAST(:unit_id AS bigint) AS id
            UNION SELECT i.parent_id FROM installation i JOIN above a ON i.child_id = a.id WHERE i.removed_at IS NULL),
        locked AS MATERIALIZED (
            SELECT id FROM unit WHERE id IN (SELECT id FROM above) ORDER BY id FOR NO KEY UPDATE)
"""


async def lock_open_holds(session: Session, *, containment: int | None = None, hold: int | None = None) -> list[int]:
    """Lock the open holds of a containment, or one hold; their ids."""
    chosen = Hold.containment_id == containment if containment is not None else Hold.id == hold
    statement = select(Hold.id).where(chosen, Hold.released_at.is_(None)).order_by(Hold.id).with_for_update()
    return list((await session.execute(statement)).scalars())


async def holds(
    session: ReadSession, *, serial: str | None = None, open_only: bool = True, limit: int = 500
) -> list[HoldAnswer]:
    """List holds, newest first, of one unit or of all."""
    columns = (
        Hold.id.label("hold"),
        Hold.containment_id.label("containment"),
        Unit.serial,
        Lot.number.label("lot"),
        Hold.reason,
        Hold.opened_at,
        Hold.opened_by,
        Hold.released_at,
        Hold.released_by,
        Hold.release_reason,
    )
    joined = select(*columns).outerjoin(Unit, Unit.id == Hold.unit_id).outerjoin(Lot, Lot.id == Hold.lot_id)
    statement = joined.order_by(Hold.id.desc()).limit(limit)
    if open_only:
        statement = statement.where(Hold.released_at.is_(None))
    if serial is not None:
        statement = statement.where(Unit.serial == serial)
    return [HoldAnswer(**row) for row in (await session.execute(statement)).mappings()]
