"""Matching beside CP-SAT, which knows the best spread between groups of a small pool, or a bound of it."""

from dataclasses import dataclass
from math import inf
from statistics import median

import pytest
from ortools.sat.python import cp_model

from mes.bench.match import cells
from mes.cells.matching.kits import match
from mes.cells.matching.limits import check
from mes.cells.matching.pool import Goals, PoolCell, Rules, Shape

RULES = Rules(capacity_spread_pct=inf, group_spread_pct=inf)
MATTERS = 1.1  # times as wide as CP-SAT's: printed


@dataclass(frozen=True)
class Case:
    """Pools of some cells for kits of a shape, and how much wider than CP-SAT's the worst kit's spread may be, in %."""

    shape: Shape
    cells: int
    kits: int
    seeds: int
    median_wider_pct: float
    most_wider_pct: float


# Measured over 12 seeds, medians and greatest: 0 and 0.164; 0.040 and 0.174; 0.010 and 0.031; and for 16 groups of 2,
# where CP-SAT proves nothing in its time, never wider.
CASES = {
    "4 groups of 3, 12 cells": Case(Shape(4, 3), 12, 1, 6, 0.01, 0.17),
    "4 groups of 3, two kits of 24 cells": Case(Shape(4, 3), 24, 2, 3, 0.06, 0.18),
    "4 groups of 3, one kit of 24 cells": Case(Shape(4, 3), 24, 1, 3, 0.02, 0.04),
    "16 groups of 2, 32 cells": Case(Shape(16, 2), 32, 1, 2, 0, 0.001),
}


def least_spread_pct(pool: list[PoolCell], shape: Shape, kits: int) -> float:
    """Find the least worst-kit range of group sums, in % of the pool's mean sum, under the ACIR limit."""
    model = cp_model.CpModel()
    groups = range(shape.groups * kits)
    sits = [[model.new_bool_var(f"{cell.id} in {group}") for group in groups] for cell in pool]
    capacity = [round((cell.capacity_ah or 0) * 1e6) for cell in pool]
    acir = [round((cell.acir_mohm or 0) * 1e6) for cell in pool]
    for cell in sits:
        model.add_at_most_one(cell)
    widest = model.new_int_var(0, sum(capacity), "widest")
    sums = []
    for group in groups:
        model.add(sum(cell[group] for cell in sits) == shape.per_group)
        sums.append(sum(ah * cell[group] for ah, cell in zip(capacity, sits, strict=True)))
        low, high = (model.new_int_var(min(acir), max(acir), name) for name in ("low", "high"))
        for mohm, cell in zip(acir, sits, strict=True):
            model.add(low <= mohm).only_enforce_if(cell[group])
            model.add(high >= mohm).only_enforce_if(cell[group])
        total = sum(mohm * cell[group] for mohm, cell in zip(acir, sits, strict=True))
        model.add(100 * shape.per_group * (high - low) <= round(RULES.acir_spread_pct) * total)
    for kit in range(kits):
        least, most = (model.new_int_var(0, sum(capacity), name) for name in ("least", "most"))
        for one in sums[kit * shape.groups : (kit + 1) * shape.groups]:
            model.add(least <= one)
            model.add(most >= one)
        model.add(widest >= most - least)
    model.minimize(widest)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = 0.5
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return inf
    found = solver.objective_value if status in {cp_model.OPTIMAL, cp_model.FEASIBLE} else inf
    return 100 * found / (sum(capacity) / len(capacity) * shape.per_group)


@pytest.mark.parametrize("name", CASES)
def test_matching_comes_close_to_the_best(name: str) -> None:
    case = CASES[name]
    wider: list[float] = []
    for seed in range(case.seeds):
        pool = cells(case.cells, seed)
        best = least_spread_pct(pool, case.shape, case.kits)
        kits = match(pool, case.shape, RULES, case.kits, Goals(aim_pct=0)).kits
        assert len(kits) == case.kits
        for kit in kits:
            assert check([pool[cell] for cell in kit.cells], case.shape, RULES) == []
        reached = max(kit.group_spread_pct for kit in kits)
        wider.append(reached - best)
        if reached > MATTERS * best:
            print(f"{name}, seed {seed}: matched {reached:.4f} %, CP-SAT {best:.4f} %")
    assert median(wider) <= case.median_wider_pct
    assert max(wider) <= case.most_wider_pct
