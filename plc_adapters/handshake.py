"""The handshake as a table: what to do next, from what the counters say and what is under way; no I/O.

Levels, not edges: whatever was missed during a cut, the counters still say what is owed. A cycle is answered when the
MES wrote the station's own counter back, under the epoch it was counted in.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Counters:
    """The words that decide; an epoch of None in an answer means the PLC has no such word and clears its own."""

    epoch: str
    request: int
    permit: int
    done: int
    ack: int
    permit_epoch: str | None = None
    ack_epoch: str | None = None

    @property
    def permit_owed(self) -> bool:
        """The station asked and has no answer. Zero is never counted: it means that nothing was asked yet."""
        return self.request != 0 and not self._answered(self.request, self.permit, self.permit_epoch)

    @property
    def commit_owed(self) -> bool:
        """The station reported and has no acknowledgement."""
        return self.done != 0 and not self._answered(self.done, self.ack, self.ack_epoch)

    def _answered(self, asked: int, answered: int, epoch: str | None) -> bool:
        return asked == answered and epoch in (None, self.epoch)


class State(StrEnum):
    """What is under way between one station and the door."""

    LOST = "lost"
    LISTENING = "listening"
    ASKING = "asking"
    REPORTING = "reporting"


class Event(StrEnum):
    """What may happen: the words were read, the door was heard, or the link went."""

    READ_NOTHING_OWED = "read_nothing_owed"
    READ_PERMIT_OWED = "read_permit_owed"
    READ_COMMIT_OWED = "read_commit_owed"
    READ_BOTH_OWED = "read_both_owed"
    DOOR_ANSWERED = "door_answered"
    DOOR_COMMITTED = "door_committed"
    PAYLOAD_TORN = "payload_torn"
    LINK_LOST = "link_lost"


class Action(StrEnum):
    """What to do about it."""

    NOTHING = "nothing"
    ASK_DOOR = "ask_door"
    REPORT_TO_DOOR = "report_to_door"
    WRITE_PERMIT = "write_permit"
    WRITE_ACK = "write_ack"


def heard(counters: Counters) -> Event:
    """Name what the counters say."""
    match counters.permit_owed, counters.commit_owed:
        case True, True:
            return Event.READ_BOTH_OWED
        case True, False:
            return Event.READ_PERMIT_OWED
        case False, True:
            return Event.READ_COMMIT_OWED
        case _:
            return Event.READ_NOTHING_OWED


_S, _E, _A = State, Event, Action
_LISTEN = (_S.LISTENING, _A.NOTHING)
_ASK = (_S.ASKING, _A.ASK_DOOR)
# A result comes before a request: what the station asks next may hang on what it has just done.
_REPORT = (_S.REPORTING, _A.REPORT_TO_DOOR)
_FREE = {
    _E.READ_NOTHING_OWED: _LISTEN,
    _E.READ_PERMIT_OWED: _ASK,
    _E.READ_COMMIT_OWED: _REPORT,
    _E.READ_BOTH_OWED: _REPORT,
}
_READS = tuple(_FREE)

# Reads during a question to the door change nothing: the levels are read again when it is answered. An answer that
# comes back to a lost link is dropped: the counters still owe it, and the same cycle number gets the same answer.
TABLE: dict[tuple[State, Event], tuple[State, Action]] = {
    **{(_S.LOST, event): step for event, step in _FREE.items()},
    **{(_S.LISTENING, event): step for event, step in _FREE.items()},
    **{(_S.ASKING, event): (_S.ASKING, _A.NOTHING) for event in _READS},
    **{(_S.REPORTING, event): (_S.REPORTING, _A.NOTHING) for event in _READS},
    (_S.ASKING, _E.DOOR_ANSWERED): (_S.LISTENING, _A.WRITE_PERMIT),
    (_S.REPORTING, _E.DOOR_ANSWERED): (_S.REPORTING, _A.NOTHING),
    (_S.LISTENING, _E.DOOR_ANSWERED): _LISTEN,
    (_S.LOST, _E.DOOR_ANSWERED): (_S.LOST, _A.NOTHING),
    (_S.REPORTING, _E.DOOR_COMMITTED): (_S.LISTENING, _A.WRITE_ACK),
    (_S.ASKING, _E.DOOR_COMMITTED): (_S.ASKING, _A.NOTHING),
    (_S.LISTENING, _E.DOOR_COMMITTED): _LISTEN,
    (_S.LOST, _E.DOOR_COMMITTED): (_S.LOST, _A.NOTHING),
    (_S.ASKING, _E.PAYLOAD_TORN): _LISTEN,
    (_S.REPORTING, _E.PAYLOAD_TORN): _LISTEN,
    (_S.LISTENING, _E.PAYLOAD_TORN): _LISTEN,
    (_S.LOST, _E.PAYLOAD_TORN): (_S.LOST, _A.NOTHING),
    **{(state, _E.LINK_LOST): (_S.LOST, _A.NOTHING) for state in _S},
}


def step(state: State, event: Event) -> tuple[State, Action]:
    """Return the next state and what to do."""
    return TABLE[state, event]
