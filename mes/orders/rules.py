"""The states of a work order, and the pattern serial numbers are issued by."""

import re
from datetime import date
from enum import StrEnum


class State(StrEnum):
    """Where a work order is."""

    CREATED = "created"
    RELEASED = "released"
    STARTED = "started"
    ON_HOLD = "on_hold"
    COMPLETED = "completed"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What happens to a work order."""

    RELEASE = "release"
    START = "start"
    HOLD = "hold"
    RESUME = "resume"
    COMPLETE = "complete"
    CLOSE = "close"
    CANCEL = "cancel"


# None: it can't happen in this state, and whoever asks is told so.
NEXT: dict[tuple[State, Event], State | None] = {(state, event): None for state in State for event in Event} | {
    (State.CREATED, Event.RELEASE): State.RELEASED,
    (State.CREATED, Event.CANCEL): State.CANCELLED,
    (State.RELEASED, Event.START): State.STARTED,
    (State.RELEASED, Event.HOLD): State.ON_HOLD,
    (State.RELEASED, Event.CANCEL): State.CANCELLED,
    (State.RELEASED, Event.COMPLETE): State.COMPLETED,
    (State.STARTED, Event.START): State.STARTED,
    (State.STARTED, Event.HOLD): State.ON_HOLD,
    (State.STARTED, Event.COMPLETE): State.COMPLETED,
    (State.ON_HOLD, Event.RESUME): State.RELEASED,
    (State.ON_HOLD, Event.COMPLETE): State.COMPLETED,
    (State.COMPLETED, Event.CLOSE): State.CLOSED,
}

_NUMBER = re.compile(r"\{number:0(\d)\}$")


def serial_prefix(pattern: str, at: date) -> tuple[str, int]:
    """Return a pattern's text before the number, its dates filled in, and the number's digits."""
    digits = _NUMBER.search(pattern)
    if digits is None:
        raise ValueError(f"the serial pattern {pattern!r} must end in {{number:0N}}, N digits")
    year, week, _ = at.isocalendar()
    filled = pattern[: digits.start()].format(
        year=f"{year % 100:02}", week=f"{week:02}", month=f"{at.month:02}", day=f"{at.day:02}"
    )
    return filled, int(digits[1])
