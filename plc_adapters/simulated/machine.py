"""A machine of a companion specification played in software: a unit comes, is worked on, and leaves results behind."""

import asyncio
import json
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

from asyncua import ua

from plc_adapters.simulated.companion_server import CompanionServer, companion_server

ARRIVAL = {
    "serial": "s=Arrival.Serial",
    "since": "s=Arrival.Since",
    "answer": {
        "granted": "s=Answer.Granted",
        "serial": "s=Answer.Serial",
        "cycle": "s=Answer.Cycle",
        "text": "s=Answer.Text",
    },
}


class SimulatedMachine:
    """What it remembers outlives its server: the unit, the answer for it, and results not acknowledged."""

    def __init__(self, clock: datetime, namespace: str) -> None:
        self.clock = clock
        self.namespace = namespace
        self.results: dict[str, Any] = {}
        self.server: CompanionServer
        self.changed = asyncio.Event()
        self.memory: dict[str, Any] = {
            "Arrival.Serial": "",
            "Arrival.Since": clock,
            "Answer.Granted": False,
            "Answer.Serial": "",
            "Answer.Cycle": "",
            "Answer.Text": "",
        }
        self._stack = AsyncExitStack()

    async def start(self, endpoint: str) -> int:
        """Serve; return the port."""
        self.server = await self._stack.enter_async_context(companion_server(endpoint, self.namespace, self.fill))
        self.server.written = self.changed
        return self.server.port

    async def stop(self) -> None:
        """Stop serving, and remember."""
        self.memory = {name: self.server.read(name) for name in self.memory}
        await self._stack.aclose()

    async def fill(self, server: CompanionServer) -> None:
        """Add what it offers; each specification adds its objects."""
        await server.add_variables(self.memory)

    async def bring(self, serial: str) -> None:
        """Have a unit arrive; an empty serial says that the place is empty."""
        await self.server.write("Arrival.Serial", "")
        await self.server.write("Arrival.Since", self.tick())
        await self.server.write("Arrival.Serial", serial)

    def is_allowed(self) -> bool:
        """Tell whether work may begin."""
        return bool(self.server.read("Answer.Granted"))

    def cycle_of(self, serial: str) -> str | None:
        """The number of the visit a permit was given for, if it was for this unit."""
        return self.server.read("Answer.Cycle") if self.server.read("Answer.Serial") == serial else None

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, looked at after each write or call."""
        while not holds():
            await self.changed.wait()
            self.changed.clear()

    def keep(self, document: dict[str, Any]) -> str:
        """Keep a result until it is acknowledged; return its id."""
        key = str(uuid.uuid4())
        document.setdefault("ResultMetaData", {})["ResultId"] = key
        self.results[key] = json.dumps(document)
        return key

    def tick(self) -> datetime:
        """Return the next moment of the machine's clock."""
        self.clock += timedelta(milliseconds=100)
        return self.clock

    async def acknowledge(self, ids: list[str]) -> list[ua.Variant]:
        """AcknowledgeResults (OPC 40001-101)."""
        unknown = [1 if one not in self.results else 0 for one in ids]
        for one in ids:
            self.results.pop(one, None)
        self.changed.set()
        errors = unknown if any(unknown) else []
        kind = ua.VariantType.Int32
        return [ua.Variant(errors, kind, is_array=True), ua.Variant(0, kind)]

    def times(self) -> dict[str, str]:
        """The start and end of a piece of work."""
        return {"StartTime": self.tick().isoformat(), "EndTime": self.tick().isoformat()}
