"""Which factors suspect units share beyond chance. Pure.

One-sided Fisher's exact test of each factor: had the suspects been drawn from all units compared, how likely would so
many of them have it? Corrected by Bonferroni, weighted: each kind of factor gets an equal share of the error that is
allowed, so that three stations aren't drowned by three thousand cartons.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

STANDS_OUT = 0.05  # corrected; what is less likely by chance stands out
LEAST = 2  # suspects that have a factor, or it is none that they share
TAILS = (0.05, 0.10, 0.25)  # of the good units' values: where a region of a parameter may begin


class Kind(StrEnum):
    """What kind of thing units may share."""

    LOT = "lot"
    SUPPLIER = "supplier"
    CARTON = "carton"
    STATION = "station"
    TOOL = "tool"
    PROGRAM = "program"
    OPERATOR = "operator"
    SHIFT = "shift"
    POSITION = "position"
    PARAMETER = "parameter"


@dataclass(frozen=True, slots=True, order=True)
class Factor:
    """One thing that a unit has or hasn't. `name` names it within its kind, in words."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Shared:
    """What suspects share, by exactly the same units: factors that nothing here tells apart.

    `p`: the chance of so many suspects or more having it if it had nothing to do with them; `corrected_p`: of any
    factor standing out so far.
    """

    factors: tuple[Factor, ...]
    suspects: int
    comparables: int
    p: float
    corrected_p: float

    @property
    def stands_out(self) -> bool:
        """Whether chance alone is no likely explanation."""
        return self.corrected_p < STANDS_OUT


def rank(
    suspects: Collection[int], comparables: Collection[int], having: Mapping[Factor, Collection[int]]
) -> list[Shared]:
    """What at least two suspects share and not all units have, the least likely by chance first."""
    factors = sorted(having)
    places = {unit: at for at, unit in enumerate([*suspects, *comparables])}
    table = np.zeros((len(factors), len(places)), dtype=bool)
    for row, factor in enumerate(factors):
        table[row, [places[unit] for unit in having[factor] if unit in places]] = True
    everywhere = table.sum(axis=1)
    told = [row for row in range(len(factors)) if 0 < everywhere[row] < len(places)]
    alike: defaultdict[bytes, list[int]] = defaultdict(list)
    for row in told:
        alike[np.packbits(table[row]).tobytes()].append(row)
    families = _families([[factors[row] for row in rows] for rows in alike.values()])
    among = table[:, : len(suspects)].sum(axis=1)
    told = [rows[0] for rows in alike.values() if among[rows[0]] >= LEAST]
    chances = hypergeom.sf(among[told] - 1, len(places), everywhere[told], len(suspects))
    by_first = {rows[0]: rows for rows in alike.values()}
    found = []
    for row, p in zip(told, chances.tolist(), strict=True):
        rows = by_first[row]
        # the kindest of its kinds: the same units under another name are no further guess
        tries = min(len(families) * families[factors[other].kind] for other in rows)
        shared = tuple(factors[other] for other in rows)
        found.append(Shared(shared, int(among[row]), int(everywhere[row] - among[row]), p, min(1.0, p * tries)))
    return sorted(found, key=lambda one: (one.corrected_p, one.p, one.factors))


def _families(groups: Sequence[Sequence[Factor]]) -> dict[Kind, int]:
    """How many factors of each kind can be told apart."""
    count: defaultdict[Kind, int] = defaultdict(int)
    for group in groups:
        for kind in {factor.kind for factor in group}:
            count[kind] += 1
    return dict(count)


def regions(
    name: str, values: Mapping[int, float], comparables: Collection[int], unit: str = ""
) -> dict[Factor, set[int]]:
    """The units whose value lies in a tail of the good units' values, for some widths of the tail, from both ends.

    `values`: by unit. Fewer than 20 comparables with a value have no tails.
    """
    good = np.array([values[one] for one in comparables if one in values])
    if good.size < 20 or good.min() == good.max():
        return {}
    units, all_values = np.array(list(values)), np.array(list(values.values()))
    found = {}
    for tail in TAILS:
        low, high = np.quantile(good, [tail, 1 - tail])
        for word, bound, inside in (("below", low, all_values < low), ("above", high, all_values > high)):
            side = "lowest" if word == "below" else "highest"
            text = f"{name} {word} {_short(float(bound))}{' ' + unit if unit else ''} ({side} {tail:.0%} of good units)"
            found[Factor(Kind.PARAMETER, text)] = _set(units[inside])
    return found


def _set(units: NDArray[np.int64]) -> set[int]:
    return {int(one) for one in units}


def _short(value: float) -> str:
    return f"{value:.6g}"
