"""Puts a station's cycles into rational subgroups, and judges each line of a chart by its rules. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from mes.products.chart_spec import ChartSpec
from mes.spc.charts import ATTRIBUTES, Baseline, Line, Numbers, estimate, location, spread
from mes.spc.signals import LONGEST, RULES, signals

CONTEXT = LONGEST  # so many subgroups before a point decide with it; one more for the first moving range


@dataclass(frozen=True, slots=True)
class Measured:
    """One cycle's values of a characteristic, and which of them failed, counted from 0."""

    cycle_id: int
    at: datetime
    subject: str
    numbers: Sequence[float]
    failed: Sequence[int]


Subgroup = Sequence[Measured]


@dataclass(frozen=True, slots=True)
class Charting:
    """How a characteristic of so many values a cycle is charted."""

    spec: ChartSpec
    count: int

    @property
    def shape(self) -> str:
        """What the points are made of: limits of another shape say nothing about them."""
        return f"{self.spec.chart}, {self.spec.size} x {self.count}, {self.spec.baseline} by {self.spec.by}"

    @property
    def positions(self) -> Sequence[int]:
        """The lines of the chart: 1 to count, or the one line, 0."""
        return range(1, self.count + 1) if self.spec.by == "position" else (0,)

    def first(self, cycles: Sequence[Measured]) -> list[Subgroup]:
        """Whole subgroups from the first cycle on."""
        size = self.spec.size
        return [cycles[start : start + size] for start in range(0, len(cycles) - size + 1, size)]

    def last(self, cycles: Sequence[Measured]) -> list[Subgroup]:
        """Whole subgroups up to the last cycle."""
        return self.first(cycles[len(cycles) % self.spec.size :])

    def numbers(self, subgroups: Sequence[Subgroup], position: int) -> Numbers:
        """A row for each subgroup: its values, or how many failed of how many."""
        of = slice(position - 1, position) if position else slice(None)
        if self.spec.chart not in ATTRIBUTES:
            rows = [[value for cycle in group for value in cycle.numbers[of]] for group in subgroups]
            return np.array(rows, dtype=float).reshape(len(subgroups), -1)
        inspected = self.spec.size * (self.count if self.spec.chart == "p" and not position else 1)
        failed = [sum(position in {0, index + 1} for cycle in group for index in cycle.failed) for group in subgroups]
        return np.array([(bad, inspected) for bad in failed], dtype=float).reshape(len(subgroups), 2)

    def baselines(self, subgroups: Sequence[Subgroup]) -> list[Baseline]:
        """What each line is compared with from then on."""
        return [estimate(self.spec.chart, self.numbers(subgroups, position)) for position in self.positions]

    def lines(self, baseline: Baseline, subgroups: Sequence[Subgroup], position: int) -> tuple[Line, Line | None]:
        """The lines of values and of their spread."""
        numbers = self.numbers(subgroups, position)
        return location(self.spec.chart, baseline, numbers), spread(self.spec.chart, baseline, numbers)

    def broken(self, line: Line, of_spread: Line | None) -> dict[int, list[str]]:
        """The rules that each point breaks, by its index; points that break none are left out."""
        found: defaultdict[int, list[str]] = defaultdict(list)
        for index, rule in signals(line, self.spec.rule_names()):
            found[index].append(rule)
        for index, rule in signals(of_spread, ["spread"]) if of_spread else ():
            found[index].append(rule)
        return found


@dataclass(frozen=True, slots=True)
class Point:
    """A point that broke rules. `subgroups`: those of the pattern that it completes."""

    position: int
    rules: Sequence[str]
    value: float
    center: float
    lower: float
    upper: float
    subgroups: Sequence[Subgroup]


def judge(
    charting: Charting, baselines: Sequence[Baseline], before: Sequence[Subgroup], new: Sequence[Subgroup]
) -> list[Point]:
    """The points of new subgroups that break rules, with what came right before them."""
    known = list(before[-CONTEXT:])
    all_of = [*known, *new]
    found = []
    for position, baseline in zip(charting.positions, baselines, strict=True):
        line, of_spread = charting.lines(baseline, all_of, position)
        for index, rules in sorted(charting.broken(line, of_spread).items()):
            if index < len(known):
                continue
            longest = max(RULES[rule].length for rule in rules)
            found.append(
                Point(
                    position=position,
                    rules=rules,
                    value=float(line.points[index]),
                    center=line.center,
                    lower=float(line.lower[index]),
                    upper=float(line.upper[index]),
                    subgroups=all_of[max(0, index - longest + 1) : index + 1],
                )
            )
    return found
