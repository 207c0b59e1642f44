"""What a cell's readings come to."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes.cells.rules import CellSeen, Reading, count, grade_cell, lower_edge, medians
from mes.products.cell_rules import IncomingSpec

AT = datetime(2026, 11, 1, 8, tzinfo=UTC)
SPEC = IncomingSpec.model_validate(
    {
        "readings": [
            {"name": "ocv_v", "min": 3.23, "max": 3.3, "from_median": 0.005, "gauge_error": 0.002},
            {"name": "acir_mohm", "max": 2.6, "from_median_pct": 8.0},
            {"name": "mass_g", "min": 295.0, "is_sampled": True},
        ],
        "visual": True,
        "k_value": {"max_mv_h": 0.03},
        "capacity_bin_ah": 0.1,
        "acir_bin_mohm": 0.15,
    }
)
MIDDLE = {"ocv_v": 3.265, "acir_mohm": 2.2, "mass_g": 300.0}


def read(hours: float = 0, *, again: bool = False, temperature: float | None = 25, **values: Any) -> Reading:
    good = {"ocv_v": 3.265, "acir_mohm": 2.2} | values
    visual = good.pop("visual_ok", True)
    kept = {name: value for name, value in good.items() if value is not None}
    return Reading(AT + timedelta(hours=hours), again, kept, temperature, visual)


def judge(*readings: Reading, spec: IncomingSpec = SPEC, certified: Mapping[str, float] | None = None) -> Any:
    cell = CellSeen(1, "C1", readings, {"capacity_ah": 15.17} if certified is None else certified)
    return grade_cell(cell, count(cell, spec), MIDDLE, spec)


def test_a_good_cell_gets_its_grade() -> None:
    graded = judge(read(), read(48))
    assert (graded.grade, graded.reasons, graded.k_mv_h) == ("C15.1-R2.10", (), 0.0)
    assert graded.values == {"capacity_ah": 15.17, "ocv_v": 3.265, "acir_mohm": 2.2}
    assert graded.tested_at == AT + timedelta(hours=48)


# K is signed: 1 mV less after 25 h is 0.04 mV/h; a cell that rises has less than none.
@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        ((read(),), "no second OCV reading"),
        ((read(), read(23.9)), "the OCV readings lie 23.9 h apart, 24 to 72 h are asked"),
        ((read(), read(72.1)), "the OCV readings lie 72.1 h apart, 24 to 72 h are asked"),
        ((read(), read(48, temperature=None)), "an OCV reading without its temperature"),
        ((read(), read(48, temperature=27.5)), "the OCV readings differ by 2.5 K, at most 2 K is asked"),
        ((read(), read(25, ocv_v=3.264)), "K 0.0400 mV/h, at most 0.03"),
        ((read(ocv_v=3.2), read(48, ocv_v=3.2)), "ocv_v 3.2, at least 3.23 and at most 3.3"),
        (
            (read(ocv_v=3.271), read(48, ocv_v=3.271)),
            "ocv_v 3.271 lies 0.006 from the lot's median 3.265, at most 0.005",
        ),
        (
            (read(acir_mohm=2.4), read(48, acir_mohm=2.4)),
            "acir_mohm 2.4 lies 9.1 % from the lot's median 2.2, at most 8 %",
        ),
        ((read(acir_mohm=None), read(48, acir_mohm=None)), "no acir_mohm"),
        ((read(visual_ok=False), read(48, visual_ok=None)), "visual check failed"),
        ((read(visual_ok=None), read(48, visual_ok=None)), "not looked at"),
        ((read(mass_g=290.0), read(48)), "mass_g 290, at least 295"),
    ],
)
def test_each_limit_is_its_own_reason(readings: tuple[Reading, ...], reason: str) -> None:
    graded = judge(*readings)
    assert graded.grade is None
    assert reason in graded.reasons


def test_limits_themselves_pass() -> None:
    assert judge(read(ocv_v=3.27), read(48, ocv_v=3.27)).reasons == ()
    assert judge(read(ocv_v=3.26), read(24, ocv_v=3.26)).reasons == ()
    assert judge(read(), read(50, ocv_v=3.2635)).k_mv_h == pytest.approx(0.03)
    assert judge(read(), read(50, ocv_v=3.2635)).reasons == ()
    assert judge(read(), read(48, ocv_v=3.2655)).k_mv_h == pytest.approx(-0.5 / 48)


def test_a_cell_without_capacity_is_not_graded() -> None:
    assert judge(read(), read(48), certified={}).reasons == ("no capacity_ah to grade it by",)
    assert judge(read(capacity_ah=15.0), read(48), certified={}).grade == "C15.0-R2.10"


def test_it_is_tested_again_once_after_its_rest() -> None:
    bad = (read(acir_mohm=2.9), read(48, acir_mohm=2.9))
    assert judge(*bad, read(60, again=True)).grade is None, "12 h after the last one: it hasn't rested"
    assert judge(*bad, read(72, again=True)).grade == "C15.1-R2.10"
    worse = (*bad, read(72, again=True, acir_mohm=2.9), read(200, again=True))
    assert judge(*worse).grade is None, "a second re-test, days later, counts for nothing"
    fallen = (read(), read(25, ocv_v=3.2), read(60, again=True), read(90, again=True))
    assert judge(*fallen).grade == "C15.1-R2.10", "K is taken of the re-test's own two readings"


def test_what_the_certificate_says_otherwise_is_told() -> None:
    certified = {"ocv_v": 3.2671, "capacity_ah": 15.1}
    assert judge(read(), read(48), certified=certified).disagrees == ("ocv_v",)
    certified = {"ocv_v": 3.267, "capacity_ah": 15.1}
    assert judge(read(), read(48), certified=certified).disagrees == ()


@pytest.mark.parametrize(
    ("value", "width", "edge"),
    [
        (15.17, 0.1, "15.1"),
        (15.2, 0.1, "15.2"),
        (2.2, 0.15, "2.10"),
        (2.25, 0.15, "2.25"),
        (0.012, 0.01, "0.01"),
        (-0.004, 0.01, "-0.01"),
        (310.0, 5.0, "310"),
        (103.0, 2.5, "102.5"),
    ],
)
def test_a_bin_is_named_by_its_lower_edge(value: float, width: float, edge: str) -> None:
    assert lower_edge(value, width) == edge


@given(st.floats(0.01, 1000), st.sampled_from([0.01, 0.1, 0.15, 0.25, 0.5, 1.0, 5.0]))
def test_a_value_lies_in_its_bin(value: float, width: float) -> None:
    edge = float(lower_edge(value, width))
    assert edge - 1e-6 <= value < edge + width + 1e-6


def test_the_median_is_of_what_counts() -> None:
    cells = [CellSeen(n, f"C{n}", (read(ocv_v=v),), {}) for n, v in enumerate((3.26, 3.27, 3.30))]
    assert medians([count(cell, SPEC) for cell in cells])["ocv_v"] == 3.27
