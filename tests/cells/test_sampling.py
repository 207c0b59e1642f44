"""Sampling plans against the standard's tables."""

import pytest

from mes.cells.sampling import SamplingPlan, sampling_plan


# ISO 2859-1:1999, tables 1 and 2-A: lot size, AQL, level -> sample size, acceptance number.
@pytest.mark.parametrize(
    ("lot", "aql", "level", "size", "accepts"),
    [
        (500, "1.0", "II", 50, 1),  # H
        (1200, "1.0", "II", 80, 2),  # J
        (1201, "1.0", "II", 125, 3),  # K
        (10_000, "0.65", "II", 200, 3),  # L
        (10_000, "0.65", "I", 80, 1),  # J
        (10_000, "0.65", "III", 315, 5),  # M
        (100_000, "0.65", "II", 500, 7),  # N
        (10_000, "2.5", "II", 200, 10),
        (10_000, "6.5", "II", 200, 21),
        (35_000, "6.5", "II", 200, 21),  # the arrow up: 21 is the most that is accepted
        (150, "0.65", "II", 20, 0),  # F
        (280, "0.65", "II", 20, 0),  # G, arrow up to F
        (500, "0.65", "II", 80, 1),  # H, arrow down to J
        (90, "0.65", "II", 20, 0),  # E, arrow down to F
        (1_000_000, "0.065", "II", 1250, 2),  # Q
        (500_000, "0.10", "II", 800, 2),  # P
        (15, "0.65", "II", 15, 0),  # a sample of 20 is more than the lot
        (2, "6.5", "I", 2, 0),
    ],
)
def test_plans_are_the_standards(lot: int, aql: str, level: str, size: int, accepts: int) -> None:
    assert sampling_plan(lot, aql, level) == SamplingPlan(size, accepts)


def test_a_larger_lot_is_never_sampled_less() -> None:
    for level in ("I", "II", "III"):
        sizes = [sampling_plan(10**n, "1.0", level).size for n in range(1, 7)]
        assert sizes == sorted(sizes)
