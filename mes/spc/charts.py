"""Control charts: points, centre lines and three-sigma limits from subgroups. Pure.

Shewhart's charts as in NIST/SEMATECH e-Handbook 6.3.2 and 6.3.3; the constants are computed from their definitions.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Numbers = NDArray[np.float64]
Kind = Literal["i_mr", "xbar_r", "xbar_s", "p", "u"]
ATTRIBUTES: tuple[Kind, ...] = ("p", "u")
_NODES = 128  # of Gauss and Legendre: the moments of the range are exact to 1e-12 with them


@cache
def range_moments(n: int) -> tuple[float, float]:
    """Mean and standard deviation of the range of n standard normal values: d2 and d3."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    width, width_weights = 8 * (nodes + 1), 8 * weights  # 0 to 16
    middle, middle_weights = (9 * nodes)[:, None], (9 * weights)[:, None]  # -9 to 9
    low, high = middle - width / 2, middle + width / 2
    between = (ndtr(high) - ndtr(low)) ** (n - 2)
    density = n * (n - 1) / (2 * math.pi) * np.exp(-(low**2 + high**2) / 2) * between
    weighted = (density * middle_weights).sum(axis=0) * width_weights
    mean, square = float(weighted @ width), float(weighted @ width**2)
    return mean, math.sqrt(square - mean**2)


def d2(n: int) -> float:
    """The mean range of n standard normal values."""
    return range_moments(n)[0]


def c4(n: int) -> float:
    """The mean standard deviation of n standard normal values."""
    return math.sqrt(2 / (n - 1)) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))


@dataclass(frozen=True, slots=True)
class Baseline:
    """What points are compared with. `sigma`: of single values within a subgroup; 0 for fractions and rates.

    `df`: degrees of freedom of `sigma`, from the variance of its estimator. `subgroups`: how many it was made of.
    """

    center: float
    sigma: float
    df: float
    subgroups: int


@dataclass(frozen=True, slots=True)
class Line:
    """One plotted line. `z`: how many standard deviations each point is off the centre; nan: there is no point."""

    name: str
    points: Numbers
    center: float
    lower: Numbers
    upper: Numbers
    z: Numbers


def estimate(kind: Kind, groups: Numbers) -> Baseline:
    """The baseline of subgroups in their order: one row each; of p and u (defects, inspected). At least two rows."""
    count, n = groups.shape
    if kind in ATTRIBUTES:
        return Baseline(float(groups[:, 0].sum() / groups[:, 1].sum()), 0.0, 0.0, count)
    center = float(groups.mean())
    if kind == "i_mr":
        sigma = float(np.abs(np.diff(groups[:, 0])).mean()) / d2(2)
        return Baseline(center, sigma, _moving_range_df(count), count)
    if kind == "xbar_r":
        mean, deviation = range_moments(n)
        return Baseline(center, float(np.ptp(groups, axis=1).mean()) / mean, count * (mean / deviation) ** 2 / 2, count)
    unbias = c4(n)
    sigma = float(groups.std(axis=1, ddof=1).mean()) / unbias
    return Baseline(center, sigma, count * unbias**2 / (1 - unbias**2) / 2, count)


def _moving_range_df(count: int) -> float:
    """Degrees of freedom of the mean of count - 1 moving ranges: neighbours share a value, so they go together."""
    ranges = count - 1
    variance = 2 - 4 / math.pi
    # covariance of neighbours: E|UV| of differences whose correlation is -1/2, less the square of their mean
    covariance = 4 / math.pi * (math.sqrt(3) / 2 + math.pi / 12) - 4 / math.pi
    relative = (ranges * variance + 2 * max(ranges - 1, 0) * covariance) / (ranges * d2(2)) ** 2
    return 1 / (2 * relative)


def location(kind: Kind, baseline: Baseline, groups: Numbers) -> Line:
    """The line of values, means, fractions or rates."""
    if kind in ATTRIBUTES:
        points = groups[:, 0] / groups[:, 1]
        spread = baseline.center * (1 - baseline.center) if kind == "p" else baseline.center
        sigma = np.sqrt(spread / groups[:, 1])
    else:
        points = groups.mean(axis=1)
        sigma = np.full(len(groups), baseline.sigma / math.sqrt(groups.shape[1]))
    lower, upper = baseline.center - 3 * sigma, baseline.center + 3 * sigma
    if kind in ATTRIBUTES:
        lower, upper = np.maximum(lower, 0), np.minimum(upper, 1) if kind == "p" else upper
    name = {"i_mr": "value", "p": "fraction", "u": "rate"}.get(kind, "mean")
    return Line(name, points, baseline.center, lower, upper, _standardized(points - baseline.center, sigma))


def spread(kind: Kind, baseline: Baseline, groups: Numbers) -> Line | None:
    """The line of ranges or standard deviations; None: p and u have none."""
    if kind in ATTRIBUTES:
        return None
    if kind == "xbar_s":
        unbias = c4(groups.shape[1])
        name, mean, deviation = "standard deviation", unbias, math.sqrt(1 - unbias**2)
        points = groups.std(axis=1, ddof=1)
    elif kind == "xbar_r":
        name, (mean, deviation) = "range", range_moments(groups.shape[1])
        points = np.ptp(groups, axis=1)
    else:
        name, (mean, deviation) = "moving range", range_moments(2)
        points = np.concatenate([[math.nan], np.abs(np.diff(groups[:, 0]))])
    center = mean * baseline.sigma
    sigma = np.full(len(groups), deviation * baseline.sigma)
    lower = np.maximum(center - 3 * sigma, 0)
    return Line(name, points, center, lower, center + 3 * sigma, _standardized(points - center, sigma))


def _standardized(off: Numbers, sigma: Numbers) -> Numbers:
    """Off the centre in sigmas. Where nothing ever varied, whatever differs is infinitely far off."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((off == 0) & (sigma == 0), 0.0, off / sigma)
