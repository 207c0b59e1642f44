"""Puts a trace together: the tree with its gaps, and the packs of a lot."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import BigInteger, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes import clock
from mes.db import ReadSession
from mes.genealogy.messages import LotUser, Place, Trace, TreeNode, WhereUsed
from mes.genealogy.queries import Edge, containing, content, places
from mes.materials.queries import derived_lots, get_lot
from mes.products.models import Part
from mes.products.queries import get_plan
from mes.products.rules import ProductPlan
from mes.statement import Prepared
from mes.units.queries import UnitRow, get_unit

FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
_LOOSE = Prepared(
    text(
        """
        WITH fitted AS MATERIALIZED (
            SELECT child_id FROM installation
            WHERE lot_id = ANY(:lots) AND child_id IS NOT NULL AND removed_at IS NULL),
        others AS MATERIALIZED (
            SELECT u.id FROM unit u WHERE u.lot_id = ANY(:lots)
            AND NOT EXISTS (SELECT FROM fitted f WHERE f.child_id = u.id))
        SELECT count(*) AS loose FROM others o
        WHERE NOT EXISTS (SELECT FROM installation i WHERE i.child_id = o.id AND i.removed_at IS NULL)
        """
    ).bindparams(bindparam("lots", type_=ARRAY(BigInteger)))
)
_REVISIONS = Prepared(
    text("SELECT id, revision_id FROM unit WHERE id = ANY(CAST(:ids AS bigint[])) AND revision_id IS NOT NULL")
)


@dataclass(frozen=True, slots=True)
class Lacking:
    """A component that the record doesn't have; `count`: at how many positions, or 1 lot."""

    text: str
    count: int


async def trace(
    session: ReadSession,
    serial: str,
    as_of: datetime | None = None,
    operations: Collection[str] | None = None,
) -> Trace:
    """What is inside a unit, now or at a moment, and where it is itself.

    `operations`: those that were to fit something by now; what others fit is no gap of the unit yet.
    """
    unit = await get_unit(session, serial)
    # now is what the record has, not what the clock says: a clock may have been set back
    edges = await content(session, unit.id, as_of or FOREVER)
    part = (await session.execute(select(Part.number).where(Part.id == unit.part_id))).scalar_one()
    revisions = {unit.id: unit.revision_id} if unit.revision_id else {}
    made = await session.run(_REVISIONS, ids=[edge.child_id for edge in edges if edge.child_id is not None])
    revisions |= {row["id"]: row["revision_id"] for row in made}
    by_parent: defaultdict[int, list[Edge]] = defaultdict(list)
    for edge in edges:
        by_parent[edge.parent_id].append(edge)
    gaps = {id_: await _gaps(session, revision, by_parent[id_], None) for id_, revision in revisions.items()}
    if operations is not None and unit.revision_id is not None:
        gaps[unit.id] = await _gaps(session, unit.revision_id, by_parent[unit.id], operations)
    tree = TreeNode(
        part=part,
        serial=serial,
        state=unit.state if as_of is None else None,  # what the state was then, its history tells
        gaps=gaps.get(unit.id, []),
        inside=_inside(unit.id, by_parent, gaps),
    )
    lots = sorted({edge.lot for edge in edges if edge.lot is not None})
    return Trace(serial=serial, as_of=as_of or clock.now(), tree=tree, places=await _places(session, unit), lots=lots)


async def gaps_of(session: ReadSession, serial: str, operations: Collection[str]) -> list[str]:
    """Name every gap of a unit's record and of what is in it: empty positions, parts and lots not known."""
    tree = (await trace(session, serial, operations=operations)).tree
    return list(_all_gaps(tree))


def _all_gaps(node: TreeNode) -> Iterator[str]:
    for gap in node.gaps:
        yield f"{node.serial or node.part}: {gap}"
    for inner in node.inside:
        yield from _all_gaps(inner)


def _inside(parent_id: int, by_parent: defaultdict[int, list[Edge]], gaps: dict[int, list[str]]) -> list[TreeNode]:
    return [
        TreeNode(
            part=edge.part,
            serial=edge.serial,
            lot=edge.lot,
            supplier=edge.supplier,
            supplier_lot=edge.supplier_lot,
            position=edge.position,
            quantity=float(edge.quantity),
            installed_at=edge.installed_at,
            removed_at=edge.removed_at,
            gaps=gaps.get(edge.child_id, _unknown_origin(edge)) if edge.child_id is not None else [],
            inside=_inside(edge.child_id, by_parent, gaps) if edge.child_id is not None else [],
        )
        for edge in by_parent[parent_id]
    ]


def _unknown_origin(edge: Edge) -> list[str]:
    return [] if edge.lot is not None else ["its lot is not known"]


async def _gaps(
    session: ReadSession, revision_id: int, edges: Sequence[Edge], operations: Collection[str] | None
) -> list[str]:
    return [lacking.text for lacking in lacking_of(await get_plan(session, revision_id), edges, operations)]


def lacking_of(plan: ProductPlan, edges: Sequence[Edge], operations: Collection[str] | None = None) -> list[Lacking]:
    """What the bill of material of a unit's revision asks for and the record doesn't have. `edges`: of the unit."""
    positions: defaultdict[str, set[int | None]] = defaultdict(set)
    quantities: defaultdict[str, float] = defaultdict(float)
    for edge in edges:
        positions[edge.slot].add(edge.position)
        quantities[edge.slot] += float(edge.quantity)
    lacking = []
    for item in plan.bom:
        if operations is not None and item.operation not in operations:
            continue
        if item.trace == "serial":
            empty = [p for p in range(1, int(item.quantity) + 1) if p not in positions[item.part]]
            if empty:
                shown = ", ".join(map(str, empty[:10])) + (" ..." if len(empty) > 10 else "")
                text = f"{item.part}: no unit known at {len(empty)} of {item.quantity:g} positions ({shown})"
                lacking.append(Lacking(text, len(empty)))
        elif item.trace == "lot" and quantities[item.part] == 0:
            lacking.append(Lacking(f"{item.part}: no lot known", 1))
    return lacking


async def _places(session: ReadSession, unit: UnitRow) -> list[Place]:
    return [
        Place(
            parent=edge.serial or "unknown",
            part=edge.part,
            position=edge.position,
            installed_at=edge.installed_at,
            removed_at=edge.removed_at,
        )
        for edge in await places(session, unit.id)
    ]


async def where_used(session: ReadSession, number: str) -> WhereUsed:
    """Which packs contain anything of a lot, how much of it, and how many of its units are still loose."""
    lot = await get_lot(session, number)
    lots = await derived_lots(session, [lot.id])
    found = await containing(session, lots=lots)
    users = [(s, LotUser(serial=s.serial, part=s.part, state=s.state, quantity=float(s.quantity))) for s in found]
    loose = await session.run(_LOOSE, lots=lots)
    return WhereUsed(
        lot=number,
        packs=[user for s, user in users if s.is_root],
        units=[user for _, user in users],
        loose=loose[0]["loose"],
    )
