"""Gauge studies: how much of what is measured is the gauge, by analysis of variance. Pure.

AIAG, Measurement Systems Analysis, 4th edition, chapter III: parts crossed with operators, each measured as often. An
interaction that isn't significant at 0.25 is pooled with repeatability; a negative component counts as nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from mes.spc.charts import Numbers

POOLED_ABOVE = 0.25


class NotBalanced(ValueError):
    """Each operator measures each part equally often, at least twice: two parts and two operators or more."""


@dataclass(frozen=True, slots=True)
class Source:
    """A row of the analysis: sum of squares, degrees of freedom, F and its p-value; None: it is what F divides by."""

    name: str
    squares: float
    df: int
    f: float | None = None
    p: float | None = None

    @property
    def mean_square(self) -> float:
        """The sum of squares for each degree of freedom."""
        return self.squares / self.df


@dataclass(frozen=True, slots=True)
class GaugeStudy:
    """The analysis as it was first made (`table`), and the variances that follow."""

    table: tuple[Source, ...]
    is_pooled: bool
    repeatability: float
    operator: float
    interaction: float
    part: float

    @property
    def reproducibility(self) -> float:
        """The variance between operators, and of how they differ from part to part."""
        return self.operator + self.interaction

    @property
    def gauge(self) -> float:
        """The gauge's variance: repeatability and reproducibility."""
        return self.repeatability + self.reproducibility

    @property
    def total(self) -> float:
        """The variance of all that was measured."""
        return self.gauge + self.part

    @property
    def components(self) -> dict[str, float]:
        """The variances by name, as they are shown."""
        return {
            "repeatability (EV)": self.repeatability,
            "reproducibility (AV)": self.reproducibility,
            "gauge (GRR)": self.gauge,
            "part (PV)": self.part,
            "total (TV)": self.total,
        }

    @property
    def categories(self) -> int | None:
        """How many kinds of parts the gauge tells apart (ndc); None: it showed no variation of its own."""
        return math.floor(math.sqrt(2) * math.sqrt(self.part / self.gauge)) if self.gauge > 0 else None


def gauge_study(measured: Numbers) -> GaugeStudy:
    """Analyse measurements by part, operator and trial. Raises NotBalanced."""
    if measured.ndim != 3 or min(measured.shape) < 2:
        raise NotBalanced
    parts, operators, trials = measured.shape
    mean = measured.mean()
    cells = measured.mean(axis=2)
    by_part, by_operator = measured.mean(axis=(1, 2)), measured.mean(axis=(0, 2))
    crossed = cells - by_part[:, None] - by_operator + mean
    operator = (parts * trials * float(((by_operator - mean) ** 2).sum()), operators - 1)
    part = (operators * trials * float(((by_part - mean) ** 2).sum()), parts - 1)
    interaction = (trials * float((crossed**2).sum()), (parts - 1) * (operators - 1))
    within = (float(((measured - cells[:, :, None]) ** 2).sum()), parts * operators * (trials - 1))
    error = Source("repeatability", *within)
    between = _against("interaction", *interaction, error)
    is_pooled = between.p is None or between.p > POOLED_ABOVE
    pooled = Source("pooled", error.squares + between.squares, error.df + between.df)
    base = pooled if is_pooled else between
    table = (_against("operator", *operator, base), _against("part", *part, base), between, error)
    repeatability = pooled.mean_square if is_pooled else error.mean_square
    return GaugeStudy(
        table=table,
        is_pooled=is_pooled,
        repeatability=repeatability,
        operator=max(0.0, (table[0].mean_square - base.mean_square) / (parts * trials)),
        interaction=0.0 if is_pooled else max(0.0, (between.mean_square - error.mean_square) / trials),
        part=max(0.0, (table[1].mean_square - base.mean_square) / (operators * trials)),
    )


def _against(name: str, squares: float, df: int, error: Source) -> Source:
    if error.mean_square == 0:
        return Source(name, squares, df)
    f = squares / df / error.mean_square
    return Source(name, squares, df, f, float(fdtrc(df, error.df, f)))


def lay_out(rows: Sequence[tuple[str, str, float]]) -> Numbers:
    """Put (part, operator, value) in their places, in the order they come. Raises NotBalanced."""
    cells: dict[str, dict[str, list[float]]] = {}
    for part, operator, value in rows:
        cells.setdefault(part, {}).setdefault(operator, []).append(value)
    operators = list(next(iter(cells.values()), {}))
    if any(set(by_operator) != set(operators) for by_operator in cells.values()):
        raise NotBalanced
    counts = {len(values) for by_operator in cells.values() for values in by_operator.values()}
    if len(counts) != 1:
        raise NotBalanced
    return np.array([[by_operator[name] for name in operators] for by_operator in cells.values()])
