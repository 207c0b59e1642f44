"""What each goal of a matching came to, beside the best it could have come to alone."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean

import numpy as np

from mes.cells.matching.balance import Floats, Ints
from mes.cells.matching.choice import Task
from mes.cells.matching.pool import GoalSeen, Kit


def goals_seen(task: Task, sets: Sequence[Ints], kits: Sequence[Kit], least_pct: float) -> tuple[GoalSeen, ...]:
    """Set each goal beside its best alone, for as many kits as were made of these sets of usable cells.

    spread between groups: worst kit; alone: a heuristic, the same kits balanced without care for ACIR below its limit.
    ACIR spread in a group: worst group; alone: a bound, groups of neighbours in ACIR, whatever their capacity.
    lots and cartons per kit: mean; alone: bounds, each kit of as few as the largest allow.
    odd cells used, mean age of the used cells: alone: bounds, the rules aside.
    """
    if not kits:
        return ()
    used = {cell for kit in kits for cell in kit.cells}
    chosen = np.array([cell.id in used for cell in task.cells])
    size = task.shape.cells
    seen = [GoalSeen("spread between groups", max(kit.group_spread_pct for kit in kits), least_pct, "%")]
    if task.acir is not None:
        worst = max(kit.acir_spread_pct or 0 for kit in kits)
        seen.append(GoalSeen("ACIR spread in a group", worst, _least_acir(task, task.acir, sets, len(kits)), "%"))
    lots = [count for cells in sets for count in Counter(task.lot[cells].tolist()).values()]
    seen.append(GoalSeen("lots per kit", fmean(len(kit.lots) for kit in kits), _fewest(lots, size, len(kits)), "lots"))
    if any(cell.carton is not None for cell in task.cells):
        cartons = [count for cells in sets for count in Counter(task.carton[cells].tolist()).values()]
        mean = fmean(kit.cartons for kit in kits)
        seen.append(GoalSeen("cartons per kit", mean, _fewest(cartons, size, len(kits)), "cartons"))
    odd = int(task.odd.sum())
    seen.append(GoalSeen("odd cells used", float(task.odd[chosen].sum()), float(min(odd, len(used))), "cells"))
    oldest = float(np.sort(task.age)[-len(used) :].mean())
    seen.append(GoalSeen("mean age of the used cells", float(task.age[chosen].mean()), oldest, "d"))
    return tuple(seen)


def _fewest(sizes: Sequence[int], cells: int, kits: int) -> float:
    """Bound lots (cartons) per kit from below: whole kits of one, the others of as few as the largest allow."""
    whole = min(kits, sum(count // cells for count in sizes))
    return (whole + (kits - whole) * max(2, -(-cells // max(sizes)))) / kits


def _least_acir(task: Task, acir: Floats, sets: Sequence[Ints], kits: int) -> float:
    """Bound the worst group's ACIR spread from below, by its range over its greatest value."""
    values = [np.sort(part) for part in _may_share(task, acir, sets)]
    size = task.shape.per_group
    windows = [np.lib.stride_tricks.sliding_window_view(v, size) for v in values if len(v) >= size]
    tight = [100 * (1 - window[:, 0] / window[:, -1]) for window in windows]
    limits = np.unique(np.concatenate(tight)).tolist()
    wanted = kits * task.shape.groups

    def is_enough(limit: float) -> bool:
        return sum(_runs(one, limit, size) for one in tight) >= wanted

    return float(limits[bisect_left(limits, True, hi=len(limits) - 1, key=is_enough)])


def _may_share(task: Task, acir: Floats, sets: Sequence[Ints]) -> Iterator[Floats]:
    """ACIR of the cells that may share a group."""
    for cells in sets:
        if task.rules.lots_per_group > 1:
            yield acir[cells]
        else:
            yield from (acir[cells[task.lot[cells] == lot]] for lot in np.unique(task.lot[cells]))


def _runs(tightness: Floats, limit: float, size: int) -> int:
    """Count the most runs of `size` neighbours, none overlapping, that keep the limit: earliest first is best."""
    starts = np.flatnonzero(tightness <= limit).tolist()
    count = at = 0
    while (found := bisect_left(starts, at)) < len(starts):
        at = starts[found] + size
        count += 1
    return count
