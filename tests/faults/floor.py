"""The pieces on the floor: which of them a station takes next, and what it has no business to ask for."""

import random
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

STATIONS = [f"F-{n:02}" for n in range(1, 11)]
FIRST, LAST = STATIONS[:-1], STATIONS[-1]  # the first nine in any order, the last after all of them
ILLEGAL = 0.1  # of what is asked, where there is something else to do
_VALUES = [
    {"name": "ok", "kind": "boolean", "expected": True},
    {"name": "ticket", "kind": "number"},
]


def _step(operation: str, **more: Any) -> dict[str, Any]:
    return {"operation": operation, "name": f"Step {operation}", "characteristics": _VALUES, **more}


PLANT: dict[str, Any] = {
    "sites": [
        {
            "code": "F",
            "name": "Faults",
            "lines": [
                {
                    "code": "FL",
                    "name": "Line",
                    "stations": [{"code": code, "name": code, "operations": [code[-2:]]} for code in STATIONS],
                }
            ],
        }
    ],
    "parts": [{"number": "PIECE", "name": "Piece", "trace": "serial", "serial_pattern": "P{number:05}"}],
    "products": [
        {
            "part": "PIECE",
            "bom": [],
            "route": [
                *(_step(code[-2:], after=[]) for code in FIRST),
                _step(LAST[-2:], after=[code[-2:] for code in FIRST], is_complete=True),
            ],
        }
    ],
}


class Floor:
    """Every station is kept busy: it takes what waits for it, else a fresh piece."""

    def __init__(self, serials: Sequence[str], chance: random.Random) -> None:
        self._fresh, self._chance = deque(serials), chance
        self._waiting: dict[str, deque[str]] = {code: deque() for code in STATIONS}
        self.done: defaultdict[str, set[str]] = defaultdict(set)  # serial -> where it has passed

    def next_for(self, station: str) -> tuple[str, bool]:
        """Choose what a station asks for, and tell whether it may."""
        waiting, illegal = self._waiting[station], self._illegal(station)
        if illegal and (self._chance.random() < ILLEGAL or not (waiting or self._may_begin(station))):
            return illegal, False
        if not waiting and self._may_begin(station):
            return self._fresh.popleft(), True
        return (waiting.popleft(), True) if waiting else ("P-UNKNOWN", False)

    def passed(self, station: str, serial: str) -> None:
        """Bring a piece on, to where least is waiting of what it still needs."""
        done = self.done[serial]
        done.add(station)
        left = [code for code in FIRST if code not in done] or [LAST]
        if LAST not in done:
            self._waiting[min(left, key=lambda code: len(self._waiting[code]))].append(serial)

    def again(self, station: str, serial: str) -> None:
        """Put a piece back before the station: it was refused for now, or its work was forgotten."""
        self._waiting[station].append(serial)

    def _may_begin(self, station: str) -> bool:
        return station != LAST and bool(self._fresh)

    def _illegal(self, station: str) -> str | None:
        """A piece that must be refused here: done already, or not ready for it."""
        if station == LAST:
            wrong = [serial for serial, done in self.done.items() if len(done) < len(FIRST)]
        else:
            wrong = [serial for serial, done in self.done.items() if station in done]
        return self._chance.choice(wrong) if wrong else None
