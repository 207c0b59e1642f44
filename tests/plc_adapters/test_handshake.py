"""The handshake's table: total, and right whatever is lost in between."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plc_adapters.handshake import TABLE, Action, Counters, Event, State, heard, step


def test_the_table_is_total() -> None:
    assert set(TABLE) == {(state, event) for state in State for event in Event}


@pytest.mark.parametrize(
    ("counters", "event"),
    [
        (Counters("e", 0, 0, 0, 0), Event.READ_NOTHING_OWED),
        (Counters("e", 4, 4, 3, 3), Event.READ_NOTHING_OWED),
        (Counters("e", 5, 4, 3, 3), Event.READ_PERMIT_OWED),
        (Counters("e", 5, 5, 4, 3), Event.READ_COMMIT_OWED),
        (Counters("e", 5, 4, 4, 3), Event.READ_BOTH_OWED),
        # counters lost: zero asks for nothing, whatever the old answer was
        (Counters("f", 0, 17, 0, 16), Event.READ_NOTHING_OWED),
        # the number of an old epoch is no answer to the same number of the new one
        (Counters("f", 1, 1, 1, 1, permit_epoch="e", ack_epoch="e"), Event.READ_BOTH_OWED),
        (Counters("f", 1, 1, 1, 1, permit_epoch="f", ack_epoch="f"), Event.READ_NOTHING_OWED),
    ],
)
def test_counters_say_what_is_owed(counters: Counters, event: Event) -> None:
    assert heard(counters) is event


@dataclass
class Plant:
    """A PLC, a gateway and an MES that may be cut from each other at any step."""

    state: State = State.LOST
    epoch: int = 1
    request: int = 0
    done: int = 0
    permit: tuple[int, int] = (0, 0)
    ack: tuple[int, int] = (0, 0)
    at_the_door: tuple[Action, int, int] | None = None
    door_said: tuple[Event, int, int] | None = None
    decided: dict[tuple[int, int], int] = field(default_factory=dict)
    committed: set[tuple[int, int]] = field(default_factory=set)

    def counters(self) -> Counters:
        return Counters(
            str(self.epoch),
            self.request,
            self.permit[1],
            self.done,
            self.ack[1],
            permit_epoch=str(self.permit[0]),
            ack_epoch=str(self.ack[0]),
        )

    def apply(self, event: Event) -> Action:
        self.state, action = step(self.state, event)
        return action

    def plc_asks(self) -> None:
        if self.permit == (self.epoch, self.request) or self.request == 0:
            self.request += 1

    def plc_reports(self) -> None:
        if self.ack == (self.epoch, self.done) or self.done == 0:
            self.done += 1

    def plc_loses_its_counters(self) -> None:
        self.epoch, self.request, self.done = self.epoch + 1, 0, 0

    def link_breaks(self) -> None:
        self.apply(Event.LINK_LOST)
        self.at_the_door = self.door_said = None

    def gateway_dies(self) -> None:
        self.state = State.LOST
        self.at_the_door = self.door_said = None

    def gateway_reads(self) -> None:
        action = self.apply(heard(self.counters()))
        if action in (Action.ASK_DOOR, Action.REPORT_TO_DOOR):
            assert self.at_the_door is None, "one question at a time"
            self.at_the_door = (action, self.epoch, self.request if action is Action.ASK_DOOR else self.done)

    def payload_torn(self) -> None:
        if self.at_the_door is not None and self.door_said is None:
            self.apply(Event.PAYLOAD_TORN)
            self.at_the_door = None

    def door_decides(self) -> None:
        if self.at_the_door is None:
            return
        action, epoch, seq = self.at_the_door
        self.at_the_door = None
        if action is Action.ASK_DOOR:
            self.decided[epoch, seq] = self.decided.get((epoch, seq), 0) or len(self.decided) + 1
            self.door_said = (Event.DOOR_ANSWERED, epoch, seq)
        else:
            self.committed.add((epoch, seq))
            self.door_said = (Event.DOOR_COMMITTED, epoch, seq)

    def gateway_answers(self) -> None:
        if self.door_said is None:
            return
        event, epoch, seq = self.door_said
        self.door_said = None
        action = self.apply(event)
        if action is Action.WRITE_PERMIT and (epoch, seq) == (self.epoch, self.request):
            assert (epoch, seq) in self.decided
            self.permit = (epoch, seq)
        if action is Action.WRITE_ACK and (epoch, seq) == (self.epoch, self.done):
            assert (epoch, seq) in self.committed, "acknowledged before it was committed"
            self.ack = (epoch, seq)


_MOVES = [
    *(Plant.plc_asks, Plant.plc_reports, Plant.plc_loses_its_counters, Plant.link_breaks, Plant.gateway_dies),
    *(Plant.gateway_reads, Plant.payload_torn, Plant.door_decides, Plant.gateway_answers),
]


@given(st.lists(st.sampled_from(_MOVES), max_size=80))
def test_after_any_losses_each_request_is_answered_and_no_result_is_acknowledged_before_its_commit(moves: list) -> None:
    plant = Plant()
    for move in moves:
        move(plant)
    for _ in range(3):  # left in peace, whatever is owed is paid
        plant.gateway_reads()
        plant.door_decides()
        plant.gateway_answers()
    assert plant.request == 0 or plant.permit == (plant.epoch, plant.request)
    assert plant.done == 0 or plant.ack == (plant.epoch, plant.done)
    assert plant.done == 0 or (plant.epoch, plant.done) in plant.committed
