"""Journey a: one pack built over real OPC UA, by the MES, a line and a gateway as processes of their own."""

from collections import Counter
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from mes.db import Database
from mes.records.audit import audit
from mes.stock import CELLS_PER_PACK, LOT_PARTS, SERIAL_PARTS, SPARE
from tests.build.line import MODULE_STEPS, PACK_STEPS
from tests.conftest import server_url
from tests.journeys.processes import Plant, running_plant

STATIONS = [f"GC1-{operation}" for operation in ("010", *MODULE_STEPS, *PACK_STEPS)]


async def test_a_pack_is_built_over_opc_ua(plant: Database, plant_name: str, tmp_path: Path) -> None:
    async with running_plant(plant, server_url(plant_name), tmp_path, speed=2000) as running:
        (job,), (_,) = await running.stock("A", packs=1), await running.stock("B", packs=1)
        await running.inspect("CELL-A")
        running.bring(job)
        await running.until(lambda: len(running.finished()) == 2, "the pack to be finished")
        lot, pack = running.finished()
        assert (lot["lot"], lot["verdict"], pack["pack"], pack["verdict"]) == (
            "CELL-A",
            "passed",
            job["pack"],
            "passed",
        )
        assert pack["attempts"] == dict.fromkeys((*MODULE_STEPS, *PACK_STEPS), 1)
        assert not list(running.dead_letters.glob("*.json"))
        await _all_is_traced(running, job)
        await _every_cycle_was_permitted(running, job)
        await _links_and_counts_are_told(running)


async def _all_is_traced(running: Plant, job: dict[str, Any]) -> None:
    trace = await running.get(f"/api/trace/{job['pack']}")
    (module,) = [node for node in trace["tree"]["inside"] if node["serial"] == job["module"]]
    cells = {node["position"]: node["serial"] for node in module["inside"] if node["part"] == "CELL-LFP-15"}
    assert trace["tree"]["state"] == "finished"
    assert cells == {n: cell["serial"] for n, cell in enumerate(job["cells"], start=1)}
    assert len(cells) == CELLS_PER_PACK
    nodes = [trace["tree"]]
    while nodes:
        node = nodes.pop()
        assert node["gaps"] == [], node
        nodes += node["inside"]
    everything = {"CELL-A", *(f"{part}-A" for part in (*SERIAL_PARTS, *LOT_PARTS))}
    assert set(trace["lots"]) == everything
    for lot in everything:
        assert [user["serial"] for user in (await running.get(f"/api/where-used/{lot}"))["packs"]] == [job["pack"]]
    untouched = await running.get("/api/where-used/CELL-B")
    assert (untouched["packs"], untouched["loose"]) == ([], round(CELLS_PER_PACK * SPARE))


async def _every_cycle_was_permitted(running: Plant, job: dict[str, Any]) -> None:
    for serial, steps in ((job["module"], MODULE_STEPS), (job["pack"], PACK_STEPS)):
        history = await running.get(f"/api/history/{serial}")
        assert [cycle["station"] for cycle in history["cycles"]] == [f"GC1-{step}" for step in steps]
        assert {cycle["verdict"] for cycle in history["cycles"]} == {"passed"}
        assert not any(cycle["findings"] or cycle["failures"] for cycle in history["cycles"])
        assert (history["state"], history["holds"], history["refusals"]) == ("finished", [], [])
    async with running.database.reading() as session:
        found = await session.execute(text("SELECT count(*), count(permit_id) FROM cycle"))
        assert tuple(found.one()) == (len(STATIONS), len(STATIONS))
        assert not any((await audit(session)).values())


async def _links_and_counts_are_told(running: Plant) -> None:
    async def are_connected() -> bool:
        stations = (await running.get("/api/line"))["stations"]
        return {one["station"] for one in stations if one["link"] == "connected"} == set(STATIONS)

    await running.until(are_connected, "every link to be told")
    async with running.database.reading() as session:
        links = (
            await session.execute(text("SELECT state, dead_letters, count(*) FROM station_link GROUP BY 1, 2"))
        ).all()
    assert [tuple(link) for link in links] == [("connected", 0, len(STATIONS))]
    told = (await running.client.get("/metrics")).raise_for_status().text
    counted: dict[str, Counter[str]] = {}
    for family in text_string_to_metric_families(told):
        for sample in family.samples:
            labels = {key: value for key, value in sample.labels.items() if key != "station"}
            if sample.labels.get("station") in STATIONS and labels in ({"granted": "True"}, {"verdict": "passed"}, {}):
                counted.setdefault(sample.name, Counter())[sample.labels["station"]] += int(sample.value)
    once = Counter(STATIONS)
    assert counted["mes_permits_total"] == counted["mes_reports_total"] == counted["mes_station_connected"] == once
    assert "mes_findings_total{" not in told
