"""Arranges a trace for reading: sub-assemblies unfold, equal units stand in a grid of their groups, lots in rows."""

import string
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mes.db import ReadSession
from mes.genealogy.messages import TreeNode
from mes.products.queries import get_plan
from mes.products.rules import BomItemPlan, ProductPlan
from mes.units.queries import get_unit

SHORTEST_LABEL = 3


@dataclass(frozen=True, slots=True)
class Slot:
    """A position of a grid. `node` is None: the record doesn't know what is there."""

    position: int
    node: TreeNode | None
    label: str
    mark: str  # of its lot, when the grid has several


@dataclass(frozen=True, slots=True)
class GridLot:
    """A lot of a grid's units, and how many of them are of it."""

    mark: str
    lot: str | None
    supplier: str | None
    supplier_lot: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Grid:
    """Units of one part by position, a row per group; labels leave out what all serials begin with."""

    part: str
    prefix: str
    rows: list[list[Slot]]
    lots: list[GridLot]
    known: int


@dataclass(frozen=True, slots=True)
class Branch:
    """A unit and what is inside it, arranged."""

    node: TreeNode
    branches: list["Branch"]
    grids: list[Grid]
    units: list[TreeNode]
    lots: list[TreeNode]


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that the record doesn't know, and the units of which it doesn't."""

    text: str
    nodes: list[TreeNode]


async def plans_of(session: ReadSession, root: TreeNode) -> dict[str, ProductPlan]:
    """Read what the root and each sub-assembly were built to, by serial."""
    plans = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        waiting += [inner for inner in node.inside if inner.inside]
        if node.serial is not None and (revision := (await get_unit(session, node.serial)).revision_id) is not None:
            plans[node.serial] = await get_plan(session, revision)
    return plans


def grow(node: TreeNode, plans: Mapping[str, ProductPlan]) -> Branch:
    """Arrange a unit's content by the plan it was built to."""
    plan = plans.get(node.serial or "")
    leaves = [inner for inner in node.inside if not inner.inside]
    assembled = {inner.part for inner in node.inside if inner.inside}
    many = [i for i in (plan.bom if plan else ()) if i.trace == "serial" and i.quantity > 1 and i.part not in assembled]
    grids = [_grid(item, [inner for inner in leaves if inner.part == item.part]) for item in many]
    shown = {id(slot.node) for grid in grids for row in grid.rows for slot in row}
    return Branch(
        node=node,
        branches=[grow(inner, plans) for inner in node.inside if inner.inside],
        grids=[grid for grid in grids if grid.known],
        units=[inner for inner in leaves if inner.serial is not None and id(inner) not in shown],
        lots=[inner for inner in leaves if inner.serial is None],
    )


def gaps_of(root: TreeNode, plan: ProductPlan | None, worked: Collection[str]) -> tuple[list[Gap], list[str]]:
    """Every gap of the tree; and apart from them what is missing only because its operation is still to come."""
    to_come = {item.part for item in plan.bom if item.operation not in worked} if plan else set()
    found: defaultdict[str, list[TreeNode]] = defaultdict(list)
    to_fit = []
    waiting = [root]
    while waiting:
        node = waiting.pop(0)
        waiting += node.inside
        for text in node.gaps:
            if node is root and text.partition(":")[0] in to_come:
                to_fit.append(text.partition(":")[0])
            else:
                found[text].append(node)
    return [Gap(text, nodes) for text, nodes in found.items()], to_fit


def _grid(item: BomItemPlan, nodes: Sequence[TreeNode]) -> Grid:
    by_position = {node.position: node for node in nodes}
    serials = [node.serial or "" for node in nodes]
    prefix = _shared_start(serials)
    counted = Counter((node.lot, node.supplier, node.supplier_lot) for node in nodes)
    letters = iter(string.ascii_uppercase)
    lots = [GridLot(next(letters, "*"), *lot, count) for lot, count in counted.items()]
    marks = {lot.lot: lot.mark for lot in lots} if len(lots) > 1 else {}
    slots = []
    for position in range(1, int(item.quantity) + 1):
        node = by_position.get(position)
        label = (node.serial or "")[len(prefix) :] if node else ""
        slots.append(Slot(position, node, label, marks.get(node.lot, "") if node else ""))
    wide = -(-len(slots) // max(item.groups, 1))
    rows = [slots[start : start + wide] for start in range(0, len(slots), wide)]
    return Grid(item.part, prefix, rows, lots, sum(slot.node is not None for slot in slots))


def _shared_start(serials: Sequence[str]) -> str:
    """What all serials begin with, but for the zeros and digits that tell them apart."""
    if len(serials) < 2:
        return ""
    first, last = min(serials), max(serials)  # what the first and the last in order share, all share
    differs_at = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    shortest = min(map(len, serials)) - SHORTEST_LABEL
    return first[:differs_at].rstrip(string.digits)[: max(shortest, 0)]
