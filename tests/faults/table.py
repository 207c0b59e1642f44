"""The fault table: what can go wrong with a line, each as a context: it begins, and it is over."""

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import psutil
from asyncua.client.client import Client

from tests.faults.plc import Plc
from tests.faults.proxy import Proxy
from tests.faults.shift import SPEED, Shift
from tests.journeys.processes import Program

HOUR_S = 3_600.0
TEN_MINUTES_S = 600 / SPEED


@dataclass(frozen=True)
class Place:
    """A station of the shift: its PLC and the link to it."""

    plc: Plc
    link: Proxy


AtStation = Callable[[Place], AbstractAsyncContextManager[None]]
AtPlant = Callable[[Shift], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """A row of the table. `targets`: what of the plant it needs for itself; none: a station of its own.

    `lasts_s`: from .. to; where both are the same, it always lasts so long.
    """

    name: str
    strike: AtStation | AtPlant
    lasts_s: tuple[float, float]
    targets: tuple[str, ...] = ()


@asynccontextmanager
async def _reset(place: Place) -> AsyncIterator[None]:
    place.link.reset()
    yield
    place.link.pass_on()


@asynccontextmanager
async def _black_hole(place: Place) -> AsyncIterator[None]:
    place.link.hold()
    yield
    place.link.pass_on()


@asynccontextmanager
async def _restart(place: Place) -> AsyncIterator[None]:
    await place.plc.power_off()
    yield
    await place.plc.power_on()


@asynccontextmanager
async def _restart_without_memory(place: Place) -> AsyncIterator[None]:
    await place.plc.power_off()
    place.plc.forget()
    yield
    await place.plc.power_on()


@asynccontextmanager
async def _namespace_moved(place: Place) -> AsyncIterator[None]:
    await place.plc.power_off()
    yield
    place.plc.spaces = [] if place.plc.spaces else ["urn:another:1", "urn:another:2"]
    await place.plc.power_on()


@asynccontextmanager
async def _nodes_late(place: Place) -> AsyncIterator[None]:
    await place.plc.power_off()
    await place.plc.serve_nothing()
    yield
    await place.plc.load_program()


@asynccontextmanager
async def _subscription_refused(place: Place) -> AsyncIterator[None]:
    place.plc.inside.subscribes = False
    place.link.cut()
    yield
    place.plc.inside.subscribes = True


@asynccontextmanager
async def _session_limit(place: Place) -> AsyncIterator[None]:
    """The server has two sessions: a tool takes one, and the one that the gateway has lost stays for half a minute."""
    endpoint = place.plc.station.endpoint
    async with Client(endpoint, timeout=20):
        place.plc.inside.sessions_at_most = 2
        place.link.cut()
        yield
    place.plc.inside.sessions_at_most = 100


@asynccontextmanager
async def _slow(place: Place) -> AsyncIterator[None]:
    place.plc.inside.answers.clear()
    yield
    place.plc.inside.answers.set()


@asynccontextmanager
async def _plc_clock(place: Place) -> AsyncIterator[None]:
    place.plc.set_clock(timedelta(hours=-1 if place.plc.turns[-1].seq % 2 else 1))
    yield
    place.plc.set_clock(timedelta(0))


@asynccontextmanager
async def _killed(program: Program) -> AsyncIterator[None]:
    await asyncio.to_thread(program.kill)
    yield
    await asyncio.to_thread(program.start)


@asynccontextmanager
async def _mes_link_reset(shift: Shift) -> AsyncIterator[None]:
    shift.mes_link.reset()
    yield
    shift.mes_link.pass_on()


@asynccontextmanager
async def _mes_link_black_hole(shift: Shift) -> AsyncIterator[None]:
    shift.mes_link.hold()
    yield
    shift.mes_link.pass_on()


@asynccontextmanager
async def _database_stopped(shift: Shift) -> AsyncIterator[None]:
    """Immediately, as a crash: what comes next is a recovery."""
    os.kill(shift.server.pid, signal.SIGQUIT)
    await asyncio.to_thread(shift.server.__exit__)
    yield
    await asyncio.to_thread(shift.server.__enter__)


@asynccontextmanager
async def _database_hangs(shift: Shift) -> AsyncIterator[None]:
    server = psutil.Process(shift.server.pid)
    stopped = [server, *server.children(recursive=True)]
    for process in stopped:
        process.suspend()
    yield
    for process in stopped:
        process.resume()


@asynccontextmanager
async def _disk_full(shift: Shift) -> AsyncIterator[None]:
    """The MES is away, and the gateway's disk takes nothing more: no file of its may grow or be written past here."""
    pid = shift.gateway.pid
    async with _killed(shift.mes):
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        yield
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def _clock_of(program: str, by_s: float) -> AtPlant:
    @asynccontextmanager
    async def jumped(shift: Shift) -> AsyncIterator[None]:
        shift.move_clock(program, by_s)
        yield
        shift.move_clock(program, 0)

    return jumped


@asynccontextmanager
async def _jumped_while_away(shift: Shift) -> AsyncIterator[None]:
    """The MES is away, and the gateway's clock jumps back: what it knows must not look younger than it is."""
    async with _killed(shift.mes):
        await asyncio.sleep(1)
        shift.move_clock("gateway", -4)
        yield
    shift.move_clock("gateway", 0)


FAULTS: tuple[Fault, ...] = (
    Fault("link cut: reset", _reset, (1, 60)),
    Fault("link cut: black hole", _black_hole, (1, 60)),
    Fault("PLC restart, counters kept", _restart, (0, 10)),
    Fault("PLC restart, counters lost", _restart_without_memory, (0, 10)),
    Fault("namespace moved", _namespace_moved, (0, 2)),
    Fault("nodes late", _nodes_late, (1, 10)),
    Fault("subscription refused", _subscription_refused, (1, 10)),
    Fault("session limit", _session_limit, (1, 10)),
    Fault("PLC slow for 3 s", _slow, (3, 3)),
    Fault("PLC clock jumped an hour", _plc_clock, (2, 10)),
    Fault("gateway SIGKILL", lambda shift: _killed(shift.gateway), (0, 5), ("gateway",)),
    Fault("MES SIGKILL", lambda shift: _killed(shift.mes), (0, 10), ("mes",)),
    Fault("MES link cut: reset", _mes_link_reset, (1, 60), ("mes",)),
    Fault("MES link cut: black hole", _mes_link_black_hole, (1, 60), ("mes",)),
    Fault("database stopped", _database_stopped, (1, 10), ("mes",)),
    Fault("database hangs", _database_hangs, (1, 15), ("mes",)),
    Fault("disk of the spool full", _disk_full, (2, 10), ("mes", "gateway")),
    Fault("gateway clock +1 h", _clock_of("gateway", HOUR_S), (2, 10), ("gateway",)),
    Fault("gateway clock -1 h", _clock_of("gateway", -HOUR_S), (2, 10), ("gateway",)),
    Fault("gateway clock back, MES away", _jumped_while_away, (2, 40), ("gateway", "mes")),
    Fault("MES clock +1 h", _clock_of("mes", HOUR_S), (2, 10), ("mes",)),
    Fault("MES clock -1 h", _clock_of("mes", -HOUR_S), (2, 10), ("mes",)),
    Fault("MES away ten minutes", lambda shift: _killed(shift.mes), (TEN_MINUTES_S, TEN_MINUTES_S), ("mes",)),
)


def named(name: str) -> Fault:
    """Find a fault by its name."""
    return next(fault for fault in FAULTS if fault.name == name)


def at_stations() -> Iterator[Fault]:
    """The faults of a single station."""
    return (fault for fault in FAULTS if not fault.targets)
