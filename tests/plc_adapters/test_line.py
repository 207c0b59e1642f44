"""The simulated line and the gateway together: jobs go in, finished units and their whole record come out."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from plc_adapters.dead_letters import DeadLetters
from plc_adapters.gateway import serve
from plc_adapters.links import Links
from plc_adapters.mapping import load_map
from plc_adapters.opcua.tag_handshake import open_port
from plc_adapters.simulated.jobs import follow
from plc_adapters.simulated.line import Line, Setup, first_tools, only, served, with_free_ports, write_map
from plc_adapters.simulated.process import Process, rates_with
from plc_adapters.simulated.products import load_products
from tests.plc_adapters.recording_door import RecordingDoor
from tests.plc_adapters.test_mapping import SHIPPED
from tests.plc_adapters.test_process import DEMO, _job

CODES = ["GC1-010", "GC1-020", "GC1-040", "GC1-110", "GC1-130"]


def _setup(faults: str) -> Setup:
    setup = Setup(
        line=with_free_ports(load_map(SHIPPED)),
        products=load_products(sorted(DEMO.glob("gc48-*.yaml"))),
        process=Process(1, rates_with(faults)),
        tools=first_tools([DEMO / "site.yaml"]),
        speed=100_000,
        epoch=7,
        beat_s=0.02,
    )
    return only(setup, CODES)


async def _built(setup: Setup, door: RecordingDoor, jobs: Path, expected: int) -> list[dict[str, Any]]:
    finished: list[dict[str, Any]] = []
    done = asyncio.Event()

    def tell(said: dict[str, Any]) -> None:
        finished.append(said)
        if len(finished) == expected:
            done.set()

    async with served(setup) as servers:
        mapping = jobs.parent / "resolved.yaml"
        line = setup.line.at_ports([server.port for server in servers.values()])
        plain = [station.model_copy(update={"security": "none"}) for station in line.stations]
        write_map(mapping, line.model_copy(update={"stations": plain}))
        line, letters = load_map(mapping), DeadLetters(jobs.parent / "letters")
        links = Links(line.gateway, CODES, letters)
        running = [asyncio.create_task(Line(setup, servers, tell).run(follow(jobs)))]
        for one in line.stations:
            opens = lambda one=one: open_port(one)  # noqa: E731
            running.append(asyncio.create_task(serve(one.code, opens, door, letters, links)))
        async with asyncio.timeout(15):
            await done.wait()
        for task in running:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    assert not letters.paths()
    return finished


@pytest.mark.usefixtures("standard_nodes")
async def test_a_lot_and_a_pack_are_built_with_all_they_are_made_of(tmp_path: Path) -> None:
    door, jobs = RecordingDoor(), tmp_path / "jobs.jsonl"
    lines = ['{"kind": "lot", "lot": "LOT-9"}', "not a job", _job().model_dump_json()]
    jobs.write_text("\n".join(lines) + "\n", "utf-8")
    finished = await _built(_setup("none"), door, jobs, 2)
    assert {one.get("lot") or one["pack"]: one["verdict"] for one in finished} == {"LOT-9": "passed", "P-1": "passed"}
    (pack,) = (one for one in finished if "pack" in one)
    assert pack["attempts"] == {"020": 1, "040": 1, "110": 1, "130": 1}
    assert json.dumps(pack)
    by_station = {report.station: report for report in door.reports}
    assert [len(found) for found in by_station["GC1-020"].values.values()] == [112] * 8
    assert len(by_station["GC1-040"].components) == 112
    assert by_station["GC1-040"].tool == "CAM-040-1"
    assert [curve.ordinal for curve in by_station["GC1-110"].curves] == [1, 2]
    assert {lot.lot for lot in by_station["GC1-110"].lots} == {"L-FUSE", "L-CABLE", "L-CONNECTOR", "L-SCREW-M8"}
    assert by_station["GC1-130"].serial == "P-1"
    assert {request.cycle for request in door.permits} == {"7-1"}


@pytest.mark.usefixtures("standard_nodes")
async def test_a_defect_is_reported_reworked_and_passes(tmp_path: Path) -> None:
    door, jobs = RecordingDoor(), tmp_path / "jobs.jsonl"
    jobs.write_text(_job().model_dump_json() + "\n", "utf-8")
    (pack,) = await _built(_setup("cell=0,polarity=0,leak=1"), door, jobs, 1)
    assert (pack["verdict"], pack["attempts"]["130"]) == ("passed", 2)
    leaks = [report for report in door.reports if report.station == "GC1-130"]
    assert [report.verdict for report in leaks] == ["failed", "passed"]
    assert leaks[0].values["leak_rate_cc_min"][0] > 20


@pytest.mark.usefixtures("standard_nodes")
async def test_a_refused_unit_waits_outside_and_blocks_nobody(tmp_path: Path) -> None:
    door, jobs = RecordingDoor(), tmp_path / "jobs.jsonl"
    door.refuse.add("M-1")
    second = _job().model_copy(update={"pack": "P-2", "module": "M-2"})
    jobs.write_text(_job().model_dump_json() + "\n" + second.model_dump_json() + "\n", "utf-8")
    (finished,) = await _built(_setup("none"), door, jobs, 1)
    assert finished["pack"] == "P-2"
