"""Chooses what happens next, by the seed alone: mostly good work, so that packs get finished, and all else besides."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.auditor.laws import Book
from tests.simulation.plant import OLDER
from tests.simulation.shift import Action

STATION, QUALITY, SUPERVISOR = ("plc", "station"), ("quinn", "quality"), ("sam", "supervisor")


@dataclass
class Chance:
    """The seed's chances, what the plant looks like, and what was sent so far."""

    rng: random.Random
    book: Book
    is_calm: bool = False  # nothing unlikely happens
    mark: str = "c"  # of the cycles' numbers
    number: int = 0
    sent: list[int] = field(default_factory=list)  # numbers of actions that can be sent again
    waiting: list[Action] = field(default_factory=list)  # permits that were asked, and not reported
    unheard_of: dict[str, str] = field(default_factory=dict)  # serials that reports named before their lot came: part
    names: list[str] = field(default_factory=list)  # reasons of containments, oldest first
    waivers: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)  # cycle -> what was asked under it
    again: list[dict[str, Any]] = field(default_factory=list)  # refused, allowed to deviate since: asked once more
    failed: list[tuple[str, str]] = field(default_factory=list)  # checks that failed: station and kind

    def is_so(self, share: float) -> bool:
        """Whether something happens that happens so often."""
        return share > 0.5 if self.is_calm else self.rng.random() < share

    def one(self, things: Any) -> Any:
        """One of several things."""
        return self.rng.choice(list(things))

    def action(self, do: str, by: tuple[str, str], **m: Any) -> Action:
        """An action with its number."""
        self.number += 1
        made: Action = {"n": self.number, "do": do, "by": list(by), "m": m}
        self.sent.append(self.number)
        return made

    def serial(self, unit_id: int) -> str:
        """A unit's serial."""
        return self.book.tables.units[unit_id].serial

    def units(self, part: str, *states: str) -> list[int]:
        """Units of a part in one of these states."""
        state = self.book.tables.state
        return [id_ for id_ in self.book.tables.of_part[part] if not states or state[id_] in states]

    def loose(self, part: str, *states: str) -> list[int]:
        """Those that are in nothing."""
        return [id_ for id_ in self.units(part, *states) if id_ not in self.book.tables.parent]

    def held(self, units: Iterable[int]) -> set[int]:
        """Those of these units that a hold is open on, or on their lot or order."""
        tables = self.book.tables
        holds = [tables.holds[id_] for id_ in tables.open_holds]
        named = {hold.unit_id for hold in holds}
        lots, orders = {hold.lot_id for hold in holds} - {None}, {hold.order_id for hold in holds} - {None}
        return {u for u in units if u in named or tables.lot_of[u] in lots or tables.units[u].order_id in orders}

    def good(self, part: str) -> list[int]:
        """Parts that may be fitted: in no other, not held, their lot known, their own route finished."""
        tables = self.book.tables
        loose = self.loose(part, "received", "finished")
        held = self.held(loose)
        found = [u for u in loose if u not in held and self.serial(u) != OLDER]
        return [u for u in found if tables.lot_of[u] is not None or tables.units[u].order_id is not None]

    def pick(self, weighted: dict[Callable[[], Action | None], float]) -> Action | None:
        """One of these, by weight; None: it can't be done now."""
        chosen: Callable[[], Action | None] = self.rng.choices(list(weighted), list(weighted.values()))[0]
        return chosen()
