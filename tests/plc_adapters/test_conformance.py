"""What every port of every profile must do, against a real server: answer what is owed, whatever breaks in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from plc_adapters.port import LinkLost
from tests.plc_adapters.conftest import Gateway
from tests.plc_adapters.recording_door import RecordingDoor


async def test_a_permit_is_given(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    await device.bring("U-1")
    assert await device.answered() == (True, "U-1")
    assert {(request.station, request.serial) for request in door.permits} == {("S-070", "U-1")}


async def test_a_refused_unit_is_not_worked_on(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    door.refuse.add("U-2")
    await device.bring("U-2")
    assert await device.answered() == (False, "U-2")


async def test_the_next_unit_is_asked_for_anew(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    for serial in ("U-1", "U-2", "U-1"):
        await device.bring(serial)
        assert await device.answered() == (True, serial)
    assert len({request.cycle for request in door.permits}) == 3


async def test_a_result_has_the_cycle_of_its_permit(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    await device.bring("U-1")
    await device.answered()
    await device.finish("U-1")
    await device.taken()
    (report,) = door.reports
    assert (report.cycle, report.serial, report.verdict) == (door.permits[0].cycle, "U-1", "passed")
    assert report.started_at < report.ended_at


async def test_a_failed_result_says_so(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    await device.bring("U-1")
    await device.answered()
    await device.finish("U-1", passed=False)
    await device.taken()
    assert [(report.serial, report.verdict) for report in door.reports] == [("U-1", "failed")]


async def test_a_result_nobody_asked_for_is_a_fact_all_the_same(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await device.finish("U-9")
    await device.taken()
    assert [report.serial for report in door.reports] == ["U-9"]
    assert not door.permits


async def test_nothing_is_acknowledged_before_the_commit(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    door.open.clear()
    await device.finish("U-1")
    await door.until(lambda: door.tries)
    assert not device.is_taken()
    door.open.set()
    await device.taken()
    assert len(door.reports) == 1


@pytest.mark.parametrize("breaks", ["cut", "restart", "kill"])
@pytest.mark.parametrize("kind", ["request", "result"])
async def test_what_is_owed_is_paid_once_after_any_break(
    device: Any, door: RecordingDoor, gateway: Gateway, kind: str, breaks: str
) -> None:
    door.open.clear()
    await (device.bring("U-1") if kind == "request" else device.finish("U-1"))
    await door.until(lambda: door.permits or door.tries)
    if breaks == "cut":
        assert device.cut() == 1, "one session for a station"
    elif breaks == "restart":
        await device.stop()
        await device.start()
    else:
        await gateway.kill()
        gateway.start()
    door.open.set()
    if kind == "request":
        assert await device.answered() == (True, "U-1")
        assert len({request.cycle for request in door.permits}) == 1
    else:
        await device.taken()
        assert len(set(door.tries)) == len(door.reports) == 1


async def test_a_gateway_killed_between_commit_and_acknowledgement_commits_once(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    door.answers.clear()
    await device.finish("U-1")
    await door.until(lambda: door.reports)
    await gateway.kill()
    assert not device.is_taken()
    door.answers.set()
    gateway.start()
    await device.taken()
    assert (len(door.tries), len(door.reports)) == (2, 1)


async def test_results_made_while_nobody_listened_are_caught_up(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await gateway.kill()
    await device.finish("U-1")
    gateway.start()
    await device.taken()
    assert [report.serial for report in door.reports] == ["U-1"]


async def test_a_device_that_lost_its_memory_reuses_no_number(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    for _ in range(2):
        await device.bring("U-1")
        assert await device.answered() == (True, "U-1")
        await device.finish("U-1")
        await device.taken()
        await device.forget()
    assert len({request.cycle for request in door.permits}) == 2
    assert len({report.cycle for report in door.reports}) == 2


async def test_an_answer_nobody_waits_for_any_more_is_not_given(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    door.refuse.add("U-2")
    door.open.clear()
    await device.bring("U-1")
    await door.until(lambda: door.permits)
    await device.bring("U-2")
    door.open.set()
    assert await device.answered() == (False, "U-2")


async def test_a_result_the_mes_cannot_understand_becomes_a_dead_letter(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    door.not_understood.add("U-1")
    await device.finish("U-1")
    await device.taken()
    (letter,) = gateway.read_letters()
    assert letter["report"]["serial"] == "U-1"
    assert not door.reports


async def test_what_makes_no_result_becomes_a_dead_letter_with_what_was_read(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await device.garble()
    await device.taken()
    (letter,) = gateway.read_letters()
    assert letter["problem"]["errors"]
    assert letter["words"]
    assert not door.tries


async def test_a_namespace_the_server_does_not_have_is_named(profile: tuple[Any, Any]) -> None:
    played, opens = profile
    with pytest.raises(LinkLost, match="has no namespace urn:other"):
        async with opens(played.station.model_copy(update={"namespace": "urn:other"})):
            pass


async def test_a_cancellation_that_nobody_asked_for_costs_the_link_and_not_the_station(
    profile: tuple[Any, Any], door: RecordingDoor, tmp_path: Path
) -> None:
    """Before Python 3.13 a time-out may cancel what comes after its own work."""
    device, opens = profile
    opened = 0

    @asynccontextmanager
    async def cancelled_once(station: Any) -> AsyncIterator[Any]:
        nonlocal opened
        async with opens(station) as port:
            opened += 1
            if opened == 1:
                raise asyncio.CancelledError
            yield port

    gateway = Gateway(device, cancelled_once, door, tmp_path / "letters")
    gateway.start()
    await device.bring("U-1")
    assert await device.answered() == (True, "U-1")
    assert opened == 2
    await gateway.kill()
