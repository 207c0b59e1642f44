"""Labels as asked for: what they say, reprints, and by HTTP and at the command line."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from copy import deepcopy
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import numpy as np
import pytest
from matplotlib.image import imread
from pydantic import ValidationError
from typer.testing import CliRunner

from mes import clock
from mes.actor import Role
from mes.app import make_app
from mes.cli_labels import Work, labels
from mes.codes.gbt34014 import decode
from mes.db import Database, open_database
from mes.errors import NotFound
from mes.labels.designs import CrateOpen
from mes.labels.messages import BatteryCode, JobAnswer, LabelRequest, PrinterSpec, PrintOutcome
from mes.labels.queries import jobs
from mes.labels.service import PrinterBusy, ReprintUnexplained, print_label, record_outcome, set_printer
from mes.labels.spool import SPOOL
from mes.people.messages import KeyRequest
from mes.people.service import create_key
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.records.scans import explain_scan
from mes.settings import Settings
from mes.shipping.messages import CrateNumber, CrateUnitRequest
from mes.shipping.service import close_crate, unpack_unit
from tests.build import line as build
from tests.build import small
from tests.conftest import ADMIN, server_url
from tests.labels.printer import RawPrinter, free_port, running
from tests.labels.reading import dots, scan, texts
from tests.shipping.crates import PREFIX, a_pack, closed, make, open_one

MORNING = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
BATTERY = BatteryCode(maker="08P", spec="A1", traceability="0123456")
SPEC = PrinterSpec(name="P1", host="127.0.0.1", port=9100)


@pytest.fixture
def morning() -> Iterator[None]:
    with clock.held(MORNING):
        yield


@pytest.fixture
async def plant(database: Database) -> Database:
    """The small plant with an order of packs (P00001 ...) and a printer."""
    await make(database)
    await small.order(database, number="WO-0", quantity=3)
    await database.transact(set_printer, SPEC, build.ACTOR)
    return database


async def label(database: Database, subject: str = "P00001", **more: Any) -> JobAnswer:
    return await database.transact(print_label, LabelRequest(subject=subject, printer="P1", **more), build.ACTOR)


async def zpl_of(database: Database, job: int) -> str:
    async with database.reading() as session:
        found: str = await session.driver.fetchval("SELECT zpl FROM print_job WHERE id = $1", job)
    return found


async def test_a_nameplate_says_what_it_is_and_its_code_too(plant: Database) -> None:
    job = await label(plant)
    assert (job.copy_number, job.state, job.reason) == (1, "queued", None)
    zpl = await zpl_of(plant, job.job)
    assert texts(zpl) == ["PACK", "Pack", "P00001"]
    assert scan(dots(zpl)).bytes == b"[)>\x1e06\x1d1PPACK\x1dSP00001\x1e\x04"
    assert bytes.fromhex(job.payload) == scan(dots(zpl)).bytes


async def test_a_nameplate_may_hold_a_battery_code(morning: None, plant: Database) -> None:
    code = scan(dots(await zpl_of(plant, (await label(plant, battery=BATTERY)).job))).bytes.decode()
    assert len(code) == 24
    assert (code[:5], code[5:7], code[7:14]) == ("08PPB", "A1", "0123456")
    assert (decode(code).kind, decode(code).made_on) == ("P", MORNING.date())
    again = await label(plant, reason="smudged")
    assert bytes.fromhex(again.payload).decode() == code, "a second label never says anything else"
    async with plant.reading() as session:
        read = await explain_scan(session, code)
    assert (read.serial, read.part, read.is_known) == ("P00001", "PACK", True)
    with pytest.raises(ValidationError):
        LabelRequest(kind="crate", subject="0" * 18, printer="P1", battery=BATTERY)


async def test_no_battery_code_is_given_twice(morning: None, plant: Database) -> None:
    await build.receive_file(plant, "BX", "BOARD", b"Serial,Carton\nBOARD-X,K1\n")
    first = [(await label(plant, subject, battery=BATTERY)).payload for subject in ("P00001", "M00001", "BOARD-X")]
    assert len(set(first)) == 3, "serials of two products end in the same number"
    async with plant._session(read_only=False) as (_, driver):
        with pytest.raises(asyncpg.UniqueViolationError, match="uq_print_job_payload"):
            await driver.execute("UPDATE print_job SET payload = (SELECT min(payload) FROM print_job)")


async def test_a_battery_code_has_the_day_it_was_made_on_where_it_was_made(database: Database) -> None:
    files = deepcopy(small.PLANT)
    files["sites"][0]["timezone"] = "America/New_York"
    await database.transact(apply_plan, PlantFiles.model_validate(files), build.ACTOR)
    await database.transact(set_printer, SPEC, build.ACTOR)
    with clock.held(MORNING):
        await small.order(database, number="WO-0")
    with clock.held(datetime(2026, 12, 4, 2, 0, tzinfo=UTC)):
        await small.tell(database, "ST-60", "P00001", ok=False)
        code = bytes.fromhex((await label(database, battery=BATTERY)).payload).decode()
    assert decode(code).made_on == date(2026, 12, 3)


async def test_a_reprint_is_counted_and_needs_its_reason(plant: Database) -> None:
    await label(plant, reason="not needed")
    with pytest.raises(ReprintUnexplained):
        await label(plant)
    second = await label(plant, reason="torn off")
    await plant.transact(record_outcome, PrintOutcome(job=second.job), SPOOL)
    await label(plant, reason="smudged")
    async with plant.reading() as session:
        told = [(job.copy_number, job.state, job.reason) for job in await jobs(session, subject="P00001")]
        assert len(await jobs(session, printer="P1", state="printed")) == 1
        assert await jobs(session, printer="P2") == []
    assert told == [(3, "queued", "smudged"), (2, "printed", "torn off"), (1, "queued", None)]


async def test_of_two_that_ask_at_once_one_gets_the_first_copy(plant: Database) -> None:
    await plant.transact(set_printer, PrinterSpec(name="P2", host="127.0.0.1"), build.ACTOR)
    requests = [LabelRequest(subject="P00002", printer=name) for name in ("P1", "P2") * 3]
    asked = (plant.transact(print_label, request, build.ACTOR) for request in requests)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [answer.copy_number for answer in answers if isinstance(answer, JobAnswer)] == [1]
    assert sum(isinstance(answer, ReprintUnexplained) for answer in answers) == 5


async def test_a_crate_s_label_is_printed_when_it_is_closed(plant: Database, morning: None) -> None:
    packs = [await a_pack(plant), await a_pack(plant)]
    crate = await closed(plant, *packs)
    zpl = await zpl_of(plant, (await label(plant, crate, kind="crate")).job)
    assert texts(zpl) == ["2 x PACK", "SSCC", f"(00) {crate}"]
    assert scan(dots(zpl)).bytes == f"00{crate}".encode()
    await plant.transact(unpack_unit, CrateUnitRequest(crate=crate, serial=packs[0]), build.ACTOR)
    with pytest.raises(CrateOpen):
        await label(plant, crate, kind="crate", reason="one less")
    await plant.transact(close_crate, CrateNumber(crate=crate), build.ACTOR)
    again = await label(plant, crate, kind="crate", reason="one less")
    assert (again.copy_number, texts(await zpl_of(plant, again.job))[0]) == (2, "1 x PACK")


async def test_misuse_is_told(plant: Database) -> None:
    with pytest.raises(NotFound):
        await label(plant, "GHOST")
    with pytest.raises(NotFound):
        await label(plant, "0" * 18, kind="crate")
    with pytest.raises(NotFound):
        await plant.transact(print_label, LabelRequest(subject="P00001", printer="NOWHERE"), build.ACTOR)
    job = await label(plant)
    finer = PrinterSpec(name="P1", host="127.0.0.1", dots_per_mm=12)
    with pytest.raises(PrinterBusy):
        await plant.transact(set_printer, finer, build.ACTOR)
    await plant.transact(record_outcome, PrintOutcome(job=job.job), SPOOL)
    await plant.transact(set_printer, finer, build.ACTOR)
    assert "^PW1200^LL480" in await zpl_of(plant, (await label(plant, "P00002")).job)


@pytest.fixture
async def server(plant: Database, database_name: str) -> AsyncIterator[httpx.AsyncClient]:
    """The application with its jobs."""
    gate: Any = make_app(Settings(sscc_prefix=PREFIX), server_url(database_name))
    async with (
        gate.app.app.router.lifespan_context(gate.app.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://mes") as client,
    ):
        yield client


async def test_a_scanned_battery_code_leads_to_its_unit(plant: Database, server: httpx.AsyncClient) -> None:
    code = bytes.fromhex((await label(plant, battery=BATTERY)).payload).decode()
    found = await server.get("/find", params={"code": code}, headers=await as_role(plant, Role.OPERATOR))
    assert (found.status_code, found.headers["location"]) == (303, "/trace/P00001")


async def as_role(database: Database, role: Role) -> dict[str, str]:
    key = (await database.transact(create_key, KeyRequest(name=f"test-{role}", role=role), ADMIN)).key
    return {"Authorization": f"Bearer {key}"}


async def test_over_http_a_label_reaches_its_printer(plant: Database, server: httpx.AsyncClient) -> None:
    boss, operator = await as_role(plant, Role.SUPERVISOR), await as_role(plant, Role.OPERATOR)
    printer = RawPrinter(free_port())
    spec = SPEC.model_dump() | {"port": printer.port}
    assert (await server.put("/api/printers", headers=operator, json=spec)).status_code == 403
    assert (await server.put("/api/printers", headers=boss, json=spec)).json() == spec
    assert (await server.get("/api/printers", headers=operator)).json() == [spec]
    async with running(printer):
        request = {"subject": "P00001", "printer": "P1"}
        asked = await server.post("/api/labels", headers=operator, json=request)
        assert (asked.status_code, asked.json()["copy_number"]) == (201, 1)
        async with asyncio.timeout(30):
            await printer.taken.wait()
    again = await server.post("/api/labels", headers=operator, json=request)
    assert (again.status_code, again.json()["code"]) == (409, "ReprintUnexplained")
    listed = await server.get("/api/labels/jobs", headers=operator, params={"subject": "P00001"})
    assert [job["queued_by"] for job in listed.json()] == ["test-operator"]


async def test_over_http_a_label_is_shown_and_nothing_is_counted(plant: Database, server: httpx.AsyncClient) -> None:
    key = await as_role(plant, Role.QUALITY)
    shown = await server.get("/api/labels/preview", headers=key, params={"subject": "P00001"})
    assert shown.headers["content-type"] == "image/png"
    picture = imread(io.BytesIO(shown.content), format="png")[8:-8, 8:-8, 0]
    assert scan(np.ascontiguousarray((picture * 255).astype(np.uint8))).bytes.endswith(b"SP00001\x1e\x04")
    drawn = await server.get("/api/labels/preview", headers=key, params={"subject": "P00001", "form": "svg"})
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert (await server.get("/api/labels/preview", headers=key, params={"subject": "NO"})).status_code == 404
    assert (await server.get("/api/labels/jobs", headers=key)).json() == []


async def test_over_http_a_crate_is_filled_and_leaves(plant: Database, server: httpx.AsyncClient) -> None:
    with clock.held(MORNING):
        pack = await a_pack(plant)
    operator = await as_role(plant, Role.OPERATOR)

    async def post(path: str, **body: Any) -> httpx.Response:
        return await server.post(f"/api/crates{path}", headers=operator, json=body)

    crate = (await post("", extension=3)).json()["crate"]
    assert crate.startswith(f"3{PREFIX}")
    refused = (await post("/pack", crate=crate, serial="P00001")).json()
    assert (refused["packed"], refused["refusals"][0]["code"]) == (False, "unfinished")
    assert (await post("/pack", crate=crate, serial=pack)).json()["packed"]
    assert (await post("/unpack", crate=crate, serial=pack)).json()["units"] == []
    assert (await post("/pack", crate=crate, serial=pack)).json()["packed"]
    assert (await post("/close", crate=crate)).json()["state"] == "closed"
    assert (await post("/ship", crate=crate, to="Dealer", reference="DN-1")).json()["shipped"]
    listed = await server.get("/api/crates", headers=operator, params={"state": "shipped"})
    read = await server.get(f"/api/crates/{crate}", headers=operator)
    assert listed.json() == [read.json()]
    assert [unit["serial"] for unit in read.json()["units"]] == [pack]


async def test_without_a_company_prefix_no_crate_is_opened(plant: Database, database_name: str) -> None:
    gate: Any = make_app(Settings(), server_url(database_name))
    key = await as_role(plant, Role.OPERATOR)
    transport = httpx.ASGITransport(gate)
    async with (
        gate.app.app.router.lifespan_context(gate.app.app),
        httpx.AsyncClient(transport=transport, base_url="http://mes") as client,
    ):
        answer = await client.post("/api/crates", headers=key, json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "NoPrefix")
    assert "MES_SSCC_PREFIX" in answer.json()["detail"]


async def test_at_the_command_line(plant: Database, database_name: str, tmp_path: Path) -> None:
    def with_database(work: Work) -> Any:
        async def run() -> Any:
            database = open_database(Settings(), server_url(database_name))
            try:
                return await work(database)
            finally:
                await database.close()

        return asyncio.run(run())

    app = labels(with_database, lambda: ADMIN)

    async def ask(*words: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, words, env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
        return str(result.output)

    crate = await open_one(plant)
    assert "copy 1 of P00003 waits for P1" in await ask("print", "P00003", "--printer", "P1")
    assert "P00003" in await ask("jobs", "--state", "queued")
    assert "P00003" not in await ask("jobs", "--state", "printed")
    for name, opening in (("label.png", b"\x89PNG"), ("label.svg", b"<?xml")):
        await ask("preview", "P00003", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(opening)
    failed = await asyncio.to_thread(CliRunner().invoke, app, ["preview", crate, str(tmp_path / "c.png"), "--crate"])
    assert isinstance(failed.exception, CrateOpen)
