"""The states of a unit."""

from enum import StrEnum


class State(StrEnum):
    """Where a unit is in its life."""

    ISSUED = "issued"
    IN_PROCESS = "in_process"
    FINISHED = "finished"
    RECEIVED = "received"


class Event(StrEnum):
    """What happens to a unit."""

    WORK = "work"
    FINISH = "finish"


# A result is a fact, so every pair has an answer: a finished unit that is worked on again stays finished (the report's
# finding says so), a received one has no route to go through.
NEXT: dict[tuple[State, Event], State] = {
    (State.ISSUED, Event.WORK): State.IN_PROCESS,
    (State.ISSUED, Event.FINISH): State.FINISHED,
    (State.IN_PROCESS, Event.WORK): State.IN_PROCESS,
    (State.IN_PROCESS, Event.FINISH): State.FINISHED,
    (State.FINISHED, Event.WORK): State.FINISHED,
    (State.FINISHED, Event.FINISH): State.FINISHED,
    (State.RECEIVED, Event.WORK): State.RECEIVED,
    (State.RECEIVED, Event.FINISH): State.RECEIVED,
}
