"""Wakes whoever waits for events in this process."""

import asyncio
from contextlib import suppress


class Bell:
    """Rung when events may have come. Take `next()` before looking, then wait for it: no ring is missed."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake all who wait."""
        self._rung.set()
        self._rung = asyncio.Event()

    def next(self) -> asyncio.Event:
        """The next ring."""
        return self._rung


async def wait(ring: asyncio.Event, at_most_s: float) -> None:
    """Wait for a ring, but not for longer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(at_most_s):
            await ring.wait()
