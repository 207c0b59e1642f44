"""The tag handshake against node-opcua, a server that shares no code with our client: encrypted, with a password."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from typer.testing import CliRunner, Result

from mes import clock
from plc_adapters.mapping import StationMap, load_map
from plc_adapters.opcua.checking import check_station
from plc_adapters.opcua.commands import opcua
from plc_adapters.opcua.session import open_session
from plc_adapters.opcua.tag_handshake import open_port
from plc_adapters.port import LinkLost
from plc_adapters.simulated.line import replace_port
from plc_adapters.simulated.plc_server import ANSWERS, words_of
from tests.plc_adapters.conftest import Gateway
from tests.plc_adapters.device import BEGAN, ENDED, KINDS, STATION, station_map
from tests.plc_adapters.node_server import USER, NodeServer
from tests.plc_adapters.recording_door import RecordingDoor

MAPPED = station_map(security="encrypted", user=USER, heartbeat_dead_s=3, timeout_s=4)
COUNTERS = ("ReqSeq", "PermitSeq", "PermitEpoch", "DoneSeq", "AckSeq", "AckEpoch", "Epoch", "PermitSerial")


class NodePlc:
    """The PLC's program."""

    def __init__(self, server: NodeServer, station: StationMap) -> None:
        self.server = server
        self.station = station

    async def write(self, **words: Any) -> None:
        await self.server.do("write", words=words)

    async def read(self, *words: str) -> dict[str, Any]:
        read: dict[str, Any] = await self.server.do("read", words=words)
        return read

    async def ask(self, serial: str) -> dict[str, Any]:
        asked = (await self.read("ReqSeq"))["ReqSeq"] + 1
        await self.write(ReqSerial=serial, ReqSeq=asked)
        words = ["PermitSeq", "PermitSerial", "PermitCode", "PermitText", "RecipeId"]
        answer: dict[str, Any] = await self.server.until(lambda read: read["PermitSeq"] == asked, "read", words=words)
        return answer

    async def report(self, serial: str, **words: Any) -> int:
        read = await self.read("DoneSeq", "ReqSeq")
        times = {"DoneStartedAt": BEGAN.isoformat(), "DoneEndedAt": ENDED.isoformat()}
        said = {"DoneSerial": serial, "DoneVerdict": 1, "DoneReqSeq": read["ReqSeq"], **times, **words}
        await self.write(**said, DoneSeq=read["DoneSeq"] + 1)
        return int(read["DoneSeq"]) + 1

    async def acknowledged(self, seq: int) -> int:
        read = await self.server.until(lambda one: one["AckSeq"] == seq, "read", words=["AckSeq", "AckCode"])
        return int(read["AckCode"])

    async def restart(self) -> None:
        """Its words outlive its server, as a PLC's memory does."""
        kept = await self.read(*COUNTERS, "DoneSerial", "DoneVerdict", "DoneReqSeq", "DoneStartedAt", "DoneEndedAt")
        await self.server.kill()
        await self.server.start()
        await self.write(**kept)


def words(station: StationMap) -> list[dict[str, Any]]:
    """Every word as the server is to make it."""
    return [
        {
            "name": name,
            "node": node,
            "type": kind.name,
            "array": isinstance(first, list),
            "writable": name.startswith(ANSWERS),
            "first": BEGAN.isoformat() if name.endswith("At") else 11 if name == "Epoch" else first,
        }
        for name, node, first, kind in words_of(station, KINDS)
    ]


@pytest_asyncio.fixture(scope="module")
async def plc(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NodePlc]:
    server = NodeServer("words", tmp_path_factory.mktemp("node"), words=words(MAPPED))
    await server.start()
    yield NodePlc(server, replace_port(MAPPED, server.port))
    await server.kill()


@pytest_asyncio.fixture
async def gateway(plc: NodePlc, door: RecordingDoor, tmp_path: Path) -> AsyncIterator[Gateway]:
    access = plc.server.access(STATION)
    gateway = Gateway(plc, lambda station: open_port(station, access), door, tmp_path / "letters")
    gateway.start()
    yield gateway
    await gateway.kill()


async def test_a_permit_is_asked_and_its_answer_stands_in_the_plc(
    plc: NodePlc, door: RecordingDoor, gateway: Gateway
) -> None:
    granted = await plc.ask("U-1")
    assert (granted["PermitSerial"], granted["PermitCode"], granted["RecipeId"]) == ("U-1", 1, "weld@d1")
    door.refuse.add("U-2")
    refused = await plc.ask("U-2")
    assert (refused["PermitSerial"], refused["PermitCode"]) == ("U-2", 2)
    assert refused["PermitText"].startswith("U-2 is on hold")


async def test_a_result_is_reported_once_with_all_that_was_measured(
    plc: NodePlc, door: RecordingDoor, gateway: Gateway
) -> None:
    await plc.ask("U-3")
    measured = {"values.torque_nm": [9.1, 9.2], "values.seated_ok": [True, False], "values.label": ["grün"]}
    curve = {"curves.torque_curve.1.x": [0.0, 1.0], "curves.torque_curve.1.y": [0.0, 9.2]}
    seq = await plc.report("U-3", **measured, **curve)
    assert await plc.acknowledged(seq) == 1
    (report,) = door.reports
    assert (report.cycle, report.serial, report.verdict) == (door.permits[-1].cycle, "U-3", "passed")
    assert (report.started_at, report.ended_at) == (BEGAN, ENDED)
    assert report.values == {"torque_nm": [9.1, 9.2], "seated_ok": [True, False], "label": ["grün"]}
    assert [(one.x, one.y) for one in report.curves] == [([0.0, 1.0], [0.0, 9.2])]


async def test_what_is_owed_when_the_server_dies_is_paid_once_when_it_is_back(
    plc: NodePlc, door: RecordingDoor, gateway: Gateway
) -> None:
    door.answers.clear()
    seq = await plc.report("U-4", DoneReqSeq=0)
    await door.until(lambda: door.reports)
    await plc.restart()
    door.answers.set()
    assert await plc.acknowledged(seq) == 1
    assert [one.serial for one in door.reports] == ["U-4"]
    assert (await plc.ask("U-5"))["PermitCode"] == 1


async def test_a_mapping_is_proposed_and_checked_by_the_commands(plc: NodePlc, tmp_path: Path) -> None:
    access, out = plc.server.access(STATION), tmp_path / "line.yaml"
    assert access.secrets is not None

    async def run(*said: object) -> Result:
        secure = ("--pki", access.pki.folder, "--secrets", access.secrets)
        return await asyncio.to_thread(CliRunner().invoke, opcua, [*map(str, (*said, *secure))])

    mapped = await run("map", plc.station.endpoint, "--station", STATION, "--user", USER, "--out", out)
    assert (mapped.exit_code, "0 missing" in mapped.output) == (0, True), mapped.output
    (station,) = load_map(out).stations
    assert station.word_nodes == plc.station.word_nodes
    checked = await run("check", "--map", out)
    assert (checked.exit_code, "MISSING" in checked.output) == (0, False), checked.output
    wrong = yaml.safe_load(out.read_text())
    wrong["stations"][0]["words"] |= {"PermitText": "s=S-070.ReqOperator", "ReqOperator": None, "State": "s=nowhere"}
    out.write_text(yaml.safe_dump(wrong))
    points = await check_station(load_map(out).stations[0], access)
    assert {one.name for one in points if not one.ok} == {"PermitText", "State"}


async def test_the_server_clock_is_read_and_a_wrong_password_is_refused(plc: NodePlc) -> None:
    access = plc.server.access(STATION)
    before = clock.now()
    async with open_session(plc.station, access) as session, asyncio.timeout(4):
        while session.skew_s is None:
            await session.changed(within_s=0.02)
        assert abs(session.skew_s) < (clock.now() - before).total_seconds() + 1
    assert access.secrets is not None
    (access.secrets / f"{STATION}.password").write_text("wrong")
    with pytest.raises(LinkLost, match=rf"refused the log-in \(user {USER}"):
        async with open_session(plc.station, access):
            pass
