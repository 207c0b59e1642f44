"""The state of each station's link, as the MES is told it."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import structlog

from mes import clock
from plc_adapters import metrics
from plc_adapters.dead_letters import DeadLetters
from plc_adapters.door import Door, DoorClosed
from plc_adapters.port import Port
from plc_adapters.spool import Spool

log = structlog.get_logger()
TOLD_EVERY_S = 15.0


@dataclass(slots=True)
class _Link:
    state: Literal["connected", "lost"]
    since: datetime
    dead_letters: int


class Links:
    """Whether each station is connected, since when, and what of it waits: dead letters, kept results and answers."""

    def __init__(
        self,
        gateway: str,
        stations: list[str],
        letters: DeadLetters,
        spool: Spool | None = None,
        *,
        plain: Collection[str] = (),
    ) -> None:
        self.gateway = gateway
        self._letters, self._spool = letters, spool
        self._links = {code: _Link("lost", clock.now(), letters.count(code)) for code in stations}
        self._changed = asyncio.Event()
        self._plain = frozenset(plain)
        self._ports: dict[str, Port] = {}
        self._logged: set[str] = set()
        for code, link in self._links.items():
            metrics.link_up.labels(code).set(0)
            metrics.dead_letters.labels(code).set(link.dead_letters)

    def connected(self, station: str, port: Port) -> None:
        """Note a link that is up; logged once."""
        self._ports[station] = port
        if self._links[station].state != "connected":
            log.info("station_connected", station=station)
            self._set(station, "connected")
        self._logged.discard(station)

    def lost(self, station: str, reason: str) -> None:
        """Note a link that is gone; logged once, however many tries follow."""
        self._ports.pop(station, None)
        if station not in self._logged:
            log.warning("station_lost", station=station, reason=reason)
            self._logged.add(station)
        if self._links[station].state != "lost":
            self._set(station, "lost")

    def letters_changed(self, station: str) -> None:
        """Count a station's dead letters again."""
        waiting = self._letters.count(station)
        metrics.dead_letters.labels(station).set(waiting)
        if waiting != self._links[station].dead_letters:
            self._links[station].dead_letters = waiting
            self._changed.set()

    def told(self) -> list[dict[str, Any]]:
        """The state of all, as the MES is told it."""
        return [
            {
                "station": code,
                "state": link.state,
                "since": link.since.isoformat(),
                "dead_letters": link.dead_letters,
                "skew_s": self._ports[code].skew_s if code in self._ports else None,
                "encrypted": code not in self._plain,
                "kept": self._spool.waiting.count(code) if self._spool else 0,
            }
            for code, link in self._links.items()
        ]

    async def keep_telling(self, door: Door) -> None:
        """Tell the MES on every change and at least every 15 seconds, for as long as the gateway runs."""
        trouble = ""
        while True:
            self._changed.clear()
            for station in self._links:
                self.letters_changed(station)
            try:
                await door.links(self.gateway, self.told())
                trouble = ""
            except DoorClosed as error:
                if str(error) != trouble:  # once for each reason, not every 15 seconds
                    trouble = str(error)
                    log.warning("links_not_told", reason=trouble)
            try:
                async with asyncio.timeout(TOLD_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _set(self, station: str, state: Literal["connected", "lost"]) -> None:
        self._links[station].state, self._links[station].since = state, clock.now()
        metrics.link_up.labels(station).set(state == "connected")
        self._changed.set()
