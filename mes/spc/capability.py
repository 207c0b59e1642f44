"""Capability: Cp and Cpk by the spread within subgroups, Pp and Ppk by all of it, each with its interval. Pure.

NIST/SEMATECH e-Handbook 6.1.6: the interval of Cp and Pp is exact (chi-square), that of Cpk and Ppk Bissell's
approximation (1990). Both count the degrees of freedom that the estimator of sigma has.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, log_ndtr, ndtri

from mes.spc.charts import Baseline, Numbers

UNSURE = 0.05  # a smaller p-value: these indices mean little, for they suppose a normal distribution


@dataclass(frozen=True, slots=True)
class Index:
    """An index and its interval of confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Capability:
    """The indices; None where the limits needed don't exist. `normality`: the p-value of Anderson and Darling."""

    values: int
    mean: float
    sigma_within: float
    sigma_overall: float
    cp: Index | None
    cpk: Index | None
    pp: Index | None
    ppk: Index | None
    normality: float | None

    @property
    def is_normal(self) -> bool:
        """Whether nothing speaks against a normal distribution."""
        return self.normality is None or self.normality >= UNSURE


def capability(
    values: Numbers, within: Baseline, lower: float | None, upper: float | None, confidence: float = 0.95
) -> Capability:
    """The capability of a process by its values, at least two, and the sigma that its chart was made with."""
    mean, overall, n = float(values.mean()), float(values.std(ddof=1)), len(values)
    margins = [upper - mean] if upper is not None else []
    margins += [mean - lower] if lower is not None else []
    width = upper - lower if upper is not None and lower is not None else None

    def spread(sigma: float, df: float) -> Index | None:
        return _ratio(width / (6 * sigma), df, confidence) if width is not None and sigma > 0 else None

    def nearest(sigma: float, df: float) -> Index | None:
        return _nearest(min(margins) / (3 * sigma), n, df, confidence) if margins and sigma > 0 else None

    return Capability(
        values=n,
        mean=mean,
        sigma_within=within.sigma,
        sigma_overall=overall,
        cp=spread(within.sigma, within.df),
        cpk=nearest(within.sigma, within.df),
        pp=spread(overall, n - 1),
        ppk=nearest(overall, n - 1),
        normality=anderson_darling(values)[1],
    )


def _ratio(value: float, df: float, confidence: float) -> Index:
    tail = (1 - confidence) / 2
    low, high = (value * math.sqrt(chdtri(df, above) / df) for above in (1 - tail, tail))
    return Index(value, low, high)


def _nearest(value: float, n: int, df: float, confidence: float) -> Index:
    half = float(ndtri((1 + confidence) / 2)) * math.sqrt(1 / (9 * n) + value**2 / (2 * df))
    return Index(value, value - half, value + half)


# p-value by the adjusted statistic a: below this, coefficients of 1, a and a**2, whether the tail is the other one
_P_VALUE = (
    (0.2, (-13.436, 101.14, -223.73), True),
    (0.34, (-8.318, 42.796, -59.938), True),
    (0.6, (0.9177, -4.279, -1.38), False),
    (10.0, (1.2937, -5.709, 0.0186), False),
)


def anderson_darling(values: Numbers) -> tuple[float | None, float | None]:
    """The statistic A2 of Anderson and Darling, and its p-value; (None, None): fewer than 8 values, or all the same.

    D'Agostino and Stephens, Goodness-of-fit Techniques (1986), case 3: mean and variance are estimated.
    """
    n, sigma = len(values), float(values.std(ddof=1)) if len(values) > 1 else 0.0
    if n < 8 or sigma == 0:
        return None, None
    z = (np.sort(values) - values.mean()) / sigma
    weights = 2 * np.arange(1, n + 1) - 1
    statistic = float(-n - (weights * (log_ndtr(z) + log_ndtr(-z[::-1]))).mean())
    adjusted = statistic * (1 + 0.75 / n + 2.25 / n**2)
    for below, (one, two, three), is_other in _P_VALUE:
        if adjusted < below:
            tail = math.exp(one + two * adjusted + three * adjusted**2)
            return statistic, 1 - tail if is_other else tail
    return statistic, 0.0
