"""Fits and removes components; called by the acts above."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Numeric, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import Session
from mes.statement import Clause, Prepared


@dataclass(frozen=True, slots=True)
class Fit:
    """One edge to add: a unit at a position (with its lot), or a quantity of a lot."""

    part_id: int
    child_id: int | None
    lot_id: int | None
    position: int | None
    quantity: Decimal


# A clause of the statement that records a cycle; `recorded` gives its id. The caller holds the locks. Never before what
# was in the place, or the unit's own last place, ended: a clock may have been set back.
INSTALL = Clause(
    """
    installed AS (
        INSERT INTO installation (parent_id, child_id, lot_id, part_id, position, quantity, cycle_id, installed_at)
        SELECT :parent_id, f.child_id, f.lot_id, f.part_id, f.position, f.quantity, recorded.id, greatest(:at,
               (SELECT max(o.removed_at) FROM installation o
                WHERE o.child_id = f.child_id AND o.removed_at IS NOT NULL),
               (SELECT max(o.removed_at) FROM installation o WHERE o.parent_id = :parent_id AND o.part_id = f.part_id
                AND o.position = f.position AND o.removed_at IS NOT NULL))
        FROM recorded, unnest(:fit_children, :fit_lots, :fit_parts, :fit_positions, :fit_quantities)
             AS f (child_id, lot_id, part_id, position, quantity))
    """,
    {
        "parent_id": BigInteger(),
        "fit_children": ARRAY(BigInteger),
        "fit_lots": ARRAY(BigInteger),
        "fit_parts": ARRAY(BigInteger),
        "fit_positions": ARRAY(BigInteger),
        "fit_quantities": ARRAY(Numeric),
    },
)
# The cycle that takes parts out is written after it: its number is drawn here.
_REMOVE = Prepared(
    text(
        """
        WITH drawn AS MATERIALIZED (SELECT nextval('cycle_id_seq') AS id)
        UPDATE installation SET removed_at = greatest(:at, installed_at), removed_cycle_id = drawn.id FROM drawn
        WHERE parent_id = :parent_id AND child_id = ANY(:child_ids) AND removed_at IS NULL
        RETURNING drawn.id AS cycle_id
        """
    ).bindparams(bindparam("parent_id", type_=BigInteger), bindparam("child_ids", type_=ARRAY(BigInteger)))
)


def to_install(parent_id: int | None, fits: Sequence[Fit]) -> dict[str, Any]:
    """Give INSTALL its parameters."""
    return {
        "parent_id": parent_id,
        "fit_children": [fit.child_id for fit in fits],
        "fit_lots": [fit.lot_id for fit in fits],
        "fit_parts": [fit.part_id for fit in fits],
        "fit_positions": [fit.position for fit in fits],
        "fit_quantities": [fit.quantity for fit in fits],
    }


async def remove(session: Session, parent_id: int, child_ids: Sequence[int]) -> int:
    """Close the edges of these children, their history stays; the id of the cycle that is to record it."""
    rows = await session.run(_REMOVE, parent_id=parent_id, child_ids=child_ids)
    return int(rows[0]["cycle_id"])
