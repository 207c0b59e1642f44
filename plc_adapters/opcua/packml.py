"""PackML (OPC 30050) beside any profile: how long a machine was in which state, and what it counted, for OEE.

Told as metrics: seconds by state, pieces produced and defective. The state is looked at every second over the
station's own session, and the time between two looks belongs to the state seen at the first; while the link is down
no time is counted for any state. Counts are taken as what was added, so a machine that starts anew adds what it has
counted since; what is made while the gateway is down shows at its next look, what is made before its first does not.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from plc_adapters import metrics
from plc_adapters.opcua.session import Session
from plc_adapters.port import LinkLost
from plc_adapters.profile_settings import PackmlSettings

LOOK_EVERY_S = 1.0
STATES = (
    *("Undefined", "Clearing", "Stopped", "Starting", "Idle", "Suspended", "Execute", "Stopping", "Aborting"),
    *("Aborted", "Holding", "Held", "Unholding", "Suspending", "Unsuspending", "Resetting", "Completing", "Complete"),
)


class Packml:
    """What one machine shows; it outlives the links to it."""

    def __init__(self, station: str, settings: PackmlSettings, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self.state = "Undefined"
        self.looked = asyncio.Event()
        self._station = station
        self._settings = settings
        self._look_every_s = look_every_s
        self._counted: dict[str, int] = {}

    @asynccontextmanager
    async def watched(self, session: Session) -> AsyncIterator[None]:
        """Look at the machine while the context lasts; LinkLost where it doesn't show what the mapping says."""
        await self._look(session)
        task = asyncio.create_task(self._watch(session), name=f"packml {self._station}")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self._show("Undefined")

    async def _watch(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        try:
            while True:
                await asyncio.sleep(self._look_every_s)
                before, now = self.state, loop.time()
                await self._look(session)
                metrics.packml_seconds.labels(self._station, before).inc(now - looked_at)
                looked_at = now
                self.looked.set()
        except LinkLost as error:
            session.lose(str(error.facts.get("reason", "")))

    async def _look(self, session: Session) -> None:
        named = {
            "state": self._settings.state,
            "produced": self._settings.produced,
            "defective": self._settings.defective,
        }
        nodes = {name: node for name, node in named.items() if node}
        readings = dict(zip(nodes, await session.read(list(nodes.values())), strict=True))
        if bad := [f"{nodes[name]} {one.bad}" for name, one in readings.items() if one.bad and "Node" in one.bad]:
            raise LinkLost(station=self._station, reason=f"not in the server: {', '.join(bad)}")
        state = readings.pop("state")
        self._show(state_name(state.value) if state.bad is None else "Undefined")
        for name, one in readings.items():
            if one.bad is None and isinstance(one.value, int):
                self._count(name, one.value)

    def _show(self, state: str) -> None:
        if state != self.state:
            metrics.packml_state.labels(self._station, self.state).set(0)
        self.state = state
        metrics.packml_state.labels(self._station, state).set(1)

    def _count(self, name: str, value: int) -> None:
        last = self._counted.get(name, value)
        counter = metrics.packml_produced if name == "produced" else metrics.packml_defective
        counter.labels(self._station).inc(value - last if value >= last else value)
        self._counted[name] = value


def state_name(read: Any) -> str:
    """Name a state that is shown as its number or its name."""
    if isinstance(read, int) and not isinstance(read, bool):
        return STATES[read] if 0 <= read < len(STATES) else STATES[0]
    return next((one for one in STATES if one.lower() == str(read).strip().lower()), STATES[0])
