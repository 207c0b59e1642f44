"""A device, a door that records, and a gateway between them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from plc_adapters.dead_letters import DeadLetters
from plc_adapters.gateway import serve
from plc_adapters.links import Links
from plc_adapters.opcua.profiles import PROFILES
from plc_adapters.simulated.plc_server import warm_up
from tests.plc_adapters.device import TagDevice
from tests.plc_adapters.machine_devices import JobDevice, JoiningDevice, ResultDevice
from tests.plc_adapters.recording_door import RecordingDoor
from tests.plc_adapters.toggle_device import FourPhaseDevice, ToggleDevice

DEVICES = [TagDevice, FourPhaseDevice, ToggleDevice, JoiningDevice, ResultDevice, JobDevice]


class Gateway:
    """A gateway that can be killed and started again."""

    def __init__(self, device: Any, opens: Callable[[Any], Any], door: RecordingDoor, folder: Path) -> None:
        self._device, self._opens, self._door = device, opens, door
        self.letters = DeadLetters(folder)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        station = self._device.station
        links = Links("g", [station.code], self.letters)
        serving = serve(
            station.code,
            lambda: self._opens(self._device.station),
            self._door,
            self.letters,
            links,
            wait_max_s=0.1,
        )
        self._tasks = [asyncio.create_task(serving), asyncio.create_task(links.keep_telling(self._door))]

    async def kill(self) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def read_letters(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text("utf-8")) for path in self.letters.paths()]


@pytest_asyncio.fixture(scope="session")
async def standard_nodes() -> None:
    warm_up()


# Every profile adds a device here, and must pass the whole suite.
@pytest_asyncio.fixture(params=DEVICES, ids=lambda device: device.__name__)
async def profile(request: pytest.FixtureRequest, standard_nodes: None) -> AsyncIterator[tuple[Any, Any]]:
    played = request.param()
    await played.start()
    yield played, PROFILES[played.station.profile]
    await played.stop()


@pytest.fixture
def device(profile: tuple[Any, Any]) -> Any:
    return profile[0]


@pytest_asyncio.fixture
async def door() -> RecordingDoor:
    return RecordingDoor()


@pytest_asyncio.fixture
async def gateway(profile: tuple[Any, Any], door: RecordingDoor, tmp_path: Path) -> AsyncIterator[Gateway]:
    played, opens = profile
    gateway = Gateway(played, opens, door, tmp_path / "letters")
    gateway.start()
    yield gateway
    await gateway.kill()
