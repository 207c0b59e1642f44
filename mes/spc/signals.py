"""The rules that tell a signal from chance: Nelson's eight and Western Electric's four. Pure.

Nelson, "The Shewhart control chart: tests for special causes", J. Quality Technology 16 (1984) 237-239; Western
Electric, Statistical Quality Control Handbook (1956), as in NIST/SEMATECH e-Handbook 6.3.2. Both sets at once on a
process that is well give a false alarm about every fortieth point: a plan names what it looks for.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mes.spc.charts import Line

Window = Sequence[float]


@dataclass(frozen=True, slots=True)
class Rule:
    """`is_broken` judges the last `length` points: their distances in sigmas or, for `of_values`, as plotted.

    `is_partial`: fewer points are enough. `for_counts`: it holds for fractions and rates, whose zones aren't even.
    """

    words: str
    length: int
    is_broken: Callable[[Window], bool]
    of_values: bool = False
    is_partial: bool = False
    for_counts: bool = False


def _beyond(sigmas: float, least: int) -> Callable[[Window], bool]:
    """So many points beyond, on the side of the last, which is one of them: a pattern is told where it is complete."""

    def judge(z: Window) -> bool:
        side = 1 if z[-1] > 0 else -1
        return side * z[-1] > sigmas and sum(side * one > sigmas for one in z) >= least

    return judge


def _one_side(z: Window) -> bool:
    return all(one > 0 for one in z) or all(one < 0 for one in z)


def _trend(values: Window) -> bool:
    return all(b > a for a, b in pairwise(values)) or all(b < a for a, b in pairwise(values))


def _alternates(values: Window) -> bool:
    return all((b - a) * (c - b) < 0 for (a, b), (_, c) in pairwise(pairwise(values)))


def _hugs(z: Window) -> bool:
    return all(abs(one) < 1 for one in z)


def _avoids(z: Window) -> bool:
    return all(abs(one) > 1 for one in z) and min(z) < 0 < max(z)


def _run(length: int) -> Rule:
    return Rule(f"{length} points in a row on one side of the centre", length, _one_side, for_counts=True)


_FAR = Rule("a point beyond three sigma", 1, _beyond(3, 1), for_counts=True)
_TWO = Rule("two of three points beyond two sigma on one side", 3, _beyond(2, 2), is_partial=True)
_FOUR = Rule("four of five points beyond one sigma on one side", 5, _beyond(1, 4), is_partial=True)
RULES: dict[str, Rule] = {
    "nelson_1": _FAR,
    "nelson_2": _run(9),
    "nelson_3": Rule("six points in a row rising, or falling", 6, _trend, of_values=True, for_counts=True),
    "nelson_4": Rule("fourteen points in a row up and down in turn", 14, _alternates, of_values=True, for_counts=True),
    "nelson_5": _TWO,
    "nelson_6": _FOUR,
    "nelson_7": Rule("fifteen points in a row within one sigma", 15, _hugs),
    "nelson_8": Rule("eight points in a row beyond one sigma, on both sides", 8, _avoids),
    "western_electric_1": _FAR,
    "western_electric_2": _TWO,
    "western_electric_3": _FOUR,
    "western_electric_4": _run(8),
    "spread": Rule("the spread within a subgroup beyond its limits", 1, _beyond(3, 1)),
}
LONGEST = max(rule.length for rule in RULES.values())


def signals(line: Line, rules: Iterable[str]) -> list[tuple[int, str]]:
    """Where rules are broken: index of the point that completes the pattern, and the rule; in the points' order."""
    z, values = line.z.tolist(), line.points.tolist()
    found = []
    for end in range(1, len(z) + 1):
        for name in rules:
            rule = RULES[name]
            if end < rule.length and not rule.is_partial:
                continue
            if rule.is_broken((values if rule.of_values else z)[max(0, end - rule.length) : end]):
                found.append((end - 1, name))
    return found
