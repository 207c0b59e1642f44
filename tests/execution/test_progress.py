"""Where a unit stands in its route, by tables of cases: alternatives, rework, repeats, attempts. No database."""

from collections.abc import Sequence
from typing import Any

import pytest

from mes.execution.rules.progress import Progress, StepSeen, choose_step
from mes.execution.rules.route import has_reached
from mes.products.rules import Conditions, StepPlan


def a_step(ordinal: int, operation: str, *after: str, **conditions: Any) -> StepPlan:
    made = Conditions(**{name: tuple(v) if isinstance(v, list) else v for name, v in conditions.items()})
    return StepPlan(ordinal, operation, ordinal, operation, after, None, (), 0, 0, (), made)


ROUTE = {
    step.operation: step
    for step in (
        a_step(1, "10"),
        a_step(2, "20", "10"),
        a_step(3, "25", "10", instead_of="20"),
        a_step(4, "30", "20"),
        a_step(5, "31", rework_of=["30"], repeats=["10"]),
        a_step(6, "32", "31", rework_of=["30"]),
        a_step(7, "40", "30"),
    )
}


def told(*cycles: str, reworks: dict[str, int] | None = None) -> Progress:
    """Progress after cycles told as "10+" (passed) or "30-" (failed), numbered from 1."""
    seen: dict[int, StepSeen] = {}
    for number, cycle in enumerate(cycles, 1):
        step = ROUTE[cycle[:-1]]
        before = seen.get(step.id, StepSeen((), ()))
        seen[step.id] = StepSeen([*before.ids, number], [*before.passed, cycle.endswith("+")])
    return Progress(ROUTE, seen, reworks or {}, None)


@pytest.mark.parametrize(
    ("cycles", "ready"),
    [
        ((), ["10"]),
        (("10-",), ["10"]),
        (("10+",), ["20", "25"]),
        (("10+", "25+"), ["30"]),
        (("10+", "20+", "30-"), ["31"]),
        (("10+", "20+", "30-", "31-"), ["31"]),
        (("10+", "20+", "30-", "31+"), ["10", "32"]),
        (("10+", "20+", "30-", "31+", "32+"), ["10"]),
        (("10+", "20+", "30-", "31+", "32+", "10+"), ["30"]),
        (("10+", "20+", "30-", "31+", "32+", "30+"), ["10"]),
        (("10+", "20+", "30-", "31+", "32+", "30-"), ["10", "31"]),
        (("10+", "20+", "30-", "31+", "32+", "10+", "30+", "40+"), []),
    ],
)
def test_what_can_be_done_next(cycles: Sequence[str], ready: Sequence[str]) -> None:
    assert told(*cycles).ready() == list(ready)


def test_a_unit_is_complete_without_reworks_and_with_one_of_two_alternatives() -> None:
    assert told("10+", "25+", "30+", "40+").is_complete()
    assert not told("10+", "25+", "30+").is_complete()
    assert not told("10+", "25+", "30-", "31+", "32+", "30+", "40+").is_complete(), "10 is owed again"


def test_a_decision_opens_a_rework_of_what_had_passed() -> None:
    done = ("10+", "20+", "30+", "40+")
    assert told(*done, reworks={"30": 4}).ready() == ["31"]
    assert told(*done, reworks={"20": 4}).ready() == ["20", "25"]
    assert told("10+", "25+", "30+", "40+", reworks={"20": 4}).ready() == ["20", "25"], "25 stood in its place"
    assert told(*done, "31+", "32+", "30+", "10+", reworks={"30": 4}).is_complete()


@pytest.mark.parametrize(
    ("operation", "cycles", "reworks", "tries"),
    [
        ("30", ("10+", "20+", "30-", "30-", "30+"), {}, 2),
        ("31", ("30-", "31+", "30-", "31+"), {}, 2),
        ("30", ("30-", "30-", "30-"), {"30": 2}, 1),
        ("31", ("30-", "31+", "30-", "31-"), {"30": 3}, 1),
    ],
)
def test_tries_count_failures_and_reworks_since_the_last_decision(
    operation: str, cycles: Sequence[str], reworks: dict[str, int], tries: int
) -> None:
    assert told(*cycles, reworks=reworks).at(ROUTE[operation]).tries() == tries


def test_a_station_of_two_operations_does_the_one_that_is_next() -> None:
    both = ("30", "31")
    assert choose_step(told("10+", "20+"), both) is ROUTE["30"]
    assert choose_step(told("10+", "20+", "30-"), both) is ROUTE["31"]
    assert choose_step(told("10+", "20+", "30-"), both, "30") is ROUTE["30"]
    assert choose_step(told(), both) is ROUTE["30"]
    assert choose_step(told(), both, "10") is None
    assert choose_step(told(), ("99",)) is None


@pytest.mark.parametrize(
    ("step", "intercept", "stopped"),
    [("20", None, True), ("20", "30", False), ("30", "30", True), ("40", "30", True), ("20", "99", False)],
)
def test_an_intercept_is_reached_at_its_operation_and_behind(step: str, intercept: str | None, stopped: bool) -> None:
    assert has_reached(told().at(ROUTE[step]), (step,), intercept) is stopped


def test_an_intercept_elsewhere_is_reached_at_its_own_station() -> None:
    assert has_reached(told().at(ROUTE["20"]), ("20", "99"), "99")
