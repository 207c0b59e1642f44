"""Measured cells: 112 of 124 LFP cells are matched into 16s7p, and the groups agree better than in the usual ways."""

import csv
from math import inf
from pathlib import Path

import pytest

from mes.cells.matching.comparison import compare, report
from mes.cells.matching.kits import match
from mes.cells.matching.limits import check
from mes.cells.matching.pool import PoolCell, Rules, Shape

SHAPE = Shape(groups=16, per_group=7)
LEAST_AH, MOST_AH = 1.03, 1.09  # passes: grade A


def measured(folder: Path) -> list[PoolCell]:
    """Read the capacity of cycle 10; graded by it. The file has no ACIR."""
    path = folder / "cells" / "lfp_cells_124.csv"
    if not path.is_file():
        pytest.skip("the file ../shared/data/cells/lfp_cells_124.csv with measured cells is absent")
    with path.open() as file:
        capacities = [float(row["capacity_ah_cycle_10"]) for row in csv.DictReader(file)]
    return [
        PoolCell(at, ah, None, 1, None, 0, "A" if LEAST_AH <= ah <= MOST_AH else None, "APR18650M1A")
        for at, ah in enumerate(capacities)
    ]


def test_matched_groups_agree_better_than_random_ones_and_those_than_sorted_blocks(shared_data: Path) -> None:
    pool = measured(shared_data)
    rules = Rules(grades=("A",), one_grade=True, capacity_spread_pct=inf)
    found = match(pool, SHAPE, rules)
    (kit,) = found.kits
    assert check([pool[cell] for cell in kit.cells], SHAPE, rules) == []
    assert found.notes == ("no cell has an ACIR value: its limit is not applied",)
    assert sorted([*kit.cells, *found.left]) == list(range(124))
    assert [found.left[cell.id] for cell in pool if cell.grade is None] == ["no grade"] * 2
    ways = compare(pool, found.kits, SHAPE)
    print(report(ways))
    matched, random, blocks = ways
    assert [way.name for way in ways] == ["matched", "random", "sorted blocks"]
    assert matched.group_spread_pct == pytest.approx(kit.group_spread_pct)
    assert matched.group_spread_pct <= 0.01
    assert 100 * matched.group_spread_pct < random.group_spread_pct < blocks.group_spread_pct
    assert {way.acir_spread_pct for way in ways} == {None}


def test_with_the_capacity_limit_no_kit_can_be_made_and_the_answer_says_so(shared_data: Path) -> None:
    found = match(measured(shared_data), SHAPE, Rules(grades=("A",)))
    assert found.kits == ()
    assert found.goals == ()
    (_, why) = found.notes
    assert why.startswith("no further kit of 122 cells of lot 1; the best attempt: ")
    assert "at most" in why
