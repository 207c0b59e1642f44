"""A MES that goes away and comes back, and a gateway that can be killed and started again on its folder."""

import asyncio
import contextlib
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import stamina
import uvicorn
from pydantic import SecretStr

from mes.app import make_app
from mes.execution.standing import SubjectStanding
from mes.settings import Settings
from plc_adapters.dead_letters import DeadLetters
from plc_adapters.door import HttpDoor
from plc_adapters.keeping import KeepingDoor
from plc_adapters.known import Known
from plc_adapters.spool import Spool

STATIONS = ["ST-20", "ST-21", "ST-22", "ST-30"]


class Mes:
    """A MES on a port of its own, that goes away and comes back."""

    def __init__(self, url: str) -> None:
        self._database_url = url
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._stack = contextlib.AsyncExitStack()

    async def come(self) -> None:
        gate: Any = make_app(Settings(), self._database_url)
        config = uvicorn.Config(gate, port=self.port, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        listening = config.bind_socket()
        await self._stack.enter_async_context(gate.app.app.router.lifespan_context(gate.app.app))
        serving = asyncio.create_task(server.serve([listening]))

        async def stop() -> None:
            server.should_exit = server.force_exit = True
            await serving
            listening.close()

        self._stack.push_async_callback(stop)
        async with httpx.AsyncClient() as client:
            answered = stamina.AsyncRetryingCaller(attempts=None, timeout=10, wait_initial=0.01, wait_max=0.05)
            await answered(httpx.TransportError, client.get, f"http://127.0.0.1:{self.port}/health")

    async def go(self) -> None:
        await self._stack.aclose()


class Gateway:
    """What a gateway is beyond its stations, on one folder; it can be killed and started again."""

    refuses_after_s = 0.0

    def __init__(self, port: int, key: str, folder: Path) -> None:
        self._port, self._key, self.folder = port, key, folder
        self._stack = contextlib.AsyncExitStack()

    async def start(self, most_mb: float = 8) -> KeepingDoor:
        http = await self._stack.enter_async_context(HttpDoor(f"http://127.0.0.1:{self._port}", SecretStr(self._key)))
        self.letters = DeadLetters(self.folder / "letters")
        self.spool = Spool(self.folder / "spool.sqlite", most_mb)
        self._stack.callback(self.spool.close)
        known, waits = Known(timedelta(minutes=15)), {"patience_s": 0.5, "refuses_after_s": self.refuses_after_s}
        self.door = KeepingDoor(http, self.spool, known, self.letters, **waits)
        await self.door.recall()
        for work in (self.door.forward(), self.door.keep_known(STATIONS)):
            task = asyncio.create_task(work)
            self._stack.push_async_callback(_stop, task)
        return self.door

    async def kill(self) -> None:
        await self._stack.aclose()

    async def until_known(self, serial: str, holds: int = 0, cycles: int = 1) -> None:
        """Wait until what is known has a unit with so many holds and cycles."""
        async with asyncio.timeout(10):
            while not (found := self._subject(serial)) or (len(found.holds), len(found.cycles)) != (holds, cycles):
                self.door.known.taken.clear()
                await self.door.known.taken.wait()

    def _subject(self, serial: str) -> SubjectStanding | None:
        return self.door.known.standing.subject(serial) if self.door.known.standing else None

    async def until_brought(self) -> None:
        async with asyncio.timeout(20), self.spool.left:
            await self.spool.left.wait_for(lambda: not self.spool.waiting)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
