"""The tag handshake against node-opcua, a server that shares no code with our client: encrypted, with a password.

The conformance suite must pass, and what only a foreign server shows: values of every kind, the mapping commands.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from typer.testing import CliRunner, Result

from mes import clock
from plc_adapters.mapping import load_map
from plc_adapters.opcua.checking import check_station
from plc_adapters.opcua.commands import opcua
from plc_adapters.opcua.pki import Access
from plc_adapters.opcua.profiles import opener
from plc_adapters.opcua.session import open_session
from plc_adapters.port import LinkLost
from tests.plc_adapters import test_conformance as suite
from tests.plc_adapters.conftest import Gateway
from tests.plc_adapters.device import BEGAN, ENDED, STATION
from tests.plc_adapters.foreign_device import ForeignDevice
from tests.plc_adapters.node_server import USER, NodeServer
from tests.plc_adapters.recording_door import RecordingDoor

test_a_permit_is_given = suite.test_a_permit_is_given
test_a_refused_unit_is_not_worked_on = suite.test_a_refused_unit_is_not_worked_on
test_a_result_has_the_cycle_of_its_permit = suite.test_a_result_has_the_cycle_of_its_permit
test_a_failed_result_says_so = suite.test_a_failed_result_says_so
test_nothing_is_acknowledged_before_the_commit = suite.test_nothing_is_acknowledged_before_the_commit
test_a_gateway_killed_before_it_acknowledged_commits_once = (
    suite.test_a_gateway_killed_between_commit_and_acknowledgement_commits_once
)
test_results_made_while_nobody_listened_are_caught_up = suite.test_results_made_while_nobody_listened_are_caught_up
test_a_device_that_lost_its_memory_reuses_no_number = suite.test_a_device_that_lost_its_memory_reuses_no_number
test_an_answer_nobody_waits_for_any_more_is_not_given = suite.test_an_answer_nobody_waits_for_any_more_is_not_given


@pytest_asyncio.fixture(scope="module")
async def plc(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ForeignDevice]:
    """A foreign PLC, started once."""
    played = ForeignDevice(NodeServer("words", tmp_path_factory.mktemp("node")))
    await played.start()
    yield played
    await played.stop()


@pytest.fixture
def access(plc: ForeignDevice) -> Access:
    return plc.server.access(STATION)


@pytest_asyncio.fixture
async def profile(plc: ForeignDevice, access: Access) -> tuple[Any, Any]:
    """Take the place of our own devices in the suite."""
    await plc.begin()
    return plc, lambda station: opener(station, access)()


@pytest.mark.parametrize("breaks", ["cut", "restart"])
async def test_what_is_owed_is_paid_once_after_a_break(
    device: ForeignDevice, door: RecordingDoor, gateway: Gateway, breaks: str
) -> None:
    door.open.clear()
    await device.finish("U-1")
    await door.until(lambda: door.tries)
    if breaks == "cut":
        assert await device.cut() == 1, "one session for a station"
    else:
        await device.stop()
        await device.start()
    door.open.set()
    await device.taken()
    assert len(set(door.tries)) == len(door.reports) == 1
    await device.bring("U-2")
    assert await device.answered() == (True, "U-2")


async def test_values_and_curves_of_every_kind_are_read(
    device: ForeignDevice, door: RecordingDoor, gateway: Gateway
) -> None:
    measured = {"values.torque_nm": [9.1, 9.2], "values.seated_ok": [True, False], "values.label": ["grün"]}
    curve = {"curves.torque_curve.1.x": [0.0, 1.0], "curves.torque_curve.1.y": [0.0, 9.2]}
    await device.report("U-3", **measured, **curve)
    assert (await device.acknowledged())[0] == 1
    (report,) = door.reports
    assert (report.started_at, report.ended_at) == (BEGAN, ENDED)
    assert report.values == {"torque_nm": [9.1, 9.2], "seated_ok": [True, False], "label": ["grün"]}
    assert [(one.x, one.y) for one in report.curves] == [([0.0, 1.0], [0.0, 9.2])]


async def test_a_mapping_is_proposed_and_checked_by_the_commands(
    plc: ForeignDevice, access: Access, tmp_path: Path
) -> None:
    out = tmp_path / "line.yaml"
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


async def test_the_server_clock_is_read(plc: ForeignDevice, access: Access) -> None:
    before = clock.now()
    async with open_session(plc.station, access) as session, asyncio.timeout(4):
        while session.skew_s is None:
            await session.changed(within_s=0.02)
        assert abs(session.skew_s) < (clock.now() - before).total_seconds() + 1


async def test_a_wrong_password_is_said(plc: ForeignDevice, access: Access, tmp_path: Path) -> None:
    (tmp_path / f"{STATION}.password").write_text("something else")
    (tmp_path / f"{STATION}.password").chmod(0o600)
    with pytest.raises(LinkLost, match=rf"refused the log-in \(user {USER}"):
        async with open_session(plc.station, Access(access.pki, tmp_path)):
            pass
