"""Balances kits: swaps cells between groups until the groups' capacity sums agree, within limits of spread."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mes.cells.matching.pool import Rules, Shape

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Where the ACIR limits that are tried lie, from the tightest possible to the loosest.
_LADDER = np.linspace(0.05, 1, 10)
_PENALTY = 1000.0  # of the square of a spread beyond its limit, beside the square of a sum's deviation, both in %
_LEAST_GAIN = 1e-9
_MARGIN = 0.99  # of a limit: ranges are taken of logarithms, which differ a little from shares of the mean


@dataclass(frozen=True, slots=True)
class Balanced:
    """One kit: the column at each position; the spread between group sums, and the least that was seen."""

    order: Ints
    group_spread_pct: float
    least_pct: float


def balance(
    capacity: Floats, acir: Floats | None, blend: Ints, shape: Shape, rules: Rules, aim_pct: float
) -> list[Balanced]:
    """Arrange the cells of some kits; a heuristic, and the rules may remain broken.

    capacity, acir: (kits, columns), the first `shape.cells` columns in the order of positions with ACIR ascending in
    each blend; further columns are spare cells that may take a place. blend: (kits, columns), only cells of the same
    one are swapped. Each kit is balanced under a ladder of ACIR limits, all at once; of the results the one is taken
    that breaks rules least, then reaches `aim_pct` between group sums, then has the lowest ACIR spread.
    """
    kits, cells = len(capacity), shape.cells
    logs = [100 * np.log(capacity)]
    limits = [np.full(kits, _MARGIN * rules.capacity_spread_pct)]
    steps = 1
    if acir is not None:
        steps = len(_LADDER)
        logs.append(100 * np.log(acir))
        grouped = logs[1][:, :cells].reshape(kits, shape.groups, -1)
        tight = np.ptp(grouped, axis=2).max(1)
        loose = np.minimum(np.ptp(logs[1], axis=1), _MARGIN * rules.acir_spread_pct)
        tight = np.minimum(tight, 0.6 * loose) if blend.shape[1] > cells else tight
        tight = np.maximum(tight, 1e-3)
        loose = np.maximum(loose, tight)
        limits.append((tight[:, None] * (loose / tight)[:, None] ** _LADDER).ravel())
    limits[0] = np.repeat(limits[0], steps)
    logs = [np.repeat(values, steps, axis=0) for values in logs]
    share = np.repeat(100 * capacity / (capacity[:, :cells].sum(1, keepdims=True) / shape.groups), steps, axis=0)
    bounded = [(v, limit) for v, limit in zip(logs, limits, strict=True) if (np.ptp(v, axis=1) > limit).any()]
    orders = _descend(share, bounded, np.repeat(blend, steps, axis=0), shape).reshape(kits, steps, -1)
    impedances = [None] * kits if acir is None else list(acir)
    return [
        _best(order[:, :cells], mine, impedance, shape, rules, aim_pct)
        for order, mine, impedance in zip(orders, capacity, impedances, strict=True)
    ]


def _best(orders: Ints, capacity: Floats, acir: Floats | None, shape: Shape, rules: Rules, aim_pct: float) -> Balanced:
    grouped = capacity[orders].reshape(len(orders), shape.groups, -1)
    between = spread(grouped.sum(2))
    within = spread(grouped).max(1)
    acir_within = np.zeros(len(orders)) if acir is None else spread(acir[orders].reshape(grouped.shape)).max(1)
    excess = np.zeros(len(orders))
    for seen, limit in (
        (between, rules.group_spread_pct),
        (within, rules.capacity_spread_pct),
        (acir_within, rules.acir_spread_pct),
    ):
        excess += np.maximum(0, seen / limit - 1)
    taken = np.lexsort((acir_within, np.maximum(between, aim_pct), excess))[0]
    return Balanced(orders[taken], float(between[taken]), float(between[excess <= excess[taken]].min()))


def spread(values: Floats) -> Floats:
    """(greatest - least) / mean along the last axis, in %."""
    return np.asarray(100 * np.ptp(values, axis=-1) / values.mean(-1))


def _descend(share: Floats, bounded: Sequence[tuple[Floats, Floats]], blend: Ints, shape: Shape) -> Ints:
    """Make the best swap of the worst group's cells in every problem (row), until no group has one; gives the columns.

    share: capacity in % of the mean group sum. bounded: values whose range in a group has a limit, and that limit.
    The cost is the squares of the sums' deviations, and those of the ranges beyond their limits, which weigh more.
    """
    problems, columns = share.shape
    share, values = share.copy(), [v.copy() for v, _ in bounded]
    order = np.tile(np.arange(columns), (problems, 1))
    in_kit = np.arange(columns) < shape.cells
    group = np.where(in_kit, np.arange(columns) // shape.per_group, 0)
    is_blended = (blend != blend[:, :1]).any()
    stuck = np.zeros((problems, shape.groups), dtype=bool)
    live = np.arange(problems)
    while len(live):
        each = np.arange(len(live))
        ranges = [_Ranges.of(v[live], limit[live], shape) for v, (_, limit) in zip(values, bounded, strict=True)]
        now = share[live]
        sums = now[:, : shape.cells].reshape(len(live), shape.groups, -1).sum(2)
        deviation = sums - sums.mean(1, keepdims=True)
        excess = sum((one.excess for one in ranges), np.zeros_like(deviation))
        worst = np.where(stuck[live], -1, deviation**2 + excess).argmax(1)
        rows = worst[:, None] * shape.per_group + np.arange(shape.per_group)
        here = (each[:, None], rows)
        gain = now[:, None, :] - now[here][:, :, None]  # (problems, per_group, columns)
        cost = gain * np.where(in_kit, 2, 1 - 1 / shape.groups)  # a spare cell moves the mean as well
        cost += 2 * (deviation[each, worst][:, None] - deviation[:, group] * in_kit)[:, None, :]
        cost *= gain
        mended = excess[each, worst][:, None] + excess[:, group] * in_kit
        cost -= np.where(in_kit & (group == worst[:, None]), -np.inf, mended)[:, None, :]
        for one in ranges:
            cost += one.excess_after(here)
        if is_blended:
            cost[blend[live][:, None, :] != blend[live][here][:, :, None]] = np.inf
        row, column = np.divmod(cost.reshape(len(live), -1).argmin(1), columns)
        improves = cost[each, row, column] < -_LEAST_GAIN
        a = (live[improves], rows[each, row][improves])
        b = (live[improves], column[improves])
        for swapped in (share, order, *values):
            swapped[a], swapped[b] = swapped[b], swapped[a]
        stuck[live[improves]] = False
        stuck[live[~improves], worst[~improves]] = True
        live = live[~stuck[live].all(1)]
    return order


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Values bounded in their groups: for each cell the least and greatest of the others in its group."""

    values: Floats
    limit: Floats
    least: Floats
    greatest: Floats
    excess: Floats  # (problems, groups)

    @classmethod
    def of(cls, values: Floats, limit: Floats, shape: Shape) -> "_Ranges":
        cells = values[:, : shape.cells].reshape(len(values), shape.groups, -1)
        ranked = np.sort(cells, axis=2)
        low, high = ranked[:, :, :1], ranked[:, :, -1:]
        least = np.full(values.shape, np.inf)
        greatest = np.full(values.shape, -np.inf)
        if shape.per_group > 1:
            least[:, : shape.cells] = np.where(cells == low, ranked[:, :, 1:2], low).reshape(len(values), -1)
            greatest[:, : shape.cells] = np.where(cells == high, ranked[:, :, -2:-1], high).reshape(len(values), -1)
        excess = _PENALTY * np.maximum(0, (high - low)[:, :, 0] - limit[:, None]) ** 2
        return cls(values, limit, least, greatest, excess)

    def excess_after(self, here: tuple[Ints, Ints]) -> Floats:
        """Penalties of both groups when the cell `here` and the cell of each column change places."""
        there, mine = self.values[:, None, :], self.values[here][:, :, None]
        ours = np.maximum(self.greatest[here][:, :, None], there)
        ours -= np.minimum(self.least[here][:, :, None], there)
        theirs = np.maximum(self.greatest[:, None, :], mine)
        theirs -= np.minimum(self.least[:, None, :], mine)
        for ranges in (ours, theirs):
            np.subtract(ranges, self.limit[:, None, None], out=ranges)
            np.maximum(ranges, 0, out=ranges)
            np.square(ranges, out=ranges)
        ours += theirs
        ours *= _PENALTY
        return ours
