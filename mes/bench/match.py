"""`mes bench match`: cells of a plant's spread matched into 16s7p kits; spreads and seconds."""

import time
from collections.abc import Mapping
from math import inf, nan
from statistics import median

import numpy as np

from mes.cells.matching.comparison import compare
from mes.cells.matching.kits import match
from mes.cells.matching.pool import PoolCell, Rules, Shape

SHAPE = Shape(groups=16, per_group=7)
RULES = Rules(capacity_spread_pct=inf)  # not graded by capacity: seven such cells spread over 2 % by chance
SIZES = {"one": (112, 1), "pool": (1008, 9), "large": (10_000, 89)}
CARTON = 160


def measure_match(size: str, seeds: int) -> dict[str, float]:
    """Match pools of a size, one of each seed; medians over the seeds, and the share of the wanted kits made."""
    runs = [_run(*SIZES[size], seed) for seed in range(seeds)]
    return {name: median(run[name] for run in runs) for name in runs[0]}


def cells(count: int, seed: int) -> list[PoolCell]:
    """One lot of cells, capacity N(15.15 Ah, 0.8 %) and ACIR N(2.2 mOhm, 3 %), in cartons of 160."""
    random = np.random.default_rng(seed)
    capacity = (15.15 * (1 + 0.008 * random.standard_normal(count))).tolist()
    acir = (2.2 * (1 + 0.03 * random.standard_normal(count))).tolist()
    return [PoolCell(at, capacity[at], acir[at], 1, f"C{at // CARTON}", 10.0, "A", "CELL") for at in range(count)]


def _run(count: int, wanted: int, seed: int) -> Mapping[str, float]:
    pool = cells(count, seed)
    began = time.perf_counter()
    matched = match(pool, SHAPE, RULES, wanted)
    seconds = time.perf_counter() - began
    goals = {goal.name: goal.value for goal in matched.goals}
    ways = {way.name: way.group_spread_pct for way in compare(pool, matched.kits, SHAPE)}
    return {
        "kits_made_pct": 100 * len(matched.kits) / wanted,
        "group_spread_pct": goals.get("spread between groups", nan),
        "acir_spread_pct": goals.get("ACIR spread in a group", nan),
        "cartons_per_kit": goals.get("cartons per kit", nan),
        "seconds": seconds,
        "random_group_spread_pct": ways.get("random", nan),
        "sorted_group_spread_pct": ways.get("sorted blocks", nan),
    }
