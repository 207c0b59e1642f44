"""Joining systems: the tool as the interlock, joints gathered into reports, and measured runs that reach the MES."""

import json
from pathlib import Path
from typing import Any

import pytest

from mes.db import Database
from mes.execution.messages import PermitAnswer, PermitRequest, ReportAnswer, ResultReport
from mes.execution.permits import request_permit
from mes.execution.reports import report_result
from mes.measurements.service import unpack
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from plc_adapters.opcua.profiles import PROFILES
from tests.build import line as build
from tests.build import small
from tests.plc_adapters.conftest import Gateway
from tests.plc_adapters.machine_devices import JoiningDevice
from tests.plc_adapters.recording_door import RecordingDoor

POSITIONS = ["J1", "J2", "J3", "J4"]
PLANT: dict[str, Any] = {
    "sites": [
        {
            "code": "S",
            "name": "Site",
            "lines": [
                {
                    "code": "L",
                    "name": "Line",
                    "stations": [
                        {
                            "code": "S-070",
                            "name": "Screws",
                            "operations": ["70"],
                            "tools": [{"code": "520000905", "name": "Screw driver"}],
                        }
                    ],
                }
            ],
        }
    ],
    "parts": [{"number": "LID", "name": "Lid", "trace": "serial", "serial_pattern": "L{number:05}"}],
    "products": [
        {
            "part": "LID",
            "route": [
                {
                    "operation": "70",
                    "name": "Screws",
                    "characteristics": [
                        {"name": "joint_ok", "kind": "boolean", "expected": True, "count": 4},
                        {"name": "torque_nm", "kind": "number", "unit": "Nm", "count": 4, "min": -50, "max": 50},
                        {"name": "torque_curve", "kind": "curve", "unit": "Nm", "count": 4},
                    ],
                }
            ],
        }
    ],
}


class FourJoints(JoiningDevice):
    """A joining system with four joints for each unit."""

    settings = {**JoiningDevice.settings, "joints": POSITIONS}


class JobByJob(JoiningDevice):
    """A joining system that says when the job is done."""

    settings = {**JoiningDevice.settings, "closes": "job"}


class MesDoor(RecordingDoor):
    """The door of a MES with a database, without HTTP between."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def permit(self, request: PermitRequest) -> PermitAnswer:
        self.permits.append(request)
        return await self._database.transact(request_permit, request, build.ACTOR)

    async def report(self, report: ResultReport) -> ReportAnswer:
        self.tries.append(report.cycle)
        return await self._database.transact(report_result, report, build.ACTOR)


def played(device: type[JoiningDevice]) -> Any:
    """Mark a test with the device it is played by."""
    return pytest.mark.parametrize("profile", [device], indirect=True)


@played(JoiningDevice)
async def test_the_tool_is_enabled_by_the_permit_alone(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    door.refuse.add("U-2")
    await device.bring("U-1")
    assert await device.answered() == (True, "U-1")
    assert device.machine.identifiers == ["U-1", door.permits[0].cycle]
    door.open.clear()
    await device.bring("U-2")
    await door.until(lambda: len(door.permits) == 2)
    assert not device.machine.enabled, "disabled before anything is asked"
    door.open.set()
    assert await device.answered() == (False, "U-2")
    assert device.machine.server.read("Answer.Text") == "U-2 is on hold. Quality releases it."


@played(JoiningDevice)
async def test_joints_are_gathered_and_none_is_acknowledged_before_all_are_there(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await device.bring("U-1")
    await device.answered()
    work = {"angle_deg": [0.0, 30.0], "torque_nm": [0.5, 9.1], "Tool": "NUT-1", "Program": "r7"}
    await device.machine.join("U-1", "J2", measured={"FinalTorque": 9.1}, **work)
    await gateway.kill()
    gateway.start()
    await device.machine.join("U-1", "J1", measured={"FinalTorque": 8.9}, **work)
    await device.taken()
    (report,) = door.reports
    assert (report.cycle, report.tool, report.program_revision) == (door.permits[0].cycle, "NUT-1", "r7")
    assert report.values == {"torque_nm": [8.9, 9.1], "joint_ok": [True, True]}
    assert [(one.characteristic, one.ordinal, one.x) for one in report.curves] == [
        ("torque_curve", 1, [0.0, 30.0]),
        ("torque_curve", 2, [0.0, 30.0]),
    ]


@played(JoiningDevice)
async def test_the_next_units_result_closes_the_one_before_with_what_is_missing(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await device.machine.join("U-1", "J1", measured={"FinalTorque": 9.0})
    await device.finish("U-2")
    await device.taken()
    first, second = door.reports
    assert (first.serial, first.verdict, first.values["torque_nm"]) == ("U-1", "failed", [9.0, None])
    assert (second.serial, second.verdict) == ("U-2", "passed")


@played(JoiningDevice)
async def test_a_joint_nobody_knows_is_kept_as_a_dead_letter(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await device.machine.join("U-1", "J1")
    await device.machine.join("U-1", "J9")
    await device.machine.join("U-1", "J2")
    await device.taken()
    (letter,) = gateway.read_letters()
    assert letter["problem"]["errors"][0]["expected"] == "one of J1, J2"
    assert len(letter["words"]["results"]) == 3


@played(JobByJob)
async def test_a_job_counts_each_joint_as_it_was_last(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    await device.machine.join("U-1", "J1", ok=False, measured={"FinalTorque": 2.0})
    await device.machine.join("U-1", "J2", measured={"FinalTorque": 9.0})
    await device.machine.join("U-1", "J1", measured={"FinalTorque": 9.1})
    whose = [{"Name": "Serial", "EntityId": "U-1"}]
    meta = {"Classification": 4, "ProcessingTimes": device.machine.times(), "AssociatedEntities": whose}
    await device.machine.tell({"ResultMetaData": meta})
    await device.taken()
    (report,) = door.reports
    assert (report.verdict, report.values["torque_nm"]) == ("passed", [9.1, 9.0])


@played(FourJoints)
async def test_sixty_measured_runs_reach_the_mes_with_their_curves(
    device: Any, database: Database, shared_data: Path, tmp_path: Path
) -> None:
    """The runs are of *un*fastening; a part that was not releasable stands for a joint that is not OK."""
    paths = _runs(shared_data / "torque")
    assert len(paths) == 60
    await database.transact(apply_plan, PlantFiles.model_validate(PLANT), build.ACTOR)
    lids = (await small.order(database, part="LID", quantity=15))["LID"]
    door = MesDoor(database)
    gateway = Gateway(device, PROFILES["joining"], door, tmp_path / "letters")
    gateway.start()
    drawn: dict[tuple[str, int], tuple[list[float], list[float]]] = {}
    for nth, lid in enumerate(lids):
        await device.bring(lid)
        assert await device.answered() == (True, lid)
        for position, path in enumerate(paths[4 * nth : 4 * nth + 4], 1):
            drawn[lid, position] = await _unfasten(device, lid, position, path)
            if position == 2 and nth % 5 == 0:
                device.cut()
        await device.taken()
    await gateway.kill()
    assert not gateway.read_letters()
    async with database.reading() as session:
        rows = await session.driver.fetch(
            "SELECT u.serial, c.ordinal, c.content, y.verdict, y.cycle, p.granted FROM curve c"
            " JOIN cycle y ON y.id = c.cycle_id JOIN unit u ON u.id = y.unit_id JOIN permit p ON p.id = y.permit_id"
        )
    assert {(row["serial"], row["ordinal"]): unpack(row["content"]) for row in rows} == drawn
    assert all(row["granted"] for row in rows)
    cycles = {row["cycle"]: row["verdict"] for row in rows}
    assert sorted(cycles.values()) == ["failed"] * 5 + ["passed"] * 10


async def _unfasten(device: Any, lid: str, position: int, path: Path) -> tuple[list[float], list[float]]:
    run = _read(path)
    (step,) = run["tightening steps"]
    angle, torque = ([float(one) for one in step["graph"][f"{kind} values"]] for kind in ("angle", "torque"))
    await device.machine.join(
        lid,
        f"J{position}",
        ok=path.parent.name == "releasable",
        measured={"FinalTorque": float(step["torque"])},
        angle_deg=angle,
        torque_nm=torque,
        Tool=run["tool serial"],
        Program=run["prg name"],
    )
    return angle, torque


def _read(path: Path) -> dict[str, Any]:
    run: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return run


def _runs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/cycle_*.json"))
