"""Gauge studies against the example of AIAG's manual and another implementation."""

import math

import capstat_core as outside
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mes.spc.gauge import NotBalanced, gauge_study, lay_out
from tests.spc.published import AIAG_GAUGE

STUDY = gauge_study(np.array(AIAG_GAUGE).reshape(10, 3, 3))


def test_the_analysis_of_aiags_example() -> None:
    """MSA, 4th edition: squares, degrees of freedom and mean squares as printed; F by repeatability as it prints it."""
    rows = {row.name: row for row in STUDY.table}
    assert {name: (round(row.squares, 4), row.df) for name, row in rows.items()} == {
        "operator": (3.1673, 2),
        "part": (88.3619, 9),
        "interaction": (0.3590, 18),
        "repeatability": (2.7589, 60),
    }
    assert [round(row.mean_square, 5) for row in STUDY.table] == [1.58363, 9.81799, 0.01994, 0.04598]
    error = rows["repeatability"].mean_square
    assert round(rows["operator"].mean_square / error, 2) == 34.44
    assert round(rows["part"].mean_square / error, 2) == 213.52
    assert rows["interaction"].f == pytest.approx(0.434, abs=5e-4)
    assert rows["interaction"].p == pytest.approx(0.974, abs=5e-4)
    assert STUDY.is_pooled


def test_the_components_of_aiags_example() -> None:
    """EV 0.199933, AV 0.226838, GRR 0.302373, PV 1.042327, TV 1.085, and their parts of the total."""
    deviations = {name.split()[-1]: math.sqrt(v) for name, v in STUDY.components.items()}
    printed = {"(EV)": 0.199933, "(AV)": 0.226838, "(GRR)": 0.302373, "(PV)": 1.042327}
    for name, value in printed.items():
        assert deviations[name] == pytest.approx(value, abs=2e-6)
    assert round(deviations["(TV)"], 3) == 1.085
    assert [round(100 * v / STUDY.total, 1) for v in STUDY.components.values()] == [3.4, 4.4, 7.8, 92.2, 100]
    assert [round(100 * math.sqrt(v / STUDY.total), 1) for v in STUDY.components.values()] == [
        18.4,
        20.9,
        27.9,
        96.0,
        100,
    ]
    assert STUDY.categories == 4


def test_minitab_prints_the_same_components() -> None:
    variances = [STUDY.gauge, STUDY.repeatability, STUDY.reproducibility, STUDY.part]
    assert [round(v, 5) for v in variances] == [0.09143, 0.03997, 0.05146, 1.08645]


@settings(deadline=None)
@given(
    some.tuples(some.integers(2, 8), some.integers(2, 4), some.integers(2, 3), some.integers(0, 2**32 - 1)),
    some.floats(0, 2),
    some.floats(0, 2),
)
def test_studies_agree_with_another_implementation(
    shape: tuple[int, int, int, int], operator: float, interaction: float
) -> None:
    parts, operators, trials, seed = shape
    chance = np.random.default_rng(seed)
    measured = (
        chance.normal(size=(parts, 1, 1))
        + operator * chance.normal(size=(1, operators, 1))
        + interaction * chance.normal(size=(parts, operators, 1))
        + 0.3 * chance.normal(size=(parts, operators, trials))
    )
    ours, theirs = gauge_study(measured), outside.gage_rr(measured, interaction_alpha=0.25)
    assert ours.is_pooled is not theirs.interaction_included
    mine = (ours.repeatability, ours.operator, ours.interaction, ours.part)
    other = (theirs.var_repeatability, theirs.var_operator, theirs.var_interaction, theirs.var_part)
    assert mine == pytest.approx(other, rel=1e-9, abs=1e-12)


def test_rows_are_laid_out_by_name_and_a_gap_is_refused() -> None:
    rows = [(part, who, float(trial)) for trial in (1, 2) for who in ("A", "B") for part in ("1", "2", "3")]
    assert lay_out(rows).shape == (3, 2, 2)
    for wrong in (rows[:-1], [*rows, ("4", "A", 1.0)], []):
        with pytest.raises(NotBalanced):
            gauge_study(lay_out(wrong))


def test_a_gauge_without_variation_of_its_own_tells_no_number_of_categories() -> None:
    study = gauge_study(np.arange(3.0)[:, None, None] * np.ones((3, 2, 2)))
    assert (study.gauge, study.categories) == (0, None)
