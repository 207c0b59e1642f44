"""What a unit must be to leave, case by case and over all combinations; and the states of a crate."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes.shipping.rules import NEXT, Charge, Event, Reason, State, UnitFacts, refusals

GOOD = UnitFacts("P1", "finished", ships=("90",), passed=("90",), charge=Charge("80", (25.0,), 20, 30))
# what breaks each rule, alone
BREAKS: dict[Reason, dict[str, Any]] = {
    Reason.ON_HOLD: {"holds": ("papers missing.",)},
    Reason.UNFINISHED: {"state": "in_process"},
    Reason.STILL_FITTED: {"inside": "P2"},
    Reason.IN_OTHER_CRATE: {"other_crate": "003401234500000017"},
    Reason.PACK_OUT_MISSING: {"passed": ()},
    Reason.INCOMPLETE: {"gaps": ("P1: BOARD: no unit known at 1 of 1 positions (1)",)},
    Reason.DOCUMENT_MISSING: {"undocumented": ("C1 has no certificate", "C2 has no certificate")},
    Reason.CHARGE_WRONG: {"charge": Charge("80", (31.0,), 20, 30)},
}
TOLD = {
    Reason.ON_HOLD: "P1 is on hold: papers missing.",
    Reason.UNFINISHED: "P1 is in process, not finished.",
    Reason.STILL_FITTED: "P1 is fitted in P2.",
    Reason.IN_OTHER_CRATE: "P1 is in crate 003401234500000017.",
    Reason.PACK_OUT_MISSING: "P1 hasn't passed its pack-out (90).",
    Reason.INCOMPLETE: "The record of P1 has gaps: P1: BOARD: no unit known at 1 of 1 positions (1).",
    Reason.DOCUMENT_MISSING: "Documents are missing: C1 has no certificate; C2 has no certificate.",
    Reason.CHARGE_WRONG: "The charge of P1 at 80 was 31 %; allowed: at least 20, at most 30.",
}


@given(st.sets(st.sampled_from(Reason)))
def test_each_rule_speaks_for_itself(broken: set[Reason]) -> None:
    facts = GOOD
    for reason in broken:
        facts = replace(facts, **BREAKS[reason])
    said = refusals(facts)
    assert [one.code for one in said] == [reason for reason in Reason if reason in broken]
    assert [one.text for one in said] == [TOLD[one.code] for one in said]
    assert all(one.clears and one.who for one in said)


@pytest.mark.parametrize(
    ("values", "lower", "upper", "is_within"),
    [
        ((20.0, 30.0), 20, 30, True),
        ((25.0, 30.1), 20, 30, False),
        ((19.9,), 20, None, False),
        ((-1.0,), 0, None, False),
        ((99.0,), None, None, True),
        ((None,), None, None, False),
    ],
)
def test_the_charge_keeps_both_limits(values: Any, lower: Any, upper: Any, is_within: bool) -> None:
    assert Charge("80", values, lower, upper).is_within == is_within


def test_a_unit_that_was_never_measured_and_has_no_pack_out_isn_t_asked() -> None:
    assert refusals(replace(GOOD, ships=(), passed=(), charge=None)) == []


def test_ten_gaps_are_shown_and_the_rest_counted() -> None:
    text = refusals(replace(GOOD, gaps=[f"gap {n}" for n in range(13)]))[0].text
    assert text.endswith("gap 8; gap 9; and 3 more.")


def test_every_event_has_an_answer_in_every_state_and_nothing_happens_to_what_has_left() -> None:
    assert set(NEXT) == {(state, event) for state in State for event in Event}
    assert {NEXT[State.SHIPPED, event] for event in Event} == {None}
    assert [pair for pair, following in NEXT.items() if following is State.SHIPPED] == [(State.CLOSED, Event.SHIP)]
