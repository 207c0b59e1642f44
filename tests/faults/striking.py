"""Strikes faults at a running shift, each once or so many at random, and waits until the plant has got over each."""

import asyncio
import math
import random
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from tests.faults.floor import FIRST, STATIONS
from tests.faults.shift import Shift
from tests.faults.table import FAULTS, Fault, Place, at_stations

AT_ONCE = 4
MOSTLY_S = 3.0  # nearly all faults can be as short as this
Tell = Callable[["Struck"], Any]


@dataclass
class Struck:
    """A fault that was: when it began, was over, and the plant had got over it."""

    fault: Fault
    stations: tuple[str, ...]
    began_at: float
    healed_at: float = math.inf
    back_at: float = math.inf


class Striker:
    """Strikes faults, several at once where they are about different things."""

    def __init__(self, shift: Shift, chance: random.Random, *, at_most_s: float, tell: Tell = lambda _: None) -> None:
        self._shift, self._chance, self._at_most_s, self._tell = shift, chance, at_most_s, tell
        self._held: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.struck: list[Struck] = []

    async def each_once(self, *, at_once: bool = False) -> None:
        """Strike the faults of stations beside each other, at a station each; then those of the plant, one by one.

        `at_once`: those of the plant are not put off until the stations have got over theirs.
        """
        async with asyncio.TaskGroup() as tasks:
            for number, fault in enumerate(at_stations()):
                tasks.create_task(self.strike(fault, FIRST[number % len(FIRST)]))
            if at_once:
                await self._at_plant()
        if not at_once:
            await self._at_plant()

    async def _at_plant(self) -> None:
        for fault in FAULTS:
            if fault.targets:
                await self.strike(fault)

    async def at_random(self, count: int) -> None:
        """Strike so many, some of them at once."""
        free = asyncio.Semaphore(AT_ONCE)
        faults = [fault for fault in FAULTS if fault.lasts_s[0] <= max(self._at_most_s, MOSTLY_S)]

        async def strike(fault: Fault, station: str) -> None:
            try:
                await self.strike(fault, station)
            finally:
                free.release()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(count):
                await free.acquire()
                tasks.create_task(strike(self._chance.choice(faults), self._chance.choice(STATIONS)))
                await asyncio.sleep(self._chance.uniform(0, 1))

    async def strike(self, fault: Fault, station: str = "") -> None:
        """Strike a fault when its target is free, heal it, and wait until the plant has got over it."""
        lasts_s = self._lasts_s(fault)
        async with AsyncExitStack() as held:
            for target in sorted(fault.targets) or [station]:
                await held.enter_async_context(self._held[target])
            stations = tuple(STATIONS) if fault.targets else (station,)
            struck = Struck(fault, stations, time.monotonic())
            self.struck.append(struck)
            async with self._context(fault, station):
                await asyncio.sleep(lasts_s)
            struck.healed_at = time.monotonic()
            await self._until_over(struck)
            struck.back_at = time.monotonic()
            self._tell(struck)

    def _context(self, fault: Fault, station: str) -> Any:
        if fault.targets:
            return fault.strike(self._shift)  # type: ignore[arg-type]
        return fault.strike(Place(self._shift.plcs[station], self._shift.links[station]))  # type: ignore[arg-type]

    async def _until_over(self, struck: Struck) -> None:
        shift, plcs = self._shift, [self._shift.plcs[code] for code in struck.stations]

        def is_over() -> bool:
            heard = all(plc.heard_at > struck.healed_at for plc in plcs)
            return heard and not (struck.fault.targets and shift.waiting())

        await shift.until(is_over, f"{struck.fault.name} at {', '.join(struck.stations)} to be over")

    def _lasts_s(self, fault: Fault) -> float:
        """Short ones are as common as long ones."""
        shortest, longest = fault.lasts_s
        if shortest == longest:
            return shortest
        least = max(shortest, 0.1)
        lasts_s = least * (longest / least) ** self._chance.random()
        return min(lasts_s, self._at_most_s)
