"""Reads of the pool and of kits, and their locks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.cells.matching.pool import PoolCell
from mes.db import ReadSession, Session
from mes.errors import NotFound
from mes.kits.messages import GoalAnswer, KitAnswer, KitCellAnswer, KitContent
from mes.kits.rules import kitted, shape_of
from mes.products.queries import get_plan
from mes.statement import Prepared

POOL_LOTS = 20

# A cell is free when it is in stock, in no other kit, in no unit, under no hold that stops its use, and not in a
# carton that was announced and hasn't arrived, or arrived damaged.
_POOL = Prepared(
    text(
        """
        WITH chosen AS (
            SELECT l.id, l.number, l.supplier FROM lot l
            WHERE l.part_id = :part_id AND l.state = 'released'
              AND (l.number = ANY(:lots) OR (cardinality(:lots) = 0 AND l.id IN (
                  SELECT id FROM lot n WHERE n.part_id = :part_id AND n.state = 'released'
                  ORDER BY n.received_at DESC, n.id DESC LIMIT :newest)))
              AND NOT EXISTS (SELECT FROM hold h
                              WHERE h.lot_id = l.id AND h.released_at IS NULL AND 'consume' = ANY(h.stops)))
        SELECT u.id, g.capacity_ah, g.acir_mohm, l.id AS lot, c.carton, g.grade, l.supplier AS model,
               extract(epoch FROM :at - coalesce(g.tested_at, c.measured_at, u.created_at)) / 86400 AS age_d,
               EXISTS (SELECT FROM kit_cell k WHERE k.unit_id = u.id) AS is_odd
        FROM chosen l JOIN unit u ON u.lot_id = l.id AND u.state = 'received'
        JOIN cell_grade g ON g.unit_id = u.id AND g.ended_at IS NULL AND g.grade IS NOT NULL
        LEFT JOIN cell c ON c.unit_id = u.id LEFT JOIN carton b ON b.code = c.carton
        WHERE (b.id IS NULL OR (b.arrived_at IS NOT NULL AND NOT b.is_damaged))
          AND NOT EXISTS (SELECT FROM installation i WHERE i.child_id = u.id AND i.removed_at IS NULL)
          AND NOT EXISTS (SELECT FROM kit_cell k WHERE k.unit_id = u.id AND k.ended_at IS NULL)
          AND NOT EXISTS (SELECT FROM hold h
                          WHERE h.unit_id = u.id AND h.released_at IS NULL AND 'consume' = ANY(h.stops))
        ORDER BY u.id LIMIT 100000
        """
    ).bindparams(
        bindparam("part_id", type_=BigInteger),
        bindparam("lots", type_=ARRAY(Text)),
        bindparam("newest", type_=BigInteger),
    )
)
_USELESS = Prepared(
    text(
        """
        SELECT l.number, l.state,
               EXISTS (SELECT FROM hold h
                       WHERE h.lot_id = l.id AND h.released_at IS NULL AND 'consume' = ANY(h.stops)) AS is_held,
               EXISTS (SELECT FROM lot_grading g WHERE g.lot_id = l.id)
               OR EXISTS (SELECT FROM lot_lineage y JOIN lot_grading g ON g.lot_id = y.from_lot_id
                          WHERE y.lot_id = l.id) AS is_graded
        FROM lot l
        WHERE l.part_id = :part_id AND (l.number = ANY(:lots) OR (cardinality(:lots) = 0 AND l.id IN (
            SELECT id FROM lot n WHERE n.part_id = :part_id ORDER BY n.received_at DESC, n.id DESC LIMIT :newest)))
        ORDER BY l.id
        """
    ).bindparams(
        bindparam("part_id", type_=BigInteger),
        bindparam("lots", type_=ARRAY(Text)),
        bindparam("newest", type_=BigInteger),
    )
)
_LOCK_MATCHING = Prepared(
    text("SELECT pg_advisory_xact_lock(hashtextextended('matching', :part_id))").bindparams(
        bindparam("part_id", type_=BigInteger)
    )
)
_WAITING = Prepared(
    text(
        """
        SELECT u.id, u.revision_id FROM unit u JOIN work_order o ON o.id = u.order_id
        WHERE o.number = :order AND u.state IN ('issued', 'in_process')
          AND NOT EXISTS (SELECT FROM kit k WHERE k.unit_id = u.id AND k.state <> 'released')
          AND NOT EXISTS (SELECT FROM installation i WHERE i.parent_id = u.id AND i.removed_at IS NULL
                          AND i.child_id IS NOT NULL)
        ORDER BY u.id
        """
    ).bindparams(bindparam("order", type_=Text))
)
_KIT = """
    SELECT k.id, k.number, k.revision_id, k.state, k.unit_id, p.number AS part, u.serial AS unit, k.made_at, k.made_by,
           k.figures::text AS figures
    FROM kit k JOIN product_revision r ON r.id = k.revision_id JOIN part p ON p.id = r.part_id
    LEFT JOIN unit u ON u.id = k.unit_id
"""
_READ = Prepared(text(f"{_KIT} WHERE k.number = :name OR u.serial = :name ORDER BY k.id DESC LIMIT 1"))
_LOCK = Prepared(text(f"{_KIT} WHERE k.number = :name ORDER BY k.id FOR UPDATE OF k"))
_LIST = Prepared(
    text(f"{_KIT} WHERE k.number = ANY(:names) ORDER BY k.id").bindparams(bindparam("names", type_=ARRAY(Text)))
)
_CELLS = Prepared(
    text(
        """
        SELECT k.position, k.unit_id, u.serial, u.lot_id, l.number AS lot, l.supplier, c.carton, g.grade, g.capacity_ah,
               g.acir_mohm, g.tested_at
        FROM kit_cell k JOIN unit u ON u.id = k.unit_id LEFT JOIN lot l ON l.id = u.lot_id
        LEFT JOIN cell c ON c.unit_id = u.id LEFT JOIN cell_grade g ON g.unit_id = u.id AND g.ended_at IS NULL
        WHERE k.kit_id = :kit_id AND (k.ended_at IS NULL OR :with_ended) ORDER BY k.position, k.id
        """
    ).bindparams(bindparam("kit_id", type_=BigInteger))
)
_LOTS = Prepared(
    text("SELECT id, number FROM lot WHERE id = ANY(:ids)").bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
)
_FREE = Prepared(
    text(
        """
        SELECT u.id, l.number FROM unit u JOIN part p ON p.id = u.part_id JOIN lot l ON l.id = u.lot_id
        WHERE u.serial = :serial AND p.number = :part AND u.state = 'received' ORDER BY u.id FOR NO KEY UPDATE OF u
        """
    ).bindparams(bindparam("serial", type_=Text), bindparam("part", type_=Text))
)


@dataclass(frozen=True, slots=True)
class KitRow:
    """A kit as it stands."""

    id: int
    number: str
    revision_id: int
    state: str
    unit_id: int | None


async def lock_matching(session: Session, part_id: int) -> None:
    """Let one matching of a cell's part at a time choose from its pool."""
    await session.run(_LOCK_MATCHING, part_id=part_id)


async def pool(session: Session, part_id: int, lots: Sequence[str]) -> list[PoolCell]:
    """Every free, graded cell of a part. The model is its supplier's: one part, made by one supplier."""
    rows = await session.run(_POOL, part_id=part_id, lots=list(lots), newest=POOL_LOTS)
    return [PoolCell(**{**row, "age_d": float(row["age_d"])}) for row in rows]


async def useless_lots(session: Session, part_id: int, lots: Sequence[str]) -> list[str]:
    """Of the lots that a pool was to be taken from, those that can give nothing, and why."""
    found = []
    rows = await session.run(_USELESS, part_id=part_id, lots=list(lots), newest=POOL_LOTS)
    for row in rows:
        why = [f"is {row['state']}"] if row["state"] != "released" else []
        why += ["is on hold"] if row["is_held"] else []
        why += [] if row["is_graded"] else ["isn't graded"]
        found += [f"lot {row['number']} {' and '.join(why)}"] if why else []
    unknown = sorted(set(lots) - {row["number"] for row in rows})
    return [*found, *(f"lot {number} isn't known, or is of another part" for number in unknown)]


async def units_without_kit(session: ReadSession, order: str) -> list[tuple[int, int]]:
    """The pieces of an order that have no kit and no cells, with their revisions."""
    return [(row["id"], row["revision_id"]) for row in await session.run(_WAITING, order=order)]


async def lock_kit(session: Session, number: str) -> KitRow:
    """Lock a kit, or raise NotFound."""
    rows = await session.run(_LOCK, name=number)
    if not rows:
        raise NotFound(kind="kit", name=number)
    return KitRow(**{name: rows[0][name] for name in KitRow.__dataclass_fields__})


async def lock_cell(session: Session, serial: str, part: str) -> tuple[int, str] | None:
    """Lock a cell in stock: its id and lot; None: there is none of this serial and part."""
    rows = await session.run(_FREE, serial=serial, part=part)
    return (rows[0]["id"], rows[0]["number"]) if rows else None


async def kit_cells(session: ReadSession, kit_id: int, at: datetime) -> dict[int, PoolCell]:
    """The cells of a kit by position, as the matching sees them."""
    return {
        row["position"]: PoolCell(
            row["unit_id"],
            row["capacity_ah"],
            row["acir_mohm"],
            row["lot_id"],
            row["carton"],
            (at - row["tested_at"]).total_seconds() / 86400 if row["tested_at"] else 0,
            row["grade"],
            row["supplier"],
        )
        for row in await session.run(_CELLS, kit_id=kit_id, with_ended=False)
    }


async def list_kits(session: ReadSession, numbers: Sequence[str]) -> list[KitAnswer]:
    """Kits in short."""
    return [_answer(row) for row in await session.run(_LIST, names=list(numbers))]


async def read_kit(session: ReadSession, name: str) -> KitContent:
    """Read a kit by its number, or the newest one of a unit, with its cells by position; or raise NotFound."""
    rows = await session.run(_READ, name=name)
    if not rows:
        raise NotFound(kind="kit", name=name)
    head = rows[0]
    size = shape_of(kitted(await get_plan(session, head["revision_id"]))).per_group
    cells = [
        KitCellAnswer(group=(row["position"] - 1) // size + 1, **{name: row[name] for name in _SHOWN})
        for row in await session.run(_CELLS, kit_id=head["id"], with_ended=head["state"] == "released")
    ]
    goals = [GoalAnswer(**goal) for goal in _figures(head)["goals"]]
    return KitContent(kit=_answer(head), made_at=head["made_at"], made_by=head["made_by"], goals=goals, cells=cells)


_SHOWN = ("position", "serial", "lot", "carton", "grade", "capacity_ah", "acir_mohm")


async def lot_numbers(session: ReadSession, ids: Sequence[int]) -> dict[int, str]:
    """The numbers of lots by id."""
    return {row["id"]: row["number"] for row in await session.run(_LOTS, ids=list(ids))}


def _figures(row: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row["figures"])
    return found


def _answer(row: Any) -> KitAnswer:
    figures = {name: value for name, value in _figures(row).items() if name != "goals"}
    return KitAnswer(kit=row["number"], part=row["part"], unit=row["unit"], state=row["state"], **figures)
