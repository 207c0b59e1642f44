"""A PLC of the shift: a real OPC UA server that can be made to fail, a program, and what it saw with its own eyes."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_session import InternalSession
from asyncua.server.server import Server

from mes import clock
from plc_adapters.mapping import StationMap
from plc_adapters.simulated.plc_server import CheapServer, PlcServer, add_words, bare_server
from tests.faults.floor import Floor

KINDS = {"ok": "boolean", "ticket": "number"}
GRANTED, PASSED, FINDINGS = 1, 1, 3
BEAT_S = 0.2
_ANYBODY = User(role=UserRole.Anonymous)


@dataclass
class Turn:
    """One question of a PLC and all that followed; times are those of the driver's own monotonic clock."""

    station: str
    epoch: int
    seq: int
    serial: str
    is_legal: bool
    asked_at: float
    answered_at: float | None = None
    granted: bool = False
    reason: str = ""
    ticket: int | None = None  # the work was done: what it measured, never the same twice
    acked_at: float | None = None
    ack: int = 0
    is_forgotten: bool = False  # the PLC lost its memory in the middle of it

    @property
    def cycle(self) -> str:
        """Its number, as the MES knows it."""
        return f"{self.epoch}-{self.seq}"

    @property
    def ended_at(self) -> float | None:
        """When its last word was heard."""
        return self.acked_at if self.granted else self.answered_at


class _Session(InternalSession):
    """A session of a server that may be slow, or short of subscriptions."""

    iserver: "FailingServer"

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        await self.iserver.answers.wait()
        return await super().read(params)

    async def write(self, params: ua.WriteParameters) -> list[ua.StatusCode]:
        await self.iserver.answers.wait()
        return await super().write(params)

    async def create_subscription(self, *what: Any, **more: Any) -> ua.CreateSubscriptionResult:
        if not self.iserver.subscribes:
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        return await super().create_subscription(*what, **more)


class FailingServer(CheapServer):
    """An OPC UA server that can refuse sessions and subscriptions, and stop answering for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions_at_most, self.subscribes = 100, True
        self.answers = asyncio.Event()
        self.answers.set()

    def create_session(self, name: str, user: User = _ANYBODY, external: bool = False) -> InternalSession:
        if external and len(self._external_sessions) >= self.sessions_at_most:
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        return _Session(self, self.aspace, self.subscription_service, name, user=user, external=external)


class Plc:
    """A station's PLC. Its memory outlives its server, unless it is made to forget."""

    def __init__(self, station: StationMap, floor: Floor, *, cycle_s: float, epoch: int) -> None:
        self.station, self.code = station, station.code
        self.turns: list[Turn] = []
        self.heard_at = 0.0  # when the MES's side last answered anything
        self.clock_ahead = timedelta(0)
        self.spaces: list[str] = []  # namespaces that stand before its own
        self._floor, self._cycle_s, self._epoch = floor, cycle_s, epoch
        self._request = self._done = self._tickets = 0
        self._turn: Turn | None = None
        self._memory: dict[str, Any] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False
        self.inside: FailingServer
        self.words: PlcServer
        self._server: Server

    async def power_on(self) -> None:
        """Serve, with all that is remembered, and run the program."""
        await self.serve_nothing()
        await self.load_program()

    async def serve_nothing(self) -> None:
        """Serve, as yet without the program's nodes."""
        self.inside = FailingServer()
        self._server = await bare_server(self.station.endpoint, inside=self.inside)
        for space in self.spaces:
            await self._server.register_namespace(space)
        await self._server.start()

    async def load_program(self) -> None:
        """Add the program's nodes to the server that runs, and run it."""
        self.words = await add_words(self._server, self.station, KINDS)
        self.words.ahead = self.clock_ahead
        await self.words.write({**self._memory, "Epoch": self._epoch})
        self._tasks = [asyncio.create_task(work) for work in (self._beat(), self._run())]

    async def power_off(self) -> None:
        """Cut every connection and go; the memory is kept."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._tasks:
            counters = [word for word in self.words.all_words() if not word.startswith("values.")]
            self._memory = {word: self.words.read(word) for word in counters}
        self._tasks = []
        for transport in list(self.inside.asyncio_transports):
            transport.abort()
        for session in list(self.inside._external_sessions.values()):
            await session.close_session()
        await self._server.stop()

    def forget(self) -> None:
        """Lose the counters and all that was under way; the piece still lies in the station."""
        if self._turn is not None:
            self._turn.is_forgotten = True
            if self._turn.is_legal:
                self._floor.again(self.code, self._turn.serial)
        self._memory, self._turn, self._request, self._done = {}, None, 0, 0
        self._epoch += 1

    def set_clock(self, ahead: timedelta) -> None:
        """Have the PLC's clock be wrong."""
        self.clock_ahead = self.words.ahead = ahead

    def stop_asking(self) -> None:
        """End the turn under way and begin no other."""
        self._is_stopping = True

    @property
    def is_done(self) -> bool:
        """Whether it has stopped asking, and nothing is owed."""
        return self._is_stopping and self._turn is None

    async def _beat(self) -> None:
        while True:
            await self.words.write({"Heartbeat": (self.words.read("Heartbeat") + 1) % 2**16})
            await asyncio.sleep(BEAT_S)

    async def _run(self) -> None:
        while True:
            if self._turn is None:
                if self._is_stopping:
                    return
                self._request += 1
                serial, is_legal = self._floor.next_for(self.code)
                at = time.monotonic()
                self._turn = Turn(self.code, self._epoch, self._request, serial, is_legal, at)
                self.turns.append(self._turn)
            await self._go_on(self._turn)
            self._turn = None

    async def _go_on(self, turn: Turn) -> None:
        """Do what is left of a turn; after a restart some of it is done already, and is only said again."""
        if turn.answered_at is None:
            await self.words.write({"ReqSerial": turn.serial, "ReqSeq": turn.seq})
            await self._until(lambda: self._answered("Permit", turn.seq))
            assert self.words.read("PermitSerial") == turn.serial, turn
            turn.granted = self.words.read("PermitCode") == GRANTED
            turn.reason = str(self.words.read("PermitReason") or "")
            turn.answered_at = self.heard_at = time.monotonic()
        if not turn.granted:
            await self._refused(turn)
            return
        if turn.ticket is None:
            self._began = clock.now() + self.clock_ahead
            await asyncio.sleep(self._cycle_s)
            self._done += 1
            self._tickets += 1
            turn.ticket = self._tickets
        await self.words.write(self._payload(turn) | {"DoneSeq": self._done})
        await self._until(lambda: self._answered("Ack", self._done))
        turn.ack, turn.acked_at = int(self.words.read("AckCode")), time.monotonic()
        self.heard_at = turn.acked_at
        self._floor.passed(self.code, turn.serial)

    async def _refused(self, turn: Turn) -> None:
        await asyncio.sleep(self._cycle_s / 2)
        if turn.is_legal and turn.reason in ("step_passed", "already_finished"):
            self._floor.passed(self.code, turn.serial)
        elif turn.is_legal:
            self._floor.again(self.code, turn.serial)

    def _payload(self, turn: Turn) -> dict[str, Any]:
        assert turn.ticket is not None
        return {
            "DoneReqSeq": turn.seq,
            "DoneSerial": turn.serial,
            "DoneVerdict": PASSED,
            "DoneStartedAt": self._began,
            "DoneEndedAt": self._began + timedelta(seconds=self._cycle_s),
            "values.ok": [True],
            "values.ticket": [float(turn.ticket)],
        }

    def _answered(self, kind: str, seq: int) -> bool:
        return bool(self.words.read(f"{kind}Epoch") == self._epoch and self.words.read(f"{kind}Seq") == seq)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self.words.until_written()
