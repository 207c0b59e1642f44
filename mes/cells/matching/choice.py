"""Which cells go into which kits, before they are balanced."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mes.cells.matching.balance import Floats, Ints, spread
from mes.cells.matching.pool import Goals, PoolCell, Rules, Shape


@dataclass(frozen=True, slots=True)
class Task:
    """Usable cells in the order of their ids, what is known of each as a column, and how they are matched.

    A cell is named by its index. acir: none when no cell has a value. carton: one code for each carton of each lot;
    cells whose carton is unknown count as one carton of their lot.
    """

    cells: Sequence[PoolCell]
    shape: Shape
    rules: Rules
    goals: Goals
    capacity: Floats
    acir: Floats | None
    lot: Ints
    carton: Ints
    age: Floats
    odd: Ints

    @classmethod
    def of(cls, cells: Sequence[PoolCell], shape: Shape, rules: Rules, goals: Goals, *, has_acir: bool) -> "Task":
        """Lay out the cells in columns."""
        cartons = {name: code for code, name in enumerate(dict.fromkeys((cell.lot, cell.carton) for cell in cells))}
        return cls(
            cells,
            shape,
            rules,
            goals,
            capacity=np.array([cell.capacity_ah for cell in cells], dtype=float),
            acir=np.array([cell.acir_mohm for cell in cells], dtype=float) if has_acir else None,
            lot=np.array([cell.lot for cell in cells], dtype=int),
            carton=np.array([cartons[cell.lot, cell.carton] for cell in cells], dtype=int),
            age=np.array([cell.age_d for cell in cells], dtype=float),
            odd=np.array([cell.is_odd for cell in cells], dtype=int),
        )


def allot(task: Task, cells: Ints, kits: int) -> Iterator[tuple[Ints, int]]:
    """Deal out a lot's cells, oldest cartons first, to blocks of kits; some cells more than needed where there are.

    A block is up to `together` kits. Odd cells are in the blocks wherever they lie, if odd cells are used first.
    """
    together = max(1, task.goals.together)
    _, at, counts = np.unique(task.carton[cells], return_inverse=True, return_counts=True)
    age = (np.bincount(at, task.age[cells]) / counts)[at]
    late = 1 - task.odd[cells] if "odd" in task.goals.first else np.zeros(len(cells), dtype=int)
    seen = min(len(cells), (kits + together - 1) * task.shape.cells)
    looked_at = cells[np.lexsort((cells, task.carton[cells], -age, late))[:seen]]
    looked_at = looked_at[np.lexsort((looked_at, task.carton[looked_at]))]
    blocks = np.array_split(np.arange(kits), -(-kits // together))
    ends = np.cumsum([len(block) for block in blocks]) * seen // kits
    for block, part in zip(blocks, np.split(looked_at, ends[:-1]), strict=True):
        yield part, len(block)


def ranked(task: Task, cells: Ints) -> Ints:
    """Order cells by which are to be used first."""
    keys = {
        "odd": -task.odd[cells],
        "old": -np.floor(task.age[cells]),
        "middle": _off_middle(task.capacity[cells], task.rules.capacity_spread_pct),
    }
    if task.acir is not None:
        keys["middle"] = np.maximum(keys["middle"], _off_middle(task.acir[cells], task.rules.acir_spread_pct))
    order = np.lexsort((cells, *(keys[name] for name in reversed(task.goals.first))))
    return np.asarray(cells[order])


def _off_middle(values: Floats, limit_pct: float) -> Floats:
    middle = np.median(values)
    return np.asarray(np.abs(values / middle - 1) * 100 / min(limit_pct, 100))


def slices(task: Task, cells: Ints, kits: int) -> Ints:
    """Cut cells into kits: (kits, cells of each), ACIR ascending.

    By capacity into as few strata as give the most kits whose cells all keep the capacity limit; in each stratum by
    ACIR, so that the cells of a kit are alike.
    """
    by_capacity = cells[np.argsort(task.capacity[cells], kind="stable")]
    size = len(cells) // kits
    best: list[Ints] = []
    fitting = -1
    for count in range(1, kits + 1):
        bounds = np.cumsum([len(part) * size for part in np.array_split(np.arange(kits), count)])[:-1]
        strata = np.split(by_capacity, bounds)
        fit = sum(len(s) for s in strata if spread(task.capacity[s]) <= task.rules.capacity_spread_pct)
        if fit > fitting:
            best, fitting = strata, fit
    if task.acir is not None:
        best = [stratum[np.argsort(task.acir[stratum], kind="stable")] for stratum in best]
    return np.concatenate(best).reshape(kits, size)


def loners(task: Task, cells: Ints, values: Floats, limit_pct: float) -> Ints:
    """Cells that no group can hold: fewer than a group's cells lie within the limit around them."""
    size = task.shape.per_group
    if len(cells) < size:
        return cells[:0]
    by_value = cells[np.argsort(values[cells], kind="stable")]
    runs = np.lib.stride_tricks.sliding_window_view(values[by_value], size)
    starts = np.flatnonzero(spread(runs) <= limit_pct)
    held = np.zeros(len(cells), dtype=bool)
    for offset in range(size):
        held[starts + offset] = True
    return np.asarray(by_value[~held])
