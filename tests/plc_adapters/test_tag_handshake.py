"""The tag handshake, against a real device: its words, its counters, its heartbeat."""

import json
import math
from datetime import timedelta
from typing import Any

import pytest

from mes.execution.messages import RecipeAnswer
from plc_adapters.port import LinkLost
from tests.plc_adapters.conftest import Gateway
from tests.plc_adapters.device import TagDevice
from tests.plc_adapters.recording_door import RecordingDoor

pytestmark = pytest.mark.parametrize("profile", [TagDevice], indirect=True)


def _state(door: RecordingDoor) -> str:
    return str(door.told[-1][0]["state"]) if door.told else ""


async def test_a_permit_brings_the_recipe(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    await device.ask("U-1")
    permit = await device.permit()
    assert (permit["PermitCode"], permit["PermitSerial"], permit["RecipeId"]) == (1, "U-1", "weld@d1")
    assert json.loads(permit["RecipeParameters"]) == {"power_w": 1500.0}
    (request,) = door.permits
    assert (request.station, request.cycle, request.operator) == ("S-070", "11-1", "anna")


async def test_a_refusal_says_why_and_what_clears_it(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    door.refuse.add("U-2")
    await device.ask("U-2")
    permit = await device.permit()
    assert (permit["PermitCode"], permit["PermitReason"], permit["RecipeId"]) == (2, "on_hold", "")
    assert permit["PermitText"] == "U-2 is on hold. Quality releases it."


async def test_a_request_says_with_what_it_will_work(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    words = {
        "ReqSecondOperator": "bert",
        "ReqTool": "NUT-1",
        "ReqProgramRevision": "r7",
        "ReqRecipeId": f"weld@{'d1' * 32}",
        "ReqComponentParts": ["CELL"],
        "ReqComponentSerials": ["C-1"],
        "ReqComponentPositions": [1],
        "ReqLots": ["GLUE-1"],
        "ReqRemovals": ["C-0"],
        "ReqRemovalsTo": ["scrap"],
    }
    await device.ask("U-1", **words)
    await device.permit()
    (request,) = door.permits
    assert request.people == ("anna", "bert")
    assert (request.tool, request.program_revision, request.recipe_digest) == ("NUT-1", "r7", "d1" * 32)
    assert [(one.part, one.serial, one.position) for one in request.components] == [("CELL", "C-1", 1)]
    assert (request.lots, [(out.serial, out.to) for out in request.removals]) == (["GLUE-1"], [("C-0", "scrap")])


async def test_a_result_arrives_whole_under_the_cycle_of_its_permit(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await device.ask("U-1")
    await device.permit()
    words = {
        "DoneTool": "NUT-1",
        "DoneProgramRevision": "r7",
        "DoneComponentParts": ["CELL", "CELL"],
        "DoneComponentSerials": ["C-1", "C-2"],
        "DoneComponentPositions": [1, 2],
        "DoneLots": ["GLUE-1"],
        "DoneLotQuantities": [0.42],
        "DoneRemovals": ["C-0"],
        "DoneRemovalsTo": ["stock"],
        "values.torque_nm": [9.1, math.nan, 9.0],
        "values.seated_ok": [True, False],
        "values.label": ["a"],
        "curves.torque_curve.1.x": [0.0, 30.0],
        "curves.torque_curve.1.y": [0.5, 9.1],
    }
    await device.report("U-1", **words)
    assert await device.acknowledged() == (1, "")
    report = door.committed[door.permits[0].cycle]
    assert report.values == {"torque_nm": [9.1, None, 9.0], "seated_ok": [True, False], "label": ["a"]}
    assert [(one.part, one.serial, one.position) for one in report.components] == [
        ("CELL", "C-1", 1),
        ("CELL", "C-2", 2),
    ]
    assert [(one.lot, str(one.quantity)) for one in report.lots] == [("GLUE-1", "0.42")]
    assert ([out.serial for out in report.removals], report.tool) == (["C-0"], "NUT-1")
    assert report.program_revision == "r7"
    assert (report.curves[0].characteristic, report.curves[0].y) == ("torque_curve", [0.5, 9.1])
    assert (report.ended_at - report.started_at).total_seconds() == 180


async def test_a_failed_result_without_a_request_has_a_cycle_of_its_own(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await device.report("U-9", DoneVerdict=2)
    assert await device.acknowledged() == (2, "failed")
    assert list(door.committed) == ["11-d1"]


async def test_nothing_is_acknowledged_before_the_commit(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    door.open.clear()
    await device.report("U-1")
    await door.until(lambda: door.tries)
    assert device.plc.read("AckSeq") == 0
    door.open.set()
    assert (await device.acknowledged())[0] == 1
    assert len(door.committed) == 1


@pytest.mark.parametrize("kind", ["request", "result"])
@pytest.mark.parametrize("breaks", ["cut", "restart", "kill"])
async def test_what_is_owed_is_paid_after_any_break(
    device: Any, door: RecordingDoor, gateway: Gateway, kind: str, breaks: str
) -> None:
    door.open.clear()
    await (device.ask("U-1") if kind == "request" else device.report("U-1"))
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
        assert (await device.permit())["PermitCode"] == 1
        assert {request.cycle for request in door.permits} == {"11-1"}
    else:
        assert (await device.acknowledged())[0] == 1
        assert set(door.tries) == set(door.committed) == {"11-d1"}


async def test_a_gateway_killed_between_commit_and_acknowledgement_commits_once(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    door.answers.clear()
    await device.report("U-1")
    await door.until(lambda: door.committed)
    await gateway.kill()
    assert device.plc.read("AckSeq") == 0
    door.answers.set()
    gateway.start()
    assert (await device.acknowledged())[0] == 1
    assert (len(door.tries), list(door.committed)) == (2, ["11-d1"])


async def test_both_are_owed_after_a_cut_and_the_result_goes_first(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await door.until(lambda: _state(door) == "connected")
    await gateway.kill()
    await device.report("U-1")
    await device.ask("U-2")
    door.open.clear()
    gateway.start()
    await door.until(lambda: door.tries)
    assert not door.permits
    door.open.set()
    assert (await device.acknowledged())[0] == 1
    assert (await device.permit())["PermitSerial"] == "U-2"


async def test_an_answer_of_an_old_epoch_is_none(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    await device.ask("U-1")
    await device.permit()
    # the PLC lost its counters, and counts up to the same number again
    await device.plc.write({"Epoch": 12, "ReqSeq": 0})
    await device.ask("U-2")
    assert (await device.permit())["PermitSerial"] == "U-2"
    assert [request.cycle for request in door.permits] == ["11-1", "12-1"]


async def test_a_result_the_mes_cannot_understand_becomes_a_dead_letter(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    door.not_understood.add("U-1")
    await device.report("U-1")
    code, text = await device.acknowledged()
    assert (code, text) == (9, "1 error. x: 2")
    (letter,) = gateway.read_letters()
    assert (letter["cycle"], letter["report"]["serial"]) == ("11-d1", "U-1")
    assert letter["problem"]["errors"] == [{"at": "x", "read": 1, "expected": "2"}]
    await door.until(lambda: door.told and door.told[-1][0]["dead_letters"] == 1)


async def test_words_that_make_no_result_become_a_dead_letter_with_every_error(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await device.spoil("values.seated_ok")
    await device.report("", DoneVerdict=7, DoneLots=["L"], **{"values.torque_nm": [math.inf]})
    assert (await device.acknowledged())[0] == 9
    (letter,) = gateway.read_letters()
    places = {error["at"] for error in letter["problem"]["errors"]}
    assert {"values.seated_ok", "DoneVerdict", "DoneLots DoneLotQuantities", "values.torque_nm.1", "serial"} <= places
    assert letter["words"]["values.torque_nm"] == ["inf"]
    assert not door.tries


async def test_a_request_that_cannot_be_read_is_refused(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    await device.ask("no serial at all!")
    permit = await device.permit()
    assert (permit["PermitCode"], permit["PermitReason"]) == (2, "Unreadable")
    assert not gateway.read_letters()


async def test_a_payload_that_changes_while_it_is_read_is_read_again(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await door.until(lambda: _state(door) == "connected")
    changing = device.while_read("DoneTool", then={"DoneSerial": "U-NEW", "DoneTool": "", "DoneSeq": 2})
    await device.report("U-OLD")
    assert (await device.acknowledged())[0] == 1
    assert changing.is_set()
    assert [report.serial for report in door.committed.values()] == ["U-NEW"]
    assert list(door.committed) == ["11-d2"]


async def test_a_dead_heartbeat_is_a_lost_link_though_the_server_answers(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await door.until(lambda: _state(door) == "connected")
    await device.stand_still()
    await door.until(lambda: _state(door) == "lost")
    device.beat()
    await door.until(lambda: _state(door) == "connected")


async def test_the_mes_heartbeat_is_shown(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    await door.until(lambda: _state(door) == "connected")
    await device.until_beaten(2)


async def test_a_word_the_server_does_not_have_is_named(profile: tuple[Any, Any]) -> None:
    played, opens = profile
    station = played.station.model_copy(update={"values": {"weight_kg": None}})
    with pytest.raises(LinkLost, match=r"not in the server: s=S-070.Done.weight_kg BadNodeIdUnknown"):
        async with opens(station):
            pass


async def test_a_namespace_the_server_does_not_have_is_named(profile: tuple[Any, Any]) -> None:
    played, opens = profile
    with pytest.raises(LinkLost, match="has no namespace urn:other"):
        async with opens(played.station.model_copy(update={"namespace": "urn:other"})):
            pass


async def test_the_recipe_is_in_the_machine_before_the_permit_is_asked(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    door.recipe = RecipeAnswer(name="weld", digest="d1" * 32, parameters={"power_w": 1500.0})
    loaded = device.hold_recipes()
    await device.ask("U-1", ReqRecipeId=f"other@{'d0' * 32}")
    await device.permit()
    (request,) = door.permits
    assert request.recipe_digest == "d1" * 32
    assert json.loads(loaded[0]) == {"power_w": 1500.0}


async def test_a_machine_that_holds_another_recipe_says_so_in_its_request(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    door.recipe = RecipeAnswer(name="weld", digest="d1" * 32, parameters={"power_w": 1500.0})
    device.station = device.station.model_copy(update={"timeout_s": 0.3})
    await device.ask("U-1", ReqRecipeId=f"other@{'d0' * 32}")
    await device.permit()
    (request,) = door.permits
    assert request.recipe_digest == "d0" * 32


async def test_how_wrong_a_plcs_clock_is_is_told(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    device.plc.ahead = timedelta(seconds=5)
    assert device.cut() <= 1
    await door.until(lambda: door.told and abs((door.told[-1][0]["skew_s"] or 0) - 5) < 1)
