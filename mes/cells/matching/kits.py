"""Makes kits of a pool of cells."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from mes.cells.matching.balance import Ints
from mes.cells.matching.building import Made, build
from mes.cells.matching.choice import Task, allot, loners
from mes.cells.matching.goals import goals_seen
from mes.cells.matching.limits import spread_pct, unusable
from mes.cells.matching.lots import plan
from mes.cells.matching.pool import Goals, Kit, Matched, PoolCell, Rules, Shape, is_value


def match(
    pool: Sequence[PoolCell], shape: Shape, rules: Rules, kits: int | None = None, goals: Goals | None = None
) -> Matched:
    """Make up to `kits` kits (None: as many as it can) that each keep every rule; the same input gives the same kits.

    A heuristic: cells of a lot, and in it of neighbouring cartons, are cut into kits of like capacity and ACIR, then
    swapped between groups until the groups' capacity agrees. Where no cell has an ACIR value its limit is not
    applied, and the notes say so; where some have one, those without are left.
    Raises ValueError for a cell that is named twice.
    """
    cells = sorted(pool, key=lambda cell: cell.id)
    if twice := [cell for cell, count in Counter(cell.id for cell in cells).items() if count > 1]:
        raise ValueError(f"cells named twice: {twice}")
    has_acir = any(is_value(cell.acir_mohm) and not unusable(cell, rules, has_acir=False) for cell in cells)
    reasons = {cell.id: unusable(cell, rules, has_acir=has_acir) for cell in cells}
    left = {cell: why for cell, why in reasons.items() if why}
    task = Task.of([c for c in cells if c.id not in left], shape, rules, goals or Goals(), has_acir=has_acir)
    notes = [] if has_acir or not task.cells else ["no cell has an ACIR value: its limit is not applied"]
    wanted = len(task.cells) // shape.cells if kits is None else kits
    made: list[Made] = []
    sets = _alike(task)
    for members in sets:
        found, why_left, why_no_more = _match_alike(task, members, wanted - len(made))
        made += found
        left |= {task.cells[at].id: why for at, why in why_left.items()}
        notes += why_no_more
    done = tuple(_kit(task, one.cells) for one in made)
    least = max((one.least_pct for one in made), default=0.0)
    return Matched(done, left, goals_seen(task, sets, done, least), tuple(dict.fromkeys(notes)))


def _alike(task: Task) -> list[Ints]:
    """Cells that may share a kit as to model and grade; the sets with the oldest cells first."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, cell in enumerate(task.cells):
        found[cell.model, (cell.grade or "") if task.rules.one_grade else ""].append(at)
    ordered = sorted(found.items(), key=lambda item: (-task.age[item[1]].mean(), item[0]))
    return [np.array(members, dtype=np.intp) for _, members in ordered]


def _match_alike(task: Task, members: Ints, wanted: int) -> tuple[list[Made], dict[int, str], list[str]]:
    """Make kits of one set; also why each other cell is left, and why there are no more kits."""
    rules = task.rules
    left: dict[int, str] = {}
    for name, values, limit in (
        ("capacity", task.capacity, rules.capacity_spread_pct),
        ("ACIR", task.acir, rules.acir_spread_pct),
    ):
        if values is not None and len(members):
            parts = [members] if rules.lots_per_group > 1 else _by_lot(task, members)
            alone = np.concatenate([loners(task, part, values, limit) for part in parts])
            left |= dict.fromkeys(alone.tolist(), f"too few cells of like {name} for a group")
            members = np.setdiff1d(members, alone)
    made: list[Made] = []
    notes: list[str] = []
    for lots in sorted({1, min(rules.lots_per_group, rules.lots_per_kit)}):
        while len(made) < wanted:
            found, notes = _round(task, members, lots, wanted - len(made))
            if not found:
                break
            made += found
            members = np.setdiff1d(members, np.concatenate([one.cells for one in found]))
    if len(made) >= wanted:
        notes = []
    parts = [members] if rules.lots_per_group > 1 else _by_lot(task, members)
    for part in parts:
        why = "left over: no further kit keeps the rules" if notes else "left over: too few for a kit"
        why = "its lot has too few left for a group" if len(part) < task.shape.per_group else why
        left |= dict.fromkeys(part.tolist(), why)
    return made, left, notes


def _by_lot(task: Task, members: Ints) -> list[Ints]:
    """Part cells by lot: those with odd cells, then the oldest, first."""
    parts = [members[task.lot[members] == lot] for lot in np.unique(task.lot[members])]
    return sorted(parts, key=lambda part: (-task.odd[part].max(), -task.age[part].mean()))


def _round(task: Task, members: Ints, lots: int, wanted: int) -> tuple[list[Made], list[str]]:
    """Plan kits of blends of so many lots and build them: those that keep the rules, and why the others don't."""
    parts = _by_lot(task, members)
    if lots > 1:
        parts.sort(key=len, reverse=True)
        parts = [np.concatenate(parts[at : at + lots]) for at in range(0, len(parts), lots)]
    blends = dict(enumerate(parts))
    groups = task.shape.groups
    counts = {blend: len(cells) // task.shape.per_group for blend, cells in blends.items()}
    planned = plan(counts, groups, task.rules.lots_per_kit // lots, wanted)
    made: list[Made] = []
    notes: list[str] = []
    for blend, count in Counter(next(iter(kit)) for kit in planned if len(kit) == 1).items():
        for cells, kits in allot(task, blends[blend], count):
            found, why = build(task, [(cells, groups)], kits)
            made += found
            notes += why
    for kit in planned:
        if len(kit) > 1:
            used = np.concatenate([one.cells for one in made]) if made else members[:0]
            found, why = build(task, [(np.setdiff1d(blends[blend], used), n) for blend, n in kit.items()], 1)
            made += found
            notes += why
    return made, notes


def _kit(task: Task, positions: Ints) -> Kit:
    cells = [task.cells[at] for at in positions]
    capacity = task.capacity[positions].reshape(task.shape.groups, -1).tolist()
    acir = None if task.acir is None else task.acir[positions].reshape(task.shape.groups, -1).tolist()
    sums = tuple(sum(group) for group in capacity)
    return Kit(
        cells=tuple(cell.id for cell in cells),
        model=cells[0].model,
        grades=tuple(sorted({cell.grade for cell in cells if cell.grade})),
        lots=tuple(sorted({cell.lot for cell in cells})),
        cartons=len(set(task.carton[positions].tolist())),
        group_sums_ah=sums,
        group_spread_pct=spread_pct(sums),
        capacity_spread_pct=max(map(spread_pct, capacity)),
        acir_spread_pct=None if acir is None else max(map(spread_pct, acir)),
    )
