"""Traces: down to the cells and lots, up to the packs, now or as of a time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy import DateTime as Timestamp
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession
from mes.statement import Prepared


@dataclass(frozen=True, slots=True)
class Suspect:
    """A unit that contains what was asked for."""

    id: int
    serial: str
    part: str
    state: str
    quantity: float
    is_root: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge of a tree, with what it leads to."""

    parent_id: int
    child_id: int | None
    depth: int
    part: str
    serial: str | None
    lot: str | None
    supplier: str | None
    supplier_lot: str | None
    position: int | None
    quantity: float
    installed_at: datetime
    removed_at: datetime | None
    slot: str  # the part that the bill of material names for the place


def open_edges(key: str, id_: str) -> str:
    """SQL: the edges whose parent or child (`key`) this is, one unit after another by the index: never a whole table.

    To be joined LATERAL; OFFSET 0 keeps the planner, which guesses a recursion's size, from reading all edges instead.
    """
    return f"(SELECT * FROM installation WHERE {key} = {id_} AND removed_at IS NULL OFFSET 0)"  # noqa: S608


def edges_at(key: str, id_: str, at: str | None = None) -> str:
    """SQL: the same as they were at a moment, or all there ever were: those removed have an index of their own."""
    since, until = (f" AND installed_at <= {at}", f" AND removed_at > {at}") if at else ("", "")
    return f"""(
        (SELECT * FROM installation WHERE {key} = {id_} AND removed_at IS NULL{since} OFFSET 0)
        UNION ALL
        (SELECT * FROM installation WHERE {key} = {id_} AND removed_at IS NOT NULL{since}{until} OFFSET 0))"""  # noqa: S608


# Level by level, distinct parents first: from a lot's edges to the units they are in, then up. The quantity of the
# subject is counted at the first level and carried up. A lot is asked for with all that came from it.
_CONTAINING = Prepared(
    text(
        f"""
        WITH RECURSIVE derived AS (
            SELECT unnest(:lots) AS id
            UNION SELECT y.lot_id FROM lot_lineage y JOIN derived d ON y.from_lot_id = d.id),
        direct AS MATERIALIZED (
            SELECT parent_id, child_id, quantity FROM installation
            WHERE (lot_id = ANY(ARRAY(SELECT id FROM derived)) OR child_id = ANY(:units)) AND removed_at IS NULL),
        -- of the lots and not among those: loose, or named by a report before their lot was received
        others AS MATERIALIZED (
            SELECT u.id FROM unit u WHERE u.lot_id = ANY(ARRAY(SELECT id FROM derived))
            AND NOT EXISTS (SELECT FROM direct d WHERE d.child_id = u.id)),
        first AS (
            SELECT parent_id AS id, sum(quantity) AS quantity FROM (
                SELECT parent_id, quantity FROM direct
                UNION ALL SELECT i.parent_id, i.quantity FROM others o
                          CROSS JOIN LATERAL {open_edges("child_id", "o.id")} i WHERE i.lot_id IS NULL) e
            GROUP BY parent_id),
        above AS (
            SELECT id, quantity, id AS origin FROM first
            UNION SELECT i.parent_id, a.quantity, a.origin FROM above a
                  CROSS JOIN LATERAL {open_edges("child_id", "a.id")} i),
        summed AS (SELECT id, sum(quantity) AS quantity FROM above GROUP BY id)
        SELECT u.id, u.serial, p.number AS part, u.state, s.quantity,
               NOT EXISTS (SELECT FROM installation i WHERE i.child_id = u.id AND i.removed_at IS NULL) AS is_root
        FROM summed s JOIN unit u ON u.id = s.id JOIN part p ON p.id = u.part_id ORDER BY u.id
        """  # noqa: S608
    ).bindparams(bindparam("lots", type_=ARRAY(BigInteger)), bindparam("units", type_=ARRAY(BigInteger)))
)
_ABOVE = Prepared(
    text(
        """
        WITH RECURSIVE above AS (
            SELECT parent_id AS id FROM installation WHERE child_id = :unit_id AND removed_at IS NULL
            UNION SELECT i.parent_id FROM installation i JOIN above a ON i.child_id = a.id WHERE i.removed_at IS NULL)
        SELECT id FROM above ORDER BY id
        """
    ).bindparams(bindparam("unit_id", type_=BigInteger))
)
_CONTENT = Prepared(
    text(
        f"""
        WITH RECURSIVE inside AS (
            SELECT i.*, 1 AS depth FROM {edges_at("parent_id", ":unit_id", ":as_of")} i
            UNION ALL
            SELECT i.*, n.depth + 1 FROM inside n
            CROSS JOIN LATERAL {edges_at("parent_id", "n.child_id", ":as_of")} i WHERE n.depth < 20)
        SELECT n.parent_id, n.child_id, n.depth, p.number AS part, u.serial, l.number AS lot, l.supplier,
               l.supplier_lot, n.position, n.quantity, n.installed_at, n.removed_at, s.number AS slot
        FROM inside n JOIN part s ON s.id = n.part_id
        LEFT JOIN unit u ON u.id = n.child_id LEFT JOIN lot l ON l.id = coalesce(n.lot_id, u.lot_id)
        JOIN part p ON p.id = coalesce(u.part_id, l.part_id)
        ORDER BY n.depth, n.parent_id, p.number, n.position, n.id
        """  # noqa: S608
    ).bindparams(bindparam("unit_id", type_=BigInteger), bindparam("as_of", type_=Timestamp(timezone=True)))
)
_PLACES = Prepared(
    text(
        f"""
        SELECT i.parent_id, i.child_id, 0 AS depth, p.number AS part, u.serial, l.number AS lot, l.supplier,
               l.supplier_lot, i.position, i.quantity, i.installed_at, i.removed_at, p.number AS slot
        FROM {edges_at("child_id", ":unit_id")} i
        JOIN part p ON p.id = i.part_id JOIN unit u ON u.id = i.parent_id LEFT JOIN lot l ON l.id = i.lot_id
        ORDER BY i.installed_at, i.id
        """  # noqa: S608
    ).bindparams(bindparam("unit_id", type_=BigInteger))
)

# What a part's own route asks of its lots, as it asks it now. What a lot was split off or put together from speaks for
# it.
_ASKED = f"""
        WITH RECURSIVE inside AS (
            SELECT child_id, lot_id FROM installation WHERE parent_id = :unit_id AND removed_at IS NULL
            UNION ALL SELECT i.child_id, i.lot_id FROM inside n
                      CROSS JOIN LATERAL {open_edges("parent_id", "n.child_id")} i),
        lots AS (
            SELECT DISTINCT coalesce(n.lot_id, u.lot_id) AS id FROM inside n LEFT JOIN unit u ON u.id = n.child_id),
        own AS (
            SELECT l.id, d.kind FROM lots JOIN lot l ON l.id = lots.id
            JOIN step s ON s.revision_id = (SELECT r.id FROM product_revision r WHERE r.part_id = l.part_id
                                            ORDER BY r.revision DESC LIMIT 1),
            LATERAL jsonb_array_elements_text(s.conditions -> 'documents') AS d (kind)),
        asked AS (
            SELECT id, kind FROM own
            UNION SELECT o.id, k.kind FROM own o, unnest(:kinds) AS k (kind)
            UNION SELECT CAST(:lot_id AS bigint), k.kind FROM unnest(:kinds) AS k (kind))
"""  # noqa: S608
_PAPERS = (
    bindparam("unit_id", type_=BigInteger),
    bindparam("lot_id", type_=BigInteger),
    bindparam("kinds", type_=ARRAY(Text)),
)
_WITHOUT = Prepared(
    text(
        f"""
        {_ASKED},
        bare AS (
            SELECT a.id, a.kind FROM asked a
            WHERE NOT EXISTS (SELECT FROM lot_document d WHERE d.lot_id = a.id AND d.kind = a.kind)
            UNION SELECT y.from_lot_id, b.kind FROM bare b JOIN lot_lineage y ON y.lot_id = b.id
            WHERE NOT EXISTS (SELECT FROM lot_document d WHERE d.lot_id = y.from_lot_id AND d.kind = b.kind))
        SELECT l.number, b.kind FROM bare b JOIN lot l ON l.id = b.id
        WHERE NOT EXISTS (SELECT FROM lot_lineage y WHERE y.lot_id = b.id) ORDER BY l.number, b.kind
        """  # noqa: S608 - of the constant above
    ).bindparams(*_PAPERS)
)
_COUNTED = Prepared(
    text(f"{_ASKED} SELECT count(*) AS asked FROM asked WHERE id IS NOT NULL").bindparams(*_PAPERS)  # noqa: S608
)


async def above(session: ReadSession, unit_id: int) -> list[int]:
    """The units that a unit is in at this moment, all the way up."""
    return [row["id"] for row in await session.run(_ABOVE, unit_id=unit_id)]


async def containing(session: ReadSession, *, lots: Sequence[int] = (), units: Sequence[int] = ()) -> list[Suspect]:
    """Every unit that contains anything of these lots or units at this moment: modules and packs, by id."""
    rows = await session.run(_CONTAINING, lots=list(lots), units=list(units))
    return [Suspect(*row) for row in rows]


async def content(session: ReadSession, unit_id: int, as_of: datetime) -> Sequence[Edge]:
    """Everything inside a unit at a moment, level by level."""
    return [Edge(*row) for row in await session.run(_CONTENT, unit_id=unit_id, as_of=as_of)]


async def places(session: ReadSession, unit_id: int) -> Sequence[Edge]:
    """Where a unit has been: each edge's `serial` is the parent's."""
    return [Edge(*row) for row in await session.run(_PLACES, unit_id=unit_id)]


async def undocumented(
    session: ReadSession, kinds: Collection[str] = (), *, unit_id: int | None = None, lot_id: int | None = None
) -> list[str]:
    """Which documents are missing: of a lot, of these kinds; of each lot in a unit, of those and the kinds that the
    lot's own route asks for. A lot whose route asks for none needs none."""
    lacking: dict[str, list[str]] = {}
    for row in await session.run(_WITHOUT, unit_id=unit_id, lot_id=lot_id, kinds=list(kinds)):
        lacking.setdefault(row["number"], []).append(row["kind"].replace("_", " "))
    return [f"{lot} has no {', '.join(said)}" for lot, said in lacking.items()]


async def documents_asked(session: ReadSession, kinds: Collection[str], unit_id: int) -> int:
    """How many documents are asked of the lots in a unit; `undocumented` names those that are missing."""
    return int((await session.run(_COUNTED, unit_id=unit_id, lot_id=None, kinds=list(kinds)))[0]["asked"])
