"""The states of a lot."""

from enum import StrEnum


class State(StrEnum):
    """Whether a lot may be used."""

    QUARANTINED = "quarantined"
    RELEASED = "released"
    REJECTED = "rejected"


class Event(StrEnum):
    """What receiving inspection found, or quality decided."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    RELEASE = "release"
    REJECT = "reject"


NEXT: dict[tuple[State, Event], State] = {
    **{(state, Event.RELEASE): State.RELEASED for state in State},
    **{(state, Event.REJECT): State.REJECTED for state in State},
    (State.QUARANTINED, Event.PASS): State.RELEASED,
    (State.QUARANTINED, Event.FAIL): State.QUARANTINED,
    (State.RELEASED, Event.PASS): State.RELEASED,
    (State.RELEASED, Event.FAIL): State.QUARANTINED,
    (State.REJECTED, Event.PASS): State.REJECTED,
    (State.REJECTED, Event.FAIL): State.REJECTED,
}
