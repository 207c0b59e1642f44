"""Single sampling for normal inspection: ISO 2859-1:1999, tables 1 and 2-A. Pure."""

from bisect import bisect_left
from dataclasses import dataclass

_LETTERS = "ABCDEFGHJKLMNPQR"
_SIZES = (2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800, 1250, 2000)
_UP_TO = (8, 15, 25, 50, 90, 150, 280, 500, 1200, 3200, 10_000, 35_000, 150_000, 500_000)
_LETTER_OF = {"I": "AABCCDEFGHJKLMN", "II": "ABCDEFGHJKLMNPQ", "III": "BCDEFGHJKLMNPQR"}
# The letter whose plan accepts with none nonconforming. Three letters on one is accepted, then ever more; between and
# beyond, the tables' arrows lead to the plan next to it.
_ZERO_AT = dict(
    zip(
        ("0.065", "0.10", "0.15", "0.25", "0.40", "0.65", "1.0", "1.5", "2.5", "4.0", "6.5"), "LKJHGFEDCBA", strict=True
    )
)
_ACCEPTED = (1, 2, 3, 5, 7, 10, 14, 21)


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """How many pieces to measure, and how many of them may be nonconforming for the lot to be accepted."""

    size: int
    accepts: int


def sampling_plan(lot_size: int, aql: str, level: str) -> SamplingPlan:
    """Look a plan up. A sample as large as the lot is the lot: each piece is inspected, and none is accepted."""
    letter = _LETTERS.index(_LETTER_OF[level][bisect_left(_UP_TO, lot_size)])
    zero = _LETTERS.index(_ZERO_AT[aql])
    beyond = letter - zero
    if beyond <= 1:
        index, accepts = zero, 0
    else:
        step = min(max(beyond - 3, 0), len(_ACCEPTED) - 1)
        step = min(step, len(_SIZES) - 1 - zero - 3)
        index, accepts = zero + 3 + step, _ACCEPTED[step]
    size = _SIZES[index]
    return SamplingPlan(lot_size, 0) if size >= lot_size else SamplingPlan(size, accepts)
