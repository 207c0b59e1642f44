"""Fits and removes components; called by the acts above."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import BigInteger, Numeric, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import Prepared, Session


@dataclass(frozen=True, slots=True)
class Fit:
    """One edge to add: a unit at a position (with its lot), or a quantity of a lot."""

    part_id: int
    child_id: int | None
    lot_id: int | None
    position: int | None
    quantity: Decimal


_INSTALL = Prepared(
    text(
        """
        INSERT INTO installation (parent_id, child_id, lot_id, part_id, position, quantity, cycle_id, installed_at)
        SELECT :parent_id, f.child_id, f.lot_id, f.part_id, f.position, f.quantity, :cycle_id, :at
        FROM unnest(:child_ids, :lot_ids, :part_ids, :positions, :quantities)
             AS f (child_id, lot_id, part_id, position, quantity)
        """
    ).bindparams(
        bindparam("parent_id", type_=BigInteger),
        bindparam("cycle_id", type_=BigInteger),
        bindparam("child_ids", type_=ARRAY(BigInteger)),
        bindparam("lot_ids", type_=ARRAY(BigInteger)),
        bindparam("part_ids", type_=ARRAY(BigInteger)),
        bindparam("positions", type_=ARRAY(BigInteger)),
        bindparam("quantities", type_=ARRAY(Numeric)),
    )
)
_REMOVE = Prepared(
    text(
        """
        UPDATE installation SET removed_at = :at, removed_cycle_id = :cycle_id
        WHERE parent_id = :parent_id AND child_id = ANY(:child_ids) AND removed_at IS NULL
        """
    ).bindparams(
        bindparam("parent_id", type_=BigInteger),
        bindparam("cycle_id", type_=BigInteger),
        bindparam("child_ids", type_=ARRAY(BigInteger)),
    )
)


async def install(session: Session, parent_id: int, cycle_id: int, fits: Sequence[Fit]) -> None:
    """Add edges, one statement however many. The caller holds the locks on parent and children."""
    await session.run(
        _INSTALL,
        parent_id=parent_id,
        cycle_id=cycle_id,
        at=session.at,
        child_ids=[fit.child_id for fit in fits],
        lot_ids=[fit.lot_id for fit in fits],
        part_ids=[fit.part_id for fit in fits],
        positions=[fit.position for fit in fits],
        quantities=[fit.quantity for fit in fits],
    )


async def remove(session: Session, parent_id: int, cycle_id: int, child_ids: Sequence[int]) -> None:
    """Close the edges of these children; their history stays."""
    await session.run(_REMOVE, parent_id=parent_id, cycle_id=cycle_id, child_ids=child_ids, at=session.at)
