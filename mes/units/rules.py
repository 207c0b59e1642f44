"""The states of a unit."""

from enum import StrEnum


class State(StrEnum):
    """Where a unit is in its life."""

    ISSUED = "issued"
    IN_PROCESS = "in_process"
    FINISHED = "finished"
    RECEIVED = "received"
    REMOVED = "removed"
    SCRAPPED = "scrapped"


class Event(StrEnum):
    """What happens to a unit."""

    WORK = "work"
    FINISH = "finish"
    TAKE_OUT = "take_out"
    RESTOCK_MADE = "restock_made"
    RESTOCK_BOUGHT = "restock_bought"
    REOPEN = "reopen"
    SCRAP = "scrap"


# A result is a fact, so working, finishing and taking out have an answer in every state: a finished unit that fails a
# step again is in process again (the report's finding says so), scrap stays scrap. None: it can't be decided then.
NEXT: dict[tuple[State, Event], State | None] = {
    **{(state, event): None for state in State for event in Event},
    **{(state, event): state for state in State for event in (Event.WORK, Event.FINISH, Event.TAKE_OUT)},
    (State.FINISHED, Event.WORK): State.IN_PROCESS,
    **{(state, Event.SCRAP): State.SCRAPPED for state in State if state != State.SCRAPPED},
    (State.ISSUED, Event.WORK): State.IN_PROCESS,
    (State.ISSUED, Event.FINISH): State.FINISHED,
    (State.IN_PROCESS, Event.FINISH): State.FINISHED,
    (State.FINISHED, Event.TAKE_OUT): State.REMOVED,
    (State.RECEIVED, Event.TAKE_OUT): State.REMOVED,
    (State.REMOVED, Event.RESTOCK_MADE): State.FINISHED,
    (State.REMOVED, Event.RESTOCK_BOUGHT): State.RECEIVED,
    (State.ISSUED, Event.REOPEN): State.ISSUED,
    (State.IN_PROCESS, Event.REOPEN): State.IN_PROCESS,
    (State.FINISHED, Event.REOPEN): State.IN_PROCESS,
    (State.REMOVED, Event.REOPEN): State.IN_PROCESS,
}
