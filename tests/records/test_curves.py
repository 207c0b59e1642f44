"""The curves of a unit: named, listed, drawn over their windows and the last good ones of other units."""

import asyncio
import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mes.db import Database, ReadSession
from mes.errors import NotFound
from mes.execution.messages import CurveReport, PermitRequest, ResultReport
from mes.execution.permits import request_permit
from mes.execution.reports import report_result
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.records.curve_picture import describe, draw_curve
from mes.records.curves import GOOD, as_points, curves_of, newest_curve, see_curve, windows_of
from tests.build import line as build
from tests.build import small
from tests.conftest import server_url
from tests.journeys.processes import typed

PNG = b"\x89PNG"
JOINTS = 2
_cycles = itertools.count(1)


def plant(joints: int = JOINTS) -> dict[str, Any]:
    """A station that tightens the screws of a lid."""
    tools = [{"code": "520000905", "name": "Screw driver"}]
    measured = [
        {"name": "m5_torque_nm", "unit": "Nm", "count": joints, "min": 4, "max": 6},
        {"name": "m8_torque_nm", "unit": "Nm", "count": joints, "min": -50, "max": 50},
        {"name": "m8_angle_deg", "unit": "deg", "count": joints, "min": 30, "max": 90},
        {"name": "m8_torque_curve", "kind": "curve", "unit": "Nm", "count": joints},
    ]
    route = [{"operation": "70", "name": "Screws", "attempts": 3, "characteristics": measured}]
    stations = [{"code": "S-070", "name": "Screws", "operations": ["70"], "tools": tools}]
    return {
        "sites": [{"code": "S", "name": "Site", "lines": [{"code": "L", "name": "Line", "stations": stations}]}],
        "parts": [{"number": "LID", "name": "Lid", "trace": "serial", "serial_pattern": "L{number:05}"}],
        "products": [{"part": "LID", "route": route}],
    }


async def lids(database: Database, quantity: int, joints: int = JOINTS) -> list[str]:
    """Apply the plant and order lids."""
    await database.transact(apply_plan, PlantFiles.model_validate(plant(joints)), build.ACTOR)
    return list((await small.order(database, part="LID", quantity=quantity))["LID"])


def ramp(end: float = 9.0) -> tuple[list[float], list[float]]:
    """A curve that rises to a torque."""
    return [float(n) for n in range(121)], [end * n / 120 for n in range(121)]


async def tighten(
    database: Database, serial: str, curves: list[tuple[list[float], list[float]]], good: bool = True, **more: Any
) -> None:
    """Tighten a lid's screws, each with its curve."""
    cycle = f"c-{next(_cycles)}"
    asked = PermitRequest(station="S-070", serial=serial, cycle=cycle, asker="t", tool="520000905")
    answer = await database.transact(request_permit, asked, build.ACTOR)
    assert answer.granted, answer.refusals
    count = len(curves)
    values: dict[str, list[float]] = {"m5_torque_nm": [5.0] * count, "m8_torque_nm": [y[-1] for _, y in curves]}
    values["m8_angle_deg"] = [60.0 if good else 20.0] * count
    said = {
        "station": "S-070",
        "serial": serial,
        "cycle": cycle,
        "asker": "t",
        "tool": "520000905",
        "program_revision": "r7",
        "verdict": "passed" if good else "failed",
        "started_at": build.clock.now(),
        "ended_at": build.clock.now(),
        "values": values,
        "curves": [
            CurveReport(characteristic="m8_torque_curve", ordinal=n, x=x, y=y) for n, (x, y) in enumerate(curves, 1)
        ],
    }
    await database.transact(report_result, ResultReport(**(said | more)), build.ACTOR)


async def sent(session: ReadSession, work: Any) -> int:
    """How many statements a read takes."""
    queries: list[str] = []

    def note(query: Any) -> None:
        queries.append(query.query)

    session.driver.add_query_logger(note)
    await work
    session.driver.remove_query_logger(note)
    return len(queries)


async def test_curves_are_named_by_joint_tool_program_and_attempt(database: Database) -> None:
    one, other = await lids(database, 2)
    await tighten(database, one, [ramp(), ramp()], good=False)
    await tighten(database, one, [ramp(8.0), ramp(7.0)])
    async with database.reading() as session:
        page = await curves_of(session, one)
        assert [(c.attempt, c.ordinal, c.verdict) for c in page.curves] == [
            (2, 1, "passed"),
            (2, 2, "passed"),
            (1, 1, "failed"),
            (1, 2, "failed"),
        ]
        first = page.curves[0]
        assert (first.operation, first.characteristic, first.unit) == ("70", "m8_torque_curve", "Nm")
        assert (first.tool, first.program_revision, first.station, first.points) == ("520000905", "r7", "S-070", 121)
        assert 0 < first.bytes < 121 * 16, "compressed"
        narrow = await curves_of(session, one, operation="70", ordinal=2, count=1)
        assert (narrow.total, [c.ordinal for c in narrow.curves]) == (2, [2])
        assert (await curves_of(session, one, until=page.curves[3].reported_at)).total == 2
        assert (await curves_of(session, other)).curves == []
        newest = await newest_curve(session, one, "70", None, 2)
        assert (newest.record.attempt, newest.record.ordinal) == (2, 2)
        for wrong in ((one, 10**9, "m8_torque_curve", 1), (other, first.cycle_id, "m8_torque_curve", 1)):
            with pytest.raises(NotFound):
                await see_curve(session, *wrong)
        with pytest.raises(NotFound):
            await newest_curve(session, one, "71", None, None)


async def test_behind_it_lie_the_last_good_ones_of_other_units_in_as_many_statements(database: Database) -> None:
    serials = await lids(database, GOOD + 4)
    mine, bad, *rest = serials
    await tighten(database, mine, [ramp(), ramp()])
    await tighten(database, bad, [ramp(1.0), ramp(1.0)], good=False)
    async with database.reading() as session:
        alone = await newest_curve(session, mine, "70", None, None)
        before = await sent(session, newest_curve(session, mine, "70", None, None))
    assert alone.good == []
    assert draw_curve(alone, "png").startswith(PNG)
    for n, serial in enumerate(rest):
        await tighten(database, serial, [ramp(5.0 + n / 10), ramp(4.0)])
    async with database.reading() as session:
        seen = await newest_curve(session, mine, "70", None, 1)
        assert await sent(session, newest_curve(session, mine, "70", None, None)) == before
    ends = [as_points(type(seen)(seen.serial, seen.record, [], "", one, [])).y[-1] for one in seen.good]
    assert ends == pytest.approx([5.0 + n / 10 for n in range(len(rest))][: -GOOD - 1 : -1])
    assert (as_points(seen).x, as_points(seen).y) == ramp(), "bit for bit"
    assert as_points(seen).good == GOOD


async def test_the_command_draws_the_newest(database: Database, database_name: str, tmp_path: Path) -> None:
    (lid,) = await lids(database, 1)
    await tighten(database, lid, [ramp(), ramp()])

    def mes(*words: object) -> subprocess.CompletedProcess[str]:
        return typed("curve", *words, url=server_url(database_name), folder=tmp_path)

    file = tmp_path / "joint.png"
    said = await asyncio.to_thread(mes, lid, "70", "--ordinal", "2", "--out", str(file))
    assert "m8_torque_curve 2, attempt 1" in said.stdout, said.stderr
    assert file.read_bytes().startswith(PNG)
    missing = await asyncio.to_thread(mes, lid, "71", "--out", str(file))
    assert (missing.returncode, "no curve" in missing.stderr) == (1, True), missing.stderr
    assert (await asyncio.to_thread(mes, lid, "70", "--out", "joint.gif")).returncode == 2


async def test_windows_are_those_of_the_same_joint(database: Database) -> None:
    (lid,) = await lids(database, 1)
    await tighten(database, lid, [ramp(9.0), ramp(8.5)], good=False)
    async with database.reading() as session:
        seen = await newest_curve(session, lid, "70", "m8_torque_curve", 2)
    assert [(w.characteristic, w.axis, w.lower, w.upper, w.value) for w in seen.windows] == [
        ("m8_torque_nm", "y", -50, 50, 8.5),
        ("m8_angle_deg", "x", 30, 90, 20),
    ]
    assert seen.x_label == "angle (deg)"
    drawn = draw_curve(seen, "svg")
    assert draw_curve(seen, "svg")[:5] == drawn[:5] == b"<?xml"
    assert "joint 2" in describe(seen, 0)[0]
    assert describe(seen, 0)[1] == "attempt 1, tool 520000905, program r7, cycle failed, 0 good behind"


def test_a_pressures_windows_and_those_of_nothing_else() -> None:
    curve = {"characteristic": "pressure_curve", "unit": "mbar", "count": 1, "ordinal": 1, "numbers": [30.0, None]}

    def limit(name: str, unit: str, offset: int, count: int = 1) -> dict[str, Any]:
        return {
            "name": name,
            "unit": unit,
            "kind": "number",
            "count": count,
            "offset": offset,
            "lower": 25,
            "upper": None,
        }

    others = [limit("temperature_c", "degC", 0), limit("test_s", "s", 0), limit("end_pressure_mbar", "mbar", 0, 3)]
    found = windows_of(curve, [limit("start_pressure_mbar", "mbar", 0), limit("end_pressure_mbar", "mbar", 1), *others])
    assert [(w.characteristic, w.value) for w in found] == [("start_pressure_mbar", 30.0), ("end_pressure_mbar", None)]


async def test_sixty_measured_runs_are_drawn(database: Database, shared_data: Path) -> None:
    """The runs are of *un*fastening, on one tool; each is the first joint of a lid of its own."""
    paths = sorted((shared_data / "torque").glob("*/cycle_*.json"))
    assert len(paths) == 60
    serials = await lids(database, 60, joints=1)
    drawn = {}
    for serial, path in zip(serials, paths, strict=True):
        graph = json.loads(path.read_text("utf-8"))["tightening steps"][0]["graph"]
        x, y = ([float(one) for one in graph[f"{kind} values"]] for kind in ("angle", "torque"))
        drawn[serial] = x, y
        await tighten(database, serial, [(x, y)], good=path.parent.name == "releasable")
    stored = 0
    raw = 0
    async with database.reading() as session:
        for serial in serials:
            seen = await newest_curve(session, serial, "70", None, None)
            points = as_points(seen)
            assert (points.x, points.y) == drawn[serial]
            stored, raw = stored + seen.record.bytes, raw + 16 * seen.record.points
            assert 0 < points.good <= GOOD
            if seen.record.cycle_id % 10 == 0 or serial == serials[-1]:
                assert draw_curve(seen, "png").startswith(PNG)
                assert len(draw_curve(seen, "svg")) < 1_000_000, "fifty behind it don't make it heavy"
    assert stored < raw / 2, f"{stored / 60:.0f} bytes a curve, {raw / 60:.0f} before compression"
