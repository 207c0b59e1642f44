"""What the profiles of companion specifications share: a unit comes, may be worked on, and its results are collected.

Levels, not edges: what the device has not had acknowledged is read from its own list, on every connect, after every
event and every second; an event only wakes. So a lost event costs time and nothing else. A visit's number is a digest
of the serial and of what tells visits apart, both kept by the device: a gateway that knows nothing asks for the same
visit under the same number, gets the same answer and hands it over again.
"""

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from pydantic import ValidationError

from mes.execution.messages import PermitAnswer, PermitRequest, RecipeAnswer
from plc_adapters.mapping import StationMap, described
from plc_adapters.opcua.payload import permit_words
from plc_adapters.opcua.session import Session
from plc_adapters.port import (
    ASKER,
    Acknowledgement,
    Asked,
    Heard,
    LinkLost,
    Permit,
    Problem,
    Reported,
    Turn,
    Unreadable,
)

READ_AGAIN_S = 1.0
CYCLE = re.compile(r"^a-[0-9a-f]{24}$")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A unit that is at the machine."""

    serial: str
    cycle: str
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class Owed:
    """Results that make one report, and by which ids the device wants them acknowledged."""

    ids: tuple[str, ...]
    said: Reported | Unreadable


class Machine(Protocol):
    """What each companion specification has its own calls for."""

    async def owed(self, arrival: Arrival | None) -> Owed | None:
        """Return the oldest report whose acknowledgement is owed."""
        ...

    async def acknowledge(self, ids: tuple[str, ...]) -> None:
        """Let the device forget results that are kept."""
        ...

    async def lock(self, arrival: Arrival | None) -> None:
        """Forbid work until the next permit; one already given for this very visit stays."""
        ...

    async def answer(self, arrival: Arrival, answer: PermitAnswer | Problem) -> None:
        """Hand over the answer for the unit that is there."""
        ...


class CompanionPort:
    """A connected machine: its results first, then the unit that has come."""

    def __init__(self, station: StationMap, session: Session, machine: Machine) -> None:
        self._station = station
        self.session = session
        self._machine = machine
        self._locked_for: str | None = None
        self._answered: str | None = None
        self._open: dict[Turn, tuple[str, ...]] = {}

    @property
    def skew_s(self) -> float | None:
        """How far the machine's clock is ahead of this PC's, in seconds."""
        return self.session.skew_s

    async def load_recipe(self, _recipe: RecipeAnswer) -> str | None:
        """Such a machine gets its recipe with the order, and has no word for what it holds."""
        return None

    async def requests(self) -> AsyncIterator[Heard]:
        """Yield what is owed: a result before a request."""
        while True:
            arrival = await self._arrival()
            owed = await self._machine.owed(arrival)
            if owed is not None:
                turn = Turn(number("r", *owed.ids), len(owed.ids))
                self._open = {turn: owed.ids}
                yield replace(owed.said, turn=turn)
                continue
            now = arrival.cycle if arrival else ""
            if now not in (self._answered, self._locked_for):
                # Before anything is asked: what the last unit's permit had allowed ends with that unit.
                await self._machine.lock(arrival)
                self._locked_for = now
            if arrival is not None and now != self._answered:
                yield self._asked(arrival)
                continue
            await self.session.changed(within_s=READ_AGAIN_S)

    async def reply(self, answer: Permit | Acknowledgement) -> None:
        """Hand over an answer; one for a unit that has gone is not given."""
        if isinstance(answer, Acknowledgement):
            if ids := self._open.pop(answer.turn, None):
                await self._machine.acknowledge(ids)
            return
        arrival = await self._arrival()
        if arrival is None or arrival.cycle != answer.turn.epoch:
            return
        await self._machine.answer(arrival, answer.answer)
        self._answered = arrival.cycle

    async def _arrival(self) -> Arrival | None:
        settings = self._station.arrival
        if settings is None:
            return None
        nodes = [settings.serial, settings.since, *([settings.operator] if settings.operator else [])]
        readings = await self.session.read(nodes)
        if bad := [f"{node} {one.bad}" for node, one in zip(nodes, readings, strict=True) if one.bad]:
            raise LinkLost(station=self._station.code, reason=f"without a value: {', '.join(bad)}")
        serial, since, *operator = (one.value for one in readings)
        if not serial:
            return None
        return Arrival(str(serial), number("a", serial, since), str(operator[0]) if operator and operator[0] else None)

    def _asked(self, arrival: Arrival) -> Asked | Unreadable:
        turn = Turn(arrival.cycle, 1)
        said = {"station": self._station.code, "cycle": arrival.cycle, "asker": ASKER, "serial": arrival.serial}
        try:
            return Asked(turn, PermitRequest.model_validate({**said, "operator": arrival.operator}))
        except ValidationError as error:
            problem = Problem(422, "Unreadable", "The unit's serial makes no request.", tuple(described(error)))
            return Unreadable(turn, self._station.code, arrival.cycle, False, problem, {"ReqSerial": arrival.serial})


class AnswerWords:
    """The answer as a machine reads it, at the nodes the mapping names."""

    def __init__(self, station: StationMap, session: Session) -> None:
        self._nodes = station.arrival.answer if station.arrival else None
        self._session = session

    @property
    def nodes(self) -> list[str]:
        """All that are mapped."""
        named = self._nodes.model_dump().values() if self._nodes else ()
        return [node for node in named if node]

    async def write(self, arrival: Arrival, answer: PermitAnswer | Problem) -> None:
        """Write the answer, the visit's number last: until it stands there, the answer isn't given."""
        words = permit_words(arrival.serial, answer)
        text, recipe = words["PermitText"], words["RecipeId"]
        await self._set(serial=arrival.serial, text=text, recipe=recipe, granted=is_granted(answer))
        await self._set(cycle=arrival.cycle)

    async def given(self) -> str:
        """The visit whose answer stands at the machine, if the mapping names where."""
        node = self._nodes.cycle if self._nodes else None
        if node is None:
            return ""
        (reading,) = await self._session.read([node])
        return str(reading.value or "")

    async def clear(self, arrival: Arrival | None) -> None:
        """Take the permit back, the word that decides first; one for this very visit stays."""
        if arrival and await self.given() == arrival.cycle:
            return
        await self._set(granted=False, cycle="")
        await self._set(serial="", text="")

    async def _set(self, **values: Any) -> None:
        mapped = {name: getattr(self._nodes, name, None) for name in values}
        present = {node: values[name] for name, node in mapped.items() if node}
        if present:
            await self._session.write(present)


def arrival_nodes(station: StationMap) -> list[str]:
    """The nodes that say that a unit has come."""
    if station.arrival is None:
        return []
    named = (station.arrival.serial, station.arrival.since, station.arrival.operator)
    return [node for node in named if node]


def is_granted(answer: PermitAnswer | Problem) -> bool:
    """Tell whether work may begin."""
    return isinstance(answer, PermitAnswer) and answer.granted


def number(kind: str, *what: Any) -> str:
    """Make a number that is the same whenever it is made of the same."""
    said = "|".join(one.isoformat() if isinstance(one, datetime) else str(one) for one in what)
    return f"{kind}-{hashlib.sha256(said.encode()).hexdigest()[:24]}"
