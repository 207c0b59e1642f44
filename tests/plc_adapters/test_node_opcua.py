"""The tag handshake against a server that isn't ours, signed and encrypted, with a log-in: the same suite must pass."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from plc_adapters.opcua.pki import Access, Pki
from plc_adapters.opcua.profiles import opener
from plc_adapters.opcua.session import open_session
from plc_adapters.port import LinkLost
from tests.plc_adapters import test_conformance as suite
from tests.plc_adapters.device import STATION
from tests.plc_adapters.foreign_device import PASSWORD, ForeignDevice, ForeignPlc, install
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


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> Access:
    """A gateway's certificates, and the folder with the station's password."""
    secrets = tmp_path_factory.mktemp("secrets")
    (secrets / f"{STATION}.password").write_text(PASSWORD)
    (secrets / f"{STATION}.password").chmod(0o600)
    return Access(Pki(tmp_path_factory.mktemp("gateway") / "pki"), secrets)


@pytest.fixture(scope="module")
def plc(tmp_path_factory: pytest.TempPathFactory, access: Access) -> Iterator[ForeignPlc]:
    """A foreign PLC, whose certificate the gateway was told to trust."""
    installed = install()
    made = ForeignPlc(installed, tmp_path_factory.mktemp("foreign"))
    access.pki.own()
    access.pki.add_trusted(made.start(ForeignDevice(made).station, {"Epoch": 11}))
    yield made
    made.stop()


@pytest_asyncio.fixture
async def profile(plc: ForeignPlc, access: Access) -> AsyncIterator[tuple[Any, Any]]:
    """Take the place of our own devices in the suite."""
    device = ForeignDevice(plc)
    await device.start()
    await device.begin()
    yield device, lambda station: opener(station, access)()


@pytest.mark.parametrize("breaks", ["cut", "restart"])
async def test_what_is_owed_is_paid_once_after_a_break(
    device: ForeignDevice, door: RecordingDoor, gateway: Any, breaks: str
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


async def test_a_wrong_password_is_said(device: ForeignDevice, access: Access, tmp_path: Path) -> None:
    (tmp_path / f"{STATION}.password").write_text("something else")
    (tmp_path / f"{STATION}.password").chmod(0o600)
    with pytest.raises(LinkLost, match=r"BadUserAccessDenied|BadIdentityTokenRejected|log-in|user"):
        async with open_session(device.station, Access(access.pki, tmp_path)):
            pass
