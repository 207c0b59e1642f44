"""Constants and limits against the published ones, and against another implementation."""

import capstat_core as outside
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mes.spc.charts import c4, estimate, location, range_moments, spread
from tests.spc.published import DYED_CLOTH, FLOW_RATE, ORANGE_JUICE, PISTON_RINGS

# the table of NIST/SEMATECH e-Handbook 6.3.2, ASTM and Montgomery: A2, d2, d3, D3, D4, A3, c4, B3, B4
TABLE = {
    2: (1.880, 1.128, 0.853, 0.000, 3.267, 2.659, 0.7979, 0.000, 3.267),
    3: (1.023, 1.693, 0.888, 0.000, 2.575, 1.954, 0.8862, 0.000, 2.568),
    4: (0.729, 2.059, 0.880, 0.000, 2.282, 1.628, 0.9213, 0.000, 2.266),
    5: (0.577, 2.326, 0.864, 0.000, 2.114, 1.427, 0.9400, 0.000, 2.089),
    6: (0.483, 2.534, 0.848, 0.000, 2.004, 1.287, 0.9515, 0.030, 1.970),
    7: (0.419, 2.704, 0.833, 0.076, 1.924, 1.182, 0.9594, 0.118, 1.882),
    8: (0.373, 2.847, 0.820, 0.136, 1.864, 1.099, 0.9650, 0.185, 1.815),
    9: (0.337, 2.970, 0.808, 0.184, 1.816, 1.032, 0.9693, 0.239, 1.761),
    10: (0.308, 3.078, 0.797, 0.223, 1.777, 0.975, 0.9727, 0.284, 1.716),
}


@pytest.mark.parametrize("n", TABLE)
def test_constants_agree_with_the_printed_table(n: int) -> None:
    d2, d3 = range_moments(n)
    unbias = c4(n)
    spread_of_s = 3 * (1 - unbias**2) ** 0.5 / unbias
    a2, a3 = 3 / (d2 * n**0.5), 3 / (unbias * n**0.5)
    ours = (a2, d2, d3, max(0, 1 - 3 * d3 / d2), 1 + 3 * d3 / d2, a3, unbias, max(0, 1 - spread_of_s), 1 + spread_of_s)
    # tables are printed to three places (c4 to four), some made of rounded ones: the last place may be one off
    assert ours == pytest.approx(TABLE[n], abs=1.01e-3)
    assert unbias == pytest.approx(TABLE[n][6], abs=5e-5)


@pytest.mark.parametrize("n", range(2, 26))
def test_constants_agree_with_another_implementation(n: int) -> None:
    assert range_moments(n) == pytest.approx((outside.d2(n), outside.d3(n)), rel=1e-9)
    assert c4(n) == pytest.approx(outside.c4(n), rel=1e-12)


def test_individuals_of_the_nist_handbook() -> None:
    groups = np.array(FLOW_RATE)[:, None]
    baseline = estimate("i_mr", groups)
    line, ranges = location("i_mr", baseline, groups), spread("i_mr", baseline, groups)
    assert ranges is not None
    assert (line.center, round(ranges.center, 4)) == (pytest.approx(50.81), 1.8778)
    # the handbook divides by a d2 rounded to 1.128: with it all the digits it prints
    rounded = 3 * ranges.center / 1.128
    assert (round(line.center + rounded, 4), round(line.center - rounded, 4)) == (55.8041, 45.8159)
    assert (line.upper[0], line.lower[0]) == pytest.approx((55.8041, 45.8159), abs=2e-3)
    assert np.isnan(ranges.z[0])


def test_means_and_ranges_of_montgomerys_piston_rings() -> None:
    groups = np.array(PISTON_RINGS)
    baseline = estimate("xbar_r", groups)
    line, ranges = location("xbar_r", baseline, groups), spread("xbar_r", baseline, groups)
    assert ranges is not None
    assert (round(line.center, 5), round(ranges.center, 5)) == (74.00118, 0.02276)
    assert (round(line.upper[0], 4), round(line.lower[0], 5)) == (74.0143, 73.98805)
    assert (round(ranges.upper[0], 5), ranges.lower[0]) == (pytest.approx(0.04812, abs=1.01e-5), 0)
    assert round(baseline.sigma, 8) == 0.00978534


def test_means_and_deviations_of_montgomerys_piston_rings() -> None:
    groups = np.array(PISTON_RINGS)
    baseline = estimate("xbar_s", groups)
    deviations = spread("xbar_s", baseline, groups)
    assert deviations is not None
    assert round(deviations.center, 4) == 0.0092
    assert round(deviations.upper[0], 4) == 0.0193


def test_fractions_of_the_nist_handbook() -> None:
    groups = np.array([(defects, 50) for defects in ORANGE_JUICE], dtype=float)
    line = location("p", estimate("p", groups), groups)
    assert round(line.center, 7) == 0.2313333
    assert (round(line.upper[0], 7), round(line.lower[0], 8)) == (0.4102391, 0.05242755)


def test_rates_of_dyed_cloth_with_units_of_different_size() -> None:
    groups = np.array(DYED_CLOTH, dtype=float)
    line = location("u", estimate("u", groups), groups)
    assert round(line.center, 5) == 1.40367
    assert line.upper[:2] == pytest.approx((1.40367 + 3 * (1.40367 / 10) ** 0.5, 1.40367 + 3 * (1.40367 / 8) ** 0.5))


@settings(deadline=None)
@given(
    some.integers(2, 10).flatmap(
        lambda n: some.lists(some.lists(some.floats(-100, 100), min_size=n, max_size=n), min_size=3, max_size=30)
    )
)
def test_limits_agree_with_another_implementation(rows: list[list[float]]) -> None:
    groups = np.array(rows)
    if np.ptp(groups, axis=1).max() < 1e-6:
        return
    for kind, of in (("xbar_r", outside.xbar_r_chart), ("xbar_s", outside.xbar_s_chart)):
        pair, baseline = of(groups), estimate(kind, groups)  # type: ignore[arg-type]
        line, widths = location(kind, baseline, groups), spread(kind, baseline, groups)  # type: ignore[arg-type]
        assert widths is not None
        assert (baseline.sigma, line.upper[0]) == pytest.approx(
            (pair.sigma_within, pair.location.limits.upper), rel=1e-8
        )
        theirs = pair.dispersion.limits
        assert (widths.center, widths.lower[0], widths.upper[0]) == pytest.approx(
            (theirs.center, theirs.lower, theirs.upper), rel=1e-7, abs=1e-9
        )


def test_degrees_of_freedom_are_those_of_the_estimator() -> None:
    chance = np.random.default_rng(1)
    for kind, shape in (("i_mr", (30, 1)), ("xbar_r", (20, 5)), ("xbar_s", (20, 5))):
        made = [estimate(kind, chance.normal(size=shape)) for _ in range(4000)]  # type: ignore[arg-type]
        sigmas = np.array([one.sigma for one in made])
        assert 1 / (2 * sigmas.var()) == pytest.approx(made[0].df, rel=0.08)
        assert sigmas.mean() == pytest.approx(1, abs=0.01)


def test_a_process_that_never_varied_makes_any_other_value_far_off() -> None:
    baseline = estimate("i_mr", np.full((5, 1), 2.0))
    assert location("i_mr", baseline, np.array([[2.0], [2.1]])).z.tolist() == [0, np.inf]
