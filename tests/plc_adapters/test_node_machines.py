"""Machines of companion specifications by node-opcua: the specifications' own node sets, real structures, encrypted."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from plc_adapters.mapping import StationMap
from plc_adapters.opcua.checking import check_station
from plc_adapters.opcua.profiles import PROFILES
from plc_adapters.simulated.line import replace_port
from plc_adapters.simulated.machine import ARRIVAL
from tests.plc_adapters.conftest import Gateway
from tests.plc_adapters.device import BEGAN, ENDED, STATION, station_map
from tests.plc_adapters.node_server import USER, NodeServer
from tests.plc_adapters.recording_door import RecordingDoor

RESULTS = {
    "results": "s=ResultManagement",
    "values": {"leak_mbar": "ResultContent.0", "label": "ResultContent.1"},
    "curves": {"pressure_curve": {"x": "ResultContent.2", "y": "ResultContent.3"}},
    "tool": "ResultMetaData.ResultId",
}
JOBS = {
    "receiver": "s=Receiver",
    "provider": "s=Provider",
    "work_master": "W7",
    "values": {"power_w": "Power", "label": "Label"},
}
TIMES = {"started": BEGAN.isoformat(), "ended": ENDED.isoformat()}
CONTENT = [
    {"type": "Double", "value": [0.1, 0.2]},
    {"type": "String", "value": "dicht"},
    {"type": "Double", "value": [0.0, 1.0]},
    {"type": "Float", "value": [50.0, 49.5]},
]


class NodeMachine:
    """A machine with a profile."""

    def __init__(self, server: NodeServer, station: StationMap) -> None:
        self.do = server.do
        self.until = server.until
        self.server = server
        self.station = station

    async def bring(self, serial: str) -> dict[str, Any]:
        """Bring a unit, and return its answer."""
        before = (await self.do("read"))["Answer.Cycle"]
        await self.do("bring", serial=serial)

        def is_answered(read: dict[str, Any]) -> bool:
            return read["Answer.Serial"] == serial and read["Answer.Cycle"] not in ("", before)

        answer: dict[str, Any] = await self.until(is_answered, "read")
        return answer


def mapped(profile: str, settings: dict[str, Any]) -> StationMap:
    plain: dict[str, Any] = {"values": [], "curves": {}, "extras": []}
    secure = {"security": "encrypted", "user": USER, "timeout_s": 4}
    return station_map(**plain, **secure, profile=profile, arrival=ARRIVAL, **{profile: settings})


async def played(name: str, station: StationMap, folder: Path) -> AsyncIterator[NodeMachine]:
    server = NodeServer(name, folder)
    await server.start()
    yield NodeMachine(server, replace_port(station, server.port))
    await server.kill()


@pytest_asyncio.fixture(scope="module")
async def results(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NodeMachine]:
    async for machine in played("results", mapped("machinery_result", RESULTS), tmp_path_factory.mktemp("node")):
        yield machine


@pytest_asyncio.fixture(scope="module")
async def jobs(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NodeMachine]:
    async for machine in played("jobs", mapped("job_control", JOBS), tmp_path_factory.mktemp("node")):
        yield machine


@pytest_asyncio.fixture
async def gateway(request: pytest.FixtureRequest, door: RecordingDoor, tmp_path: Path) -> AsyncIterator[Gateway]:
    machine: NodeMachine = request.getfixturevalue(request.param)
    opens, access = PROFILES[machine.station.profile], machine.server.access(STATION)
    gateway = Gateway(machine, lambda station: opens(station, access), door, tmp_path / "letters")
    gateway.start()
    yield gateway
    await gateway.kill()


@pytest.mark.parametrize("gateway", ["results"], indirect=True)
async def test_a_result_structure_is_taken_once_and_acknowledged(
    results: NodeMachine, door: RecordingDoor, gateway: Gateway
) -> None:
    answer = await results.bring("U-1")
    assert (answer["Answer.Granted"], answer["Answer.Cycle"]) == (True, door.permits[0].cycle)
    await results.do("keep", key="R-1", serial="U-1", evaluation=1, content=CONTENT, **TIMES)
    await results.do("keep", key="R-2", serial="U-9", evaluation=2, content=[], **TIMES)
    await results.until(lambda kept: not kept["keys"], "kept")
    first, second = door.reports
    assert (first.cycle, first.serial, first.verdict, first.tool) == (door.permits[0].cycle, "U-1", "passed", "R-1")
    assert (first.started_at, first.ended_at) == (BEGAN, ENDED)
    assert first.values == {"leak_mbar": [0.1, 0.2], "label": ["dicht"]}
    assert [(one.x, one.y) for one in first.curves] == [([0.0, 1.0], [50.0, 49.5])]
    assert (second.serial, second.verdict, second.cycle[:2]) == ("U-9", "failed", "d-")
    assert not gateway.read_letters()
    assert (await results.do("kept"))["handles"] <= 1


@pytest.mark.parametrize("gateway", ["jobs"], indirect=True)
async def test_a_job_order_is_a_structure_and_its_response_the_result(
    jobs: NodeMachine, door: RecordingDoor, gateway: Gateway
) -> None:
    assert (await jobs.bring("U-1"))["Answer.Granted"]
    (order,) = (await jobs.do("kept"))["orders"]
    assert (order["jobOrderID"], order["workMasterID"][0]["ID"]) == (door.permits[0].cycle, "W7")
    assert order["materialRequirements"][0]["materialLotID"] == "U-1"
    parameters = {one["ID"]: one["value"]["value"] for one in order["jobOrderParameters"]}
    assert parameters == {"power_w": 1500.0, "RecipeId": "weld@d1"}
    data = [
        {"id": "JobResult", "type": "Int32", "value": 1},
        {"id": "Power", "type": "Double", "value": [1498.0, 1502.0]},
        {"id": "Label", "type": "String", "value": "heiß"},
        {"id": "RecipeId", "type": "String", "value": f"weld@{'d1' * 32}"},
    ]
    await jobs.do("end", serial="U-1", data=data, parts=[("CELL", "C-1"), ("CELL", "C-2")], **TIMES)
    await jobs.until(lambda kept: not kept["responses"], "kept")
    (report,) = door.reports
    assert (report.cycle, report.serial, report.verdict) == (door.permits[0].cycle, "U-1", "passed")
    assert (report.started_at, report.ended_at, report.recipe_digest) == (BEGAN, ENDED, "d1" * 32)
    assert report.values == {"power_w": [1498.0, 1502.0], "label": ["heiß"]}
    assert [(one.part, one.serial, one.position) for one in report.components] == [
        ("CELL", "C-1", 1),
        ("CELL", "C-2", 2),
    ]
    assert not gateway.read_letters()


@pytest.mark.parametrize("name", ["results", "jobs"])
async def test_a_foreign_machine_passes_the_check(name: str, request: pytest.FixtureRequest) -> None:
    machine: NodeMachine = request.getfixturevalue(name)
    points = await check_station(machine.station, machine.server.access(STATION))
    assert [one for one in points if not one.ok] == []
