"""Matching: no rule is ever broken, each cell is used or the answer says why not, and the goals are kept in view."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mes.bench.match import RULES, SHAPE, cells
from mes.cells.matching.comparison import compare, report
from mes.cells.matching.kits import match
from mes.cells.matching.limits import check, group_check
from mes.cells.matching.lots import plan
from mes.cells.matching.pool import Goals, Matched, PoolCell, Rules, Shape

SMALL = Shape(groups=2, per_group=2)
ALIKE = [PoolCell(at, 15.0, 2.2, 1, "C1", 5, "A", "CELL") for at in range(4)]
WIDE = Rules(capacity_spread_pct=inf, acir_spread_pct=inf, group_spread_pct=inf)


def changed(at: int, **values: object) -> list[PoolCell]:
    """Four cells that are alike, but for one."""
    return [replace(cell, **values) if cell.id == at else cell for cell in ALIKE]


def goals_of(matched: Matched) -> dict[str, tuple[float, float]]:
    """Each goal's value and its best alone."""
    return {goal.name: (goal.value, goal.best_alone) for goal in matched.goals}


@pytest.mark.parametrize(
    ("kit", "rules", "broken"),
    [
        (ALIKE, Rules(), []),
        (ALIKE[:3], Rules(), ["3 cells, 4 are asked"]),
        ([*ALIKE[:3], ALIKE[0]], Rules(), ["cell 0 twice"]),
        (changed(2, model="OTHER"), Rules(), ["2 models, at most 1 allowed"]),
        (changed(2, grade="B"), Rules(), []),
        (changed(2, grade="B"), Rules(one_grade=True), ["2 grades, at most 1 allowed"]),
        (changed(2, grade="B"), Rules(grades=("A",)), ["position 3: wrong grade"]),
        (changed(2, grade=None), Rules(grades=("A",)), ["position 3: no grade"]),
        (changed(3, age_d=31), Rules(max_age_d=30), ["position 4: too old"]),
        (changed(3, age_d=30), Rules(max_age_d=30), []),
        (changed(0, capacity_ah=None), Rules(), ["position 1: no capacity value"]),
        (changed(0, acir_mohm=None), Rules(), ["position 1: no ACIR value"]),
        ([replace(cell, acir_mohm=None) for cell in ALIKE], Rules(), []),
        (changed(1, lot=2), Rules(), ["group 1: 2 lots, at most 1 allowed"]),
        (
            changed(1, lot=2),
            Rules(lots_per_kit=1),
            ["2 lots, at most 1 allowed", "group 1: 2 lots, at most 1 allowed"],
        ),
        (
            changed(0, capacity_ah=15.3),
            Rules(),
            [
                "group 1: capacity spread 1.98 %, at most 1.5 % is allowed",
                "spread between the groups' capacity 0.995 %, at most 0.3 % is allowed",
            ],
        ),
        (changed(3, acir_mohm=2.4), Rules(), ["group 2: ACIR spread 8.7 %, at most 8 % is allowed"]),
    ],
)
def test_every_broken_rule_is_named(kit: Sequence[PoolCell], rules: Rules, broken: list[str]) -> None:
    assert check(kit, SMALL, rules) == broken


def test_one_group_is_checked_alone() -> None:
    assert group_check(ALIKE[:2], Rules()) == []
    assert group_check(changed(0, acir_mohm=2.4)[:2], Rules()) == ["ACIR spread 8.7 %, at most 8 % is allowed"]


@pytest.mark.parametrize(
    ("available", "kits", "expected"),
    [
        ({1: 32, 2: 16}, 9, [{1: 16}, {1: 16}, {2: 16}]),
        ({1: 32, 2: 16}, 2, [{1: 16}, {1: 16}]),
        ({1: 20, 2: 12}, 9, [{1: 16}, {2: 12, 1: 4}]),
        ({1: 20, 2: 20, 3: 8, 4: 16}, 9, [{4: 16}, {3: 8, 1: 8}, {1: 12, 2: 4}, {2: 16}]),  # whole ones first make 3
        ({1: 8, 2: 4, 3: 4}, 9, []),
        ({}, 9, []),
    ],
)
def test_lots_are_planned(available: dict[int, int], kits: int, expected: list[dict[int, int]]) -> None:
    planned = plan(available, 16, 2, kits)
    assert Counter(tuple(sorted(kit.items())) for kit in planned) == Counter(
        tuple(sorted(kit.items())) for kit in expected
    )


@st.composite
def pools(draw: st.DrawFn) -> list[PoolCell]:
    """Cells of several lots, grades, models and ages, some without a value, some far off."""
    count = draw(st.integers(0, 60))
    chance = random.Random(draw(st.integers(0, 10**6)))
    lots, spread = draw(st.integers(1, 4)), draw(st.sampled_from([0.001, 0.004, 0.008]))
    has_acir = draw(st.booleans())
    return [
        PoolCell(
            id=at * 3,
            capacity_ah=chance.choice([None, -1.0, inf])
            if chance.random() < 0.05
            else chance.gauss(15.15, 15 * spread),
            acir_mohm=chance.gauss(2.2, 0.06) if has_acir and chance.random() < 0.95 else None,
            lot=chance.randint(1, lots),
            carton=chance.choice([None, "C1", "C2"]),
            age_d=chance.uniform(0, 33),
            grade=chance.choice([None, "A", "A", "A", "B"]),
            model="CELL" if chance.random() < 0.9 else "OTHER",
            is_odd=chance.random() < 0.1,
        )
        for at in range(count)
    ]


RULES_DRAWN = st.builds(
    Rules,
    grades=st.sampled_from([(), ("A",), ("A", "B")]),
    one_grade=st.booleans(),
    lots_per_group=st.integers(1, 3),
    lots_per_kit=st.integers(1, 3),
    max_age_d=st.sampled_from([None, 30]),
    capacity_spread_pct=st.sampled_from([1.5, inf]),
    acir_spread_pct=st.sampled_from([4, 8, inf]),
    group_spread_pct=st.sampled_from([0.3, 2, inf]),
)
SHAPES = st.builds(Shape, groups=st.integers(1, 4), per_group=st.integers(1, 4))


@settings(max_examples=150, deadline=None)
@given(
    pool=pools(), rules=RULES_DRAWN, shape=SHAPES, kits=st.sampled_from([None, 0, 1, 2]), aim=st.sampled_from([0, 1])
)
def test_no_rule_is_broken_and_every_cell_is_accounted_for(
    pool: list[PoolCell], rules: Rules, shape: Shape, kits: int | None, aim: float
) -> None:
    goals = Goals(aim_pct=aim, together=2)
    matched = match(pool, shape, rules, kits, goals)
    by_id = {cell.id: cell for cell in pool}
    for kit in matched.kits:
        assert check([by_id[cell] for cell in kit.cells], shape, rules) == []
    used = [cell for kit in matched.kits for cell in kit.cells]
    assert sorted([*used, *matched.left]) == [cell.id for cell in pool]
    assert kits is None or len(matched.kits) <= kits
    for goal in matched.goals:
        if goal.unit != "d" and goal.name != "odd cells used":
            assert goal.value >= goal.best_alone - 1e-9, goal
        else:
            assert goal.value <= goal.best_alone + 1e-9, goal
    shuffled = random.Random(0).sample(pool, len(pool))
    assert match(shuffled, shape, rules, kits, goals) == matched


@pytest.mark.parametrize(("count", "acir_pct"), [(112, 8.0), (1008, 5.5)])
def test_a_pack_and_a_pool_are_matched_closely(count: int, acir_pct: float) -> None:
    matched = match(cells(count, seed=0), SHAPE, RULES)
    goals = goals_of(matched)
    assert len(matched.kits) == count // 112
    assert matched.left == {}
    assert goals["spread between groups"][0] <= 0.01
    assert goals["ACIR spread in a group"][0] <= acir_pct
    assert matched.kits[0].group_sums_ah[0] == pytest.approx(7 * 15.15, rel=0.01)


def test_why_cells_are_left() -> None:
    far = [replace(ALIKE[0], id=10 + at, capacity_ah=ah) for at, ah in enumerate((14.0, 16.0))]
    other = [replace(ALIKE[0], id=20, lot=2), replace(ALIKE[0], id=21, lot=3), replace(ALIKE[0], id=22, lot=3)]
    said = [
        replace(ALIKE[0], id=30, grade="B"),
        replace(ALIKE[0], id=31, age_d=99),
        replace(ALIKE[0], id=32, capacity_ah=None),
        replace(ALIKE[0], id=33, acir_mohm=float("nan")),
    ]
    matched = match([*ALIKE, *far, *other, *said], SMALL, Rules(grades=("A",), max_age_d=30))
    assert sorted(matched.kits[0].cells) == [0, 1, 2, 3]
    assert matched.left == {
        10: "too few cells of like capacity for a group",
        11: "too few cells of like capacity for a group",
        20: "its lot has too few left for a group",
        21: "left over: too few for a kit",
        22: "left over: too few for a kit",
        30: "wrong grade",
        31: "too old",
        32: "no capacity value",
        33: "no ACIR value",
    }


def test_a_kit_that_cannot_keep_the_rules_is_not_made_and_the_answer_says_why() -> None:
    pool = [replace(cell, acir_mohm=2.0 + 0.12 * cell.id) for cell in ALIKE]
    pool = [replace(cell, capacity_ah=15.0 if cell.id < 2 else 15.2) for cell in pool]
    matched = match(pool, SMALL, Rules())
    assert matched.kits == ()
    assert matched.notes == (
        (
            "no further kit of 4 cells of lot 1; the best attempt: "
            "spread between the groups' capacity 1.32 %, at most 0.3 % is allowed"
        ),
    )
    assert set(matched.left.values()) == {"left over: no further kit keeps the rules"}


def test_a_swap_with_a_spare_cell_mends_a_kit() -> None:
    lots = [replace(cell, id=10 * lot + cell.id, lot=lot) for lot in (1, 2) for cell in ALIKE[:3]]
    apart = {10: 15.0, 11: 15.0, 12: 15.1, 20: 15.1, 21: 15.1, 22: 15.0}
    pool = [replace(cell, capacity_ah=apart[cell.id]) for cell in lots]
    matched = match(pool, SMALL, Rules(), goals=Goals(first=("middle",)))
    (kit,) = matched.kits
    assert kit.lots == (1, 2)
    assert kit.group_spread_pct <= 0.3


def test_odd_and_old_cells_are_used_first() -> None:
    pool = [replace(cell, is_odd=at % 3 == 0, age_d=float(at % 5)) for at, cell in enumerate(cells(200, seed=1))]
    goals = goals_of(match(pool, SHAPE, RULES, 1))
    assert goals["odd cells used"] == (67, 67)
    mean_age = goals["mean age of the used cells"]
    middle = goals_of(match(pool, SHAPE, RULES, 1, Goals(first=("middle",))))
    assert middle["odd cells used"][0] < 67
    assert middle["mean age of the used cells"][0] < mean_age[0] < mean_age[1]


def test_cells_matched_together_narrow_acir_and_mix_cartons() -> None:
    pool = cells(1120, seed=2)
    apart, together = (goals_of(match(pool, SHAPE, RULES, goals=Goals(together=n))) for n in (1, 10))
    assert apart["ACIR spread in a group"][0] > together["ACIR spread in a group"][0]
    assert apart["cartons per kit"] == (1.6, 1.3)
    assert together["cartons per kit"] == (7.0, 1.3)


def test_lots_are_mixed_in_a_kit_only_where_one_has_too_few() -> None:
    pool = [replace(cell, lot=1 + (cell.id >= 196)) for cell in cells(252, seed=3)]
    matched = match(pool, SHAPE, RULES)
    assert [kit.lots for kit in matched.kits] == [(1,), (1, 2)]
    assert goals_of(matched)["lots per kit"] == (1.5, 1.5)


def test_cells_of_several_lots_share_a_group_where_the_rules_let_them() -> None:
    pool = [replace(cell, lot=cell.id % 3) for cell in cells(12, seed=4)]
    shape = Shape(4, 3)
    assert match(pool, shape, replace(WIDE, lots_per_group=3, lots_per_kit=3)).kits[0].lots == (0, 1, 2)
    assert match(pool, shape, replace(WIDE, lots_per_group=2, lots_per_kit=2)).kits == ()


def test_a_cell_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cells named twice: \[0\]"):
        match([ALIKE[0], ALIKE[0]], SMALL, Rules())


def test_a_comparison_says_what_the_usual_ways_come_to() -> None:
    pool = cells(112, seed=0)
    ways = compare(pool, match(pool, SHAPE, RULES).kits, SHAPE)
    matched, shuffled, blocks = ways
    assert matched.group_spread_pct <= 0.01 < shuffled.group_spread_pct < blocks.group_spread_pct
    assert [line.split()[0] for line in report(ways).splitlines()] == ["cells", "matched", "random", "sorted"]
    assert compare(pool, (), SHAPE) == ()
    assert report(()) == "no kit was matched"
