"""Capability and normality against published examples and another implementation."""

from dataclasses import replace

import capstat_core as outside
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from mes.spc.capability import anderson_darling, capability
from mes.spc.charts import Baseline, Numbers, estimate
from tests.spc.published import PISTON_RINGS


def exactly(n: int, mean: float, sigma: float) -> Numbers:
    """Values of just this mean and standard deviation."""
    z = np.random.default_rng(n).normal(size=n)
    return mean + sigma * (z - z.mean()) / z.std(ddof=1)


def test_the_nist_handbooks_example() -> None:
    """6.1.6: limits 8 and 20, mean 16, s = 2: Cp 1.0, Cpk 0.6667, by the upper limit; by the lower 1.3333."""
    values = exactly(100, 16, 2)
    found = capability(values, Baseline(16, 2, 99, 100), 8, 20)
    assert found.cp is not None
    assert found.cpk is not None
    assert found.ppk is not None
    assert (round(found.cp.value, 4), round(found.cpk.value, 4), round(found.ppk.value, 4)) == (1.0, 0.6667, 0.6667)
    below = capability(values, Baseline(16, 2, 99, 100), 8, None)
    assert below.cp is None
    assert below.cpk is not None
    assert round(below.cpk.value, 4) == 1.3333


def test_montgomerys_interval_of_cp() -> None:
    """Limits 38 and 62, n = 20, s = 1.75: Cp 2.29, 95 % from 1.57 to 3.01, worked out from the rounded 2.29."""
    pp = capability(exactly(20, 50, 1.75), Baseline(50, 1.75, 19, 20), 38, 62).pp
    assert pp is not None
    assert round(pp.value, 2) == 2.29
    assert [round(2.29 * bound / pp.value, 2) for bound in (pp.low, pp.high)] == [1.57, 3.01]


def test_piston_rings_as_the_r_package_qcc_prints_them() -> None:
    """Cp 1.703 (1.491, 1.915), Cpk 1.663 (1.448, 1.878): it counts n - 1 degrees of freedom, we those of the ranges."""
    groups = np.array(PISTON_RINGS)
    within = estimate("xbar_r", groups)
    theirs = capability(groups.ravel(), replace(within, df=124), 73.95, 74.05)
    assert [[round(v, 3) for v in (one.value, one.low, one.high)] for one in (theirs.cp, theirs.cpk) if one] == [
        [1.703, 1.491, 1.915],
        [1.663, 1.448, 1.878],
    ]
    ours = capability(groups.ravel(), within, 73.95, 74.05)
    assert ours.cp is not None
    assert theirs.cp is not None
    assert ours.cp.low < theirs.cp.low < theirs.cp.high < ours.cp.high
    assert ours.is_normal


@settings(deadline=None)
@given(some.lists(some.floats(-10, 10), min_size=10, max_size=40), some.floats(0.5, 20))
def test_indices_agree_with_another_implementation(values: list[float], width: float) -> None:
    data = np.array(values).reshape(-1)
    assume(data.std(ddof=1) > 1e-3)
    assume(np.abs(np.diff(data)).mean() > 1e-3)
    theirs = outside.capability(data, lsl=-width, usl=width)
    ours = capability(data, estimate("i_mr", data[:, None]), -width, width)
    for mine, other in ((ours.cp, theirs.cp), (ours.cpk, theirs.cpk), (ours.pp, theirs.pp), (ours.ppk, theirs.ppk)):
        assert mine is not None
        assert mine.value == pytest.approx(other, rel=1e-8)
        assert mine.low < mine.value < mine.high
    statistic, p = anderson_darling(data)
    other = outside.anderson_darling(data)
    assert statistic == pytest.approx(other.statistic, rel=1e-6, abs=1e-9)
    assert p == pytest.approx(other.p_value, rel=1e-5, abs=1e-12)


def test_intervals_hold_what_they_promise() -> None:
    chance = np.random.default_rng(3)
    hits = 0
    for _ in range(1000):
        groups = chance.normal(size=(20, 5))
        cp = capability(groups.ravel(), estimate("xbar_s", groups), -4, 4).cp
        assert cp is not None
        hits += cp.low <= 4 / 3 <= cp.high
    assert 925 <= hits <= 975


def test_values_that_are_not_normal_are_said_to_be() -> None:
    assert not capability(np.random.default_rng(1).exponential(size=200), Baseline(1, 1, 50, 50), 0, 9).is_normal
    assert anderson_darling(np.ones(50)) == (None, None)
    assert anderson_darling(np.arange(7.0)) == (None, None)
