"""Reads of the pool and of kits, and their locks."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.cells.matching.limits import spread_pct
from mes.cells.matching.pool import PoolCell
from mes.db import ReadSession, Session
from mes.errors import NotFound
from mes.kits.messages import GoalAnswer, KitAnswer, KitCellAnswer, KitContent
from mes.kits.rules import kitted, shape_of
from mes.products.queries import get_plan
from mes.statement import Prepared
from mes.units.queries import lock_unit_ids

POOL_LOTS = 20
POOL_CELLS = 100_000

# A cell as the matching sees it, wherever it is looked at: in the pool, in a kit, at the slot. Its model is its part
# and who made it. One whose carton was announced and hasn't arrived, or arrived damaged, is set apart.
CELL = """
    u.id, g.capacity_ah, g.acir_mohm, coalesce(u.lot_id, 0), c.carton,
    CAST(extract(epoch FROM :at - coalesce(g.tested_at, c.measured_at, u.created_at)) / 86400 AS float8), g.grade,
    concat(u.part_id, ' ', l.supplier), b.id IS NOT NULL AND (b.arrived_at IS NULL OR b.is_damaged)
"""
KNOWN_OF_CELL = """
    LEFT JOIN lot l ON l.id = u.lot_id LEFT JOIN cell c ON c.unit_id = u.id
    LEFT JOIN carton b ON b.code = c.carton AND b.part_id = u.part_id
    LEFT JOIN cell_grade g ON g.unit_id = u.id AND g.ended_at IS NULL
"""
# A cell is free when it is graded and in stock, in no other kit, in no unit, and under no hold that stops its use.
_POOL = Prepared(
    text(
        f"""
        WITH chosen AS (
            SELECT l.id FROM lot l
            WHERE l.part_id = :part_id AND l.state = 'released'
              AND (l.number = ANY(:lots) OR (cardinality(:lots) = 0 AND l.id IN (
                  SELECT id FROM lot n WHERE n.part_id = :part_id AND n.state = 'released'
                  ORDER BY n.received_at DESC, n.id DESC LIMIT :newest)))
              AND NOT EXISTS (SELECT FROM hold h
                              WHERE h.lot_id = l.id AND h.released_at IS NULL AND 'consume' = ANY(h.stops)))
        SELECT {CELL}, EXISTS (SELECT FROM kit_cell k WHERE k.unit_id = u.id)
        FROM chosen JOIN unit u ON u.lot_id = chosen.id AND u.state = 'received' {KNOWN_OF_CELL}
        WHERE g.grade IS NOT NULL AND (cardinality(:among) = 0 OR u.id = ANY(:among))
          AND NOT EXISTS (SELECT FROM installation i WHERE i.child_id = u.id AND i.removed_at IS NULL)
          AND NOT EXISTS (SELECT FROM kit_cell k WHERE k.unit_id = u.id AND k.ended_at IS NULL)
          AND NOT EXISTS (SELECT FROM hold h
                          WHERE h.unit_id = u.id AND h.released_at IS NULL AND 'consume' = ANY(h.stops))
        ORDER BY u.id LIMIT {POOL_CELLS}
        """  # noqa: S608 - of constants
    ).bindparams(
        bindparam("part_id", type_=BigInteger),
        bindparam("among", type_=ARRAY(BigInteger)),
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
        WHERE o.number = :order AND o.state IN ('released', 'started', 'on_hold')
          AND u.state IN ('issued', 'in_process')
          AND NOT EXISTS (SELECT FROM kit k WHERE k.unit_id = u.id AND k.state <> 'released')
          AND NOT EXISTS (SELECT FROM installation i WHERE i.parent_id = u.id AND i.removed_at IS NULL
                          AND i.part_id = (SELECT p.id FROM product_revision r
                                           JOIN part p ON p.number = r.matching ->> 'part' WHERE r.id = u.revision_id))
        ORDER BY u.id
        """
    ).bindparams(bindparam("order", type_=Text))
)
_MAY_IDLE = Prepared(text("SELECT set_config('idle_in_transaction_session_timeout', '15min', true)"))
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
        SELECT k.position, u.serial, l.number AS lot, c.carton, g.grade, g.capacity_ah, g.acir_mohm
        FROM kit_cell k JOIN unit u ON u.id = k.unit_id LEFT JOIN lot l ON l.id = u.lot_id
        LEFT JOIN cell c ON c.unit_id = u.id LEFT JOIN cell_grade g ON g.unit_id = u.id AND g.ended_at IS NULL
        WHERE k.kit_id = :kit_id AND (k.ended_at IS NULL OR :with_ended) ORDER BY k.position, k.id
        """
    ).bindparams(bindparam("kit_id", type_=BigInteger))
)
_RESERVED = Prepared(
    text(
        f"""
        SELECT k.position, {CELL} FROM kit_cell k JOIN unit u ON u.id = k.unit_id {KNOWN_OF_CELL}
        WHERE k.kit_id = :kit_id AND k.ended_at IS NULL
        """  # noqa: S608 - of constants
    ).bindparams(bindparam("kit_id", type_=BigInteger))
)
_LOTS = Prepared(
    text("SELECT id, number FROM lot WHERE id = ANY(:ids)").bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
)
_SERIALS = Prepared(
    text("SELECT serial FROM unit WHERE id = ANY(:ids) ORDER BY serial").bindparams(
        bindparam("ids", type_=ARRAY(BigInteger))
    )
)
_FITTED = Prepared(
    text(
        """
        SELECT u.serial FROM installation i JOIN unit u ON u.id = i.child_id
        WHERE i.parent_id = :unit_id AND i.part_id = :part_id AND i.position = :position AND i.removed_at IS NULL
        """
    ).bindparams(*(bindparam(name, type_=BigInteger) for name in ("unit_id", "part_id", "position")))
)
_LOCK_LOTS = Prepared(
    text("SELECT id FROM lot WHERE id = ANY(:ids) ORDER BY id FOR SHARE").bindparams(
        bindparam("ids", type_=ARRAY(BigInteger))
    )
)
_LOCK_OF = Prepared(
    text(
        "SELECT id FROM kit WHERE unit_id = :unit_id AND state <> 'released' ORDER BY id FOR NO KEY UPDATE"
    ).bindparams(bindparam("unit_id", type_=BigInteger))
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
    """Let one matching of a cell's part at a time choose from its pool.

    A large pool takes longer than a transaction may be idle; nothing but other matchings waits for this one meanwhile.
    """
    await session.run(_LOCK_MATCHING, part_id=part_id)
    await session.run(_MAY_IDLE)


async def lock_chosen(session: Session, lots: Sequence[int], units: Sequence[int]) -> None:
    """Keep units as they are: lock their lots, against whoever holds, splits or grades them, then the units."""
    await session.run(_LOCK_LOTS, ids=list(lots))
    await lock_unit_ids(session, units)
    session.take_moment()


async def lock_kit_of(session: Session, unit_id: int) -> None:
    """Lock the kit of a locked unit, if it has one, against being released or changed."""
    await session.run(_LOCK_OF, unit_id=unit_id)


async def pool(session: Session, part_id: int, lots: Sequence[str], among: Sequence[int] = ()) -> list[PoolCell]:
    """Every free, graded cell of a part; of those in `among`, if any are named."""
    rows = await session.run(_POOL, part_id=part_id, lots=list(lots), newest=POOL_LOTS, among=list(among))
    return [PoolCell(*row) for row in rows]


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
    return _kit(number, await session.run(_LOCK, name=number))


async def get_kit(session: ReadSession, number: str) -> KitRow:
    """Read a kit as it stands, or raise NotFound."""
    return _kit(number, await session.run(_LIST, names=[number]))


def _kit(number: str, rows: Sequence[Any]) -> KitRow:
    if not rows:
        raise NotFound(kind="kit", name=number)
    return KitRow(**{name: rows[0][name] for name in KitRow.__dataclass_fields__})


async def kit_cells(session: Session, kit_id: int) -> dict[int, PoolCell]:
    """The cells of a kit by position, as the matching sees them."""
    rows = await session.run(_RESERVED, kit_id=kit_id)
    return {position: PoolCell(*cell) for position, *cell in rows}


async def fitted_at(session: ReadSession, unit_id: int, part_id: int, position: int) -> str | None:
    """The serial of what is fitted at a position of a unit; None: nothing is."""
    rows = await session.run(_FITTED, unit_id=unit_id, part_id=part_id, position=position)
    return str(rows[0]["serial"]) if rows else None


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
    kit = _answer(head).model_copy(update=_as_it_is(cells))
    return KitContent(kit=kit, made_at=head["made_at"], made_by=head["made_by"], goals=goals, cells=cells)


def _as_it_is(cells: Sequence[KitCellAnswer]) -> dict[str, Any]:
    """A kit's figures by the cells that it has now: others may stand where it was matched."""
    groups: defaultdict[int, list[KitCellAnswer]] = defaultdict(list)
    for cell in cells:
        groups[cell.group].append(cell)
    capacity = [[cell.capacity_ah for cell in group if cell.capacity_ah is not None] for group in groups.values()]
    acir = [[cell.acir_mohm for cell in group if cell.acir_mohm is not None] for group in groups.values()]
    if not cells or sum(map(len, capacity)) < len(cells):
        return {}
    return {
        "lots": sorted({cell.lot for cell in cells if cell.lot}),
        "cartons": len({cell.carton for cell in cells if cell.carton}),
        "grades": sorted({cell.grade for cell in cells if cell.grade}),
        "group_spread_pct": spread_pct([sum(group) for group in capacity]),
        "capacity_spread_pct": max(map(spread_pct, capacity)),
        "acir_spread_pct": max(map(spread_pct, acir)) if sum(map(len, acir)) == len(cells) else None,
    }


_SHOWN = ("position", "serial", "lot", "carton", "grade", "capacity_ah", "acir_mohm")


async def serials_of(session: ReadSession, ids: Sequence[int]) -> list[str]:
    """The serials of units."""
    return [row["serial"] for row in await session.run(_SERIALS, ids=list(ids))]


async def lot_numbers(session: ReadSession, ids: Sequence[int]) -> dict[int, str]:
    """The numbers of lots by id."""
    return {row["id"]: row["number"] for row in await session.run(_LOTS, ids=list(ids))}


def _figures(row: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row["figures"])
    return found


def _answer(row: Any) -> KitAnswer:
    figures = {name: value for name, value in _figures(row).items() if name != "goals"}
    return KitAnswer(kit=row["number"], part=row["part"], unit=row["unit"], state=row["state"], **figures)
