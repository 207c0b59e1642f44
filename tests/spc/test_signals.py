"""Nelson's and Western Electric's rules: as published, by their definitions, and as others read them."""

import capstat_core as outside
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from mes.spc.charts import Line, estimate, location
from mes.spc.signals import LONGEST, RULES, signals
from tests.spc.published import GAP_WIDTHS, ORANGE_JUICE, PISTON_RINGS, PISTON_RINGS_AFTER

POINTS = some.lists(some.floats(-4, 4) | some.sampled_from([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]), max_size=60)


def line_of(points: list[float]) -> Line:
    z = np.array(points, dtype=float)
    return Line("value", z, 0.0, np.full(len(z), -3.0), np.full(len(z), 3.0), z)


def broken(points: list[float], rule: str) -> list[int]:
    return [index for index, _ in signals(line_of(points), [rule])]


def test_gap_widths_signal_as_sas_prints_it() -> None:
    """SAS/QC, Tests for Special Causes, tests 1 to 5: test 5 was positive at sample 14, and no other."""
    groups = np.array(GAP_WIDTHS, dtype=float)
    line = location("xbar_r", estimate("xbar_r", groups), groups)
    assert signals(line, [f"nelson_{n}" for n in range(1, 6)]) == [(13, "nelson_5")]


def test_montgomerys_examples_signal_as_printed() -> None:
    before, after = np.array(PISTON_RINGS), np.array(PISTON_RINGS_AFTER)
    baseline = estimate("xbar_r", before)
    assert signals(location("xbar_r", baseline, before), ["nelson_1"]) == []
    beyond = signals(location("xbar_r", baseline, after), ["nelson_1"])
    assert [26 + index for index, _ in beyond] == [37, 38, 39]
    juice = np.array([(defects, 50) for defects in ORANGE_JUICE], dtype=float)
    beyond = signals(location("p", estimate("p", juice), juice), ["western_electric_1"])
    assert [1 + index for index, _ in beyond] == [15, 23]


@pytest.mark.parametrize(
    ("rule", "pattern", "near"),
    [
        ("nelson_1", [0, 3.01], [0, 3.0]),
        ("nelson_1", [0, -3.01], [0, -3.0]),
        ("nelson_2", [0.1] * 9, [0.1] * 8 + [0.0]),
        ("nelson_3", [0, 0.1, 0.2, 0.3, 0.4, 0.5], [0, 0.1, 0.2, 0.3, 0.3, 0.5]),
        ("nelson_3", [0.5, 0.4, 0.3, 0.2, 0.1, 0], [0.4, 0.3, 0.2, 0.1, 0]),
        ("nelson_4", [0, 1] * 7, [0, 1] * 6 + [0]),
        ("nelson_4", [0.1, 0.2] * 7, [0, 1] * 6 + [0, 0]),
        ("nelson_5", [2.1, 0, 2.1], [2.1, 0, -2.1]),
        ("nelson_5", [2.1, 2.1], [2.1, 2.0]),
        ("nelson_6", [1.1, 0, 1.1, 1.1, 1.1], [1.1, 0, 1.1, -1.1, 1.1]),
        ("nelson_7", [0.9, -0.9, 0.5] * 5, [0.9, -0.9, 0.5] * 4 + [0.9, -0.9, 1.0]),
        ("nelson_8", [1.1, -1.1] * 4, [1.1] * 8),
        ("western_electric_1", [3.01], [3.0]),
        ("western_electric_2", [-2.1, 1, -2.1], [-2.1, 1, 1, -2.1]),
        ("western_electric_3", [-1.1, -1.1, 1, -1.1, -1.1], [-1.1, -1.1, 1, 1, -1.1, -1.1]),
        ("western_electric_4", [0.1] * 8, [0.1] * 7),
    ],
)
def test_a_rule_speaks_at_the_point_that_completes_its_pattern_and_not_before(
    rule: str, pattern: list[float], near: list[float]
) -> None:
    assert broken(pattern, rule) == [len(pattern) - 1]
    assert broken(near, rule) == []


def naive(z: list[float], rule: str) -> list[int]:
    """Each rule by its wording, without sharing anything with the code."""
    found = []
    for i in range(len(z)):
        last = lambda n, i=i: z[i - n + 1 : i + 1] if i + 1 >= n else None  # noqa: E731
        some_of = lambda n, i=i: z[max(0, i - n + 1) : i + 1]  # noqa: E731
        said = False
        if rule in {"nelson_1", "western_electric_1"}:
            said = z[i] > 3 or z[i] < -3
        elif rule in {"nelson_2", "western_electric_4"}:
            run = last(9 if rule == "nelson_2" else 8)
            said = run is not None and (min(run) > 0 or max(run) < 0)
        elif rule == "nelson_3" and (run := last(6)):
            said = len(set(run)) == 6 and run in (sorted(run), sorted(run, reverse=True))
        elif rule == "nelson_4" and (run := last(14)):
            ups = [run[k + 1] > run[k] for k in range(13)]
            flat = any(run[k + 1] == run[k] for k in range(13))
            said = not flat and (ups in ([True, False] * 6 + [True], [False, True] * 6 + [False]))
        elif rule in {"nelson_5", "western_electric_2"}:
            high, low = [v > 2 for v in some_of(3)], [v < -2 for v in some_of(3)]
            said = (high[-1] and sum(high) >= 2) or (low[-1] and sum(low) >= 2)
        elif rule in {"nelson_6", "western_electric_3"}:
            high, low = [v > 1 for v in some_of(5)], [v < -1 for v in some_of(5)]
            said = (high[-1] and sum(high) >= 4) or (low[-1] and sum(low) >= 4)
        elif rule == "nelson_7" and (run := last(15)):
            said = min(run) > -1 and max(run) < 1
        elif rule == "nelson_8" and (run := last(8)):
            said = not [v for v in run if -1 <= v <= 1] and any(v > 0 for v in run) and any(v < 0 for v in run)
        if said:
            found.append(i)
    return found


@settings(deadline=None)
@given(POINTS)
@example([0.5, 0.4] * 12)
@example([0.2] * 20)
@example([1.5, -1.5, -1.5] * 5)
def test_every_rule_agrees_with_its_wording(points: list[float]) -> None:
    for rule in RULES:
        if rule != "spread":
            assert broken(points, rule) == naive(points, rule), rule


@settings(deadline=None)
@given(POINTS.filter(lambda points: len(points) >= 15))
def test_every_rule_agrees_with_another_implementation(points: list[float]) -> None:
    chart = outside.ControlChart("X-bar", tuple(points), outside.ControlLimits(0.0, -3.0, 3.0), ())
    theirs = {(v.point, f"nelson_{v.rule}") for v in outside.nelson_rules(chart)}
    theirs |= {(v.point, f"western_electric_{v.rule}") for v in outside.western_electric_rules(chart)}
    ours = set(signals(line_of(points), [rule for rule in RULES if rule != "spread"]))
    # of three points beyond two sigma it names the last alone; here each that completes the pattern, as it comes
    assert theirs <= ours
    assert all(RULES[rule].is_partial for _, rule in ours - theirs)


@settings(deadline=None)
@given(POINTS, some.integers(0, 60))
def test_what_came_long_before_changes_nothing(points: list[float], cut: int) -> None:
    """So a chart may be judged as its points come in, with the last few before them."""
    start = max(0, cut - LONGEST + 1)
    late = {(start + index, rule) for index, rule in signals(line_of(points[start:]), RULES) if start + index >= cut}
    assert late == {(index, rule) for index, rule in signals(line_of(points), RULES) if index >= cut}


def test_false_alarms_are_as_rare_as_published() -> None:
    """Nelson (1984): rule 1 once in 370 points; each of the others less than five in a thousand."""
    calm = np.random.default_rng(8).normal(size=100_000).tolist()
    rates = {rule: len(broken(calm, rule)) / len(calm) for rule in ("nelson_1", "nelson_2", "nelson_5", "nelson_8")}
    assert rates["nelson_1"] == pytest.approx(0.0027, abs=0.0005)
    assert max(rates.values()) < 0.005
