"""One record as JSON, page, PDF and command: whole, in as many statements, and honest about what it doesn't know."""

import asyncio
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pypdf
import pytest
from rich.console import Console

from mes import clock
from mes.as_built.messages import AsBuiltRecord
from mes.as_built.paper import print_record
from mes.as_built.rules import percent
from mes.as_built.service import as_built
from mes.cli_record import show_record
from mes.db import Database
from mes.errors import NotFound
from mes.execution.messages import Removal, WaiverRequest
from mes.execution.rules.words import Reason
from mes.execution.waivers import grant_waiver
from mes.quality.messages import ContainRequest
from mes.quality.service import contain
from tests.build import line as build
from tests.build import small
from tests.build.small import c1
from tests.conftest import server_url
from tests.journeys.processes import typed
from tests.web.conftest import app, browser, new_key, text_of, visitor
from tests.web.test_pages import STRICT, built

__all__ = ["app", "browser", "new_key", "visitor"]


async def read(database: Database, serial: str) -> AsBuiltRecord:
    async with database.reading() as session:
        return await as_built(session, serial)


def words(pdf: bytes) -> list[str]:
    """The text of each page of a PDF."""
    return [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


async def test_a_whole_pack_is_complete_on_page_paper_and_in_json(
    plant: Database, browser: httpx.AsyncClient, statements: list[str]
) -> None:
    module, pack = await built(plant)
    for serial in (pack, module):
        await read(plant, serial)  # plans are read once in a process's life
    counts = []
    for serial in (pack, module, "L1C000001"):
        statements.clear()
        await read(plant, serial)
        counts.append(len(statements))
    assert counts[0] == counts[1] == counts[2] < 25, counts
    record = await read(plant, pack)
    assert {share.kind: share.known_pct for share in record.shares} == dict.fromkeys(
        ("all", "component", "step", "value", "document", "origin"), 100
    )
    assert (record.gaps, record.holds, record.removed) == ([], [], [])
    assert [(unit.serial, unit.parent, unit.position, unit.revision) for unit in record.units] == [
        (pack, None, None, 1),
        (module, pack, 1, 1),
    ]
    assert [step.operation for step in record.units[1].steps] == list(build.MODULE_STEPS)
    weld = record.units[1].steps[5].attempts[0].values[0]
    assert (weld.name, weld.lower, weld.upper, len(weld.values), weld.failed) == ("power_w", 1455, 1545, 224, [])
    assert [len(lot.documents) for lot in record.lots if lot.part == "CELL-LFP-15"] == [3]

    page = await browser.get(f"/record/{pack}")
    assert page.headers["content-security-policy"] == STRICT
    assert len(page.content) < 70_000, "lean enough to be painted at once"
    assert page.text.count("<details") == 1 + len(build.MODULE_STEPS) + len(build.PACK_STEPS)
    shown = text_of(page.text)
    assert "Complete: all that its plan asks for is known" in shown
    assert "power_w (W) 1455 to 1545 1500 (all 224)" in shown
    assert page.text.count("<img ") == 3
    assert f'href="/record/{pack}"' in (await browser.get(f"/trace/{pack}")).text
    told = await browser.get(f"/api/records/{pack}", params={"seals": "true"})
    answer = AsBuiltRecord.model_validate_json(told.content)
    assert answer.seals is not None
    assert answer.seals.fits
    assert answer.model_copy(update={"read_at": record.read_at, "seals": None}) == record
    paper = await browser.get(f"/api/records/{pack}.pdf")
    assert paper.headers["content-type"] == "application/pdf"
    whole = " ".join(words(paper.content))
    assert "110 Harness and joints, m8_torque_curve, joint 2" in whole
    assert "112 L1C000112" in whole
    for path in ("/record/NOPE", "/api/records/NOPE", "/api/records/NOPE.pdf"):
        assert (await browser.get(path)).status_code == 404, path


@pytest.fixture
def morning() -> Iterator[None]:
    with clock.held(datetime(2026, 11, 23, 8, 0, tzinfo=UTC)):
        yield


@pytest.fixture
async def workshop(database: Database, morning: None) -> Database:
    """The small plant with stock on its shelves."""
    await small.make(database)
    await small.cells(database, "C1", 24)
    await small.lot(database, "G1", "GLUE")
    await small.certify_two(database)
    return database


async def reworked(plant: Database) -> str:
    """A module that failed its weld, was reworked with another cell, held, waived and not yet ended."""
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    await small.module(plant, serial, c1(1), "G1", upto="30")
    await small.weld(plant, serial, ok=False)
    out = [Removal(serial="C1-002", to="scrap")]
    await small.work(plant, "ST-40", serial, removals=out, components=small.fit("CELL", ["C1-009"], 2))
    hold = ContainRequest(serial=serial, reason="Looked odd")
    await build.release(plant, (await plant.transact(contain, hold, build.QUALITY)).containment)
    waiver = WaiverRequest(
        rule=Reason.TOO_LATE, serials=[serial], ends_at=clock.now() + timedelta(hours=1), reason="long lunch"
    )
    await plant.transact(grant_waiver, waiver, build.QUALITY)
    await plant.transact(contain, ContainRequest(lot="G1", reason="Glue <b>too old</b>"), build.QUALITY)
    return serial


async def test_rework_hold_and_waiver_stand_in_it_and_gaps_stand_first(workshop: Database) -> None:
    serial = await reworked(workshop)
    record = await read(workshop, serial)
    states = {step.operation: step.state for step in record.units[0].steps}
    assert states == {
        "10": "passed",
        "20": "void",
        "21": "passed",
        "30": "passed",
        "40": "failed",
        "41": "passed",
        "50": "not_reported",
    }
    assert [gap.text for gap in record.gaps] == [
        "step 20 Step 20: made void by a rework and not repeated",
        "step 50 Step 50: not reported",
        "step 50 Step 50: nothing of what it measures",
    ]
    shares = {share.kind: (share.known, share.asked) for share in record.shares}
    assert shares == {"all": (18, 21), "component": (5, 5), "step": (4, 6), "value": (5, 6), "origin": (4, 4)}
    weld = next(step for step in record.units[0].steps if step.operation == "40").attempts[0]
    assert (weld.verdict, weld.operator, weld.program_revision, weld.values[0].failed) == ("failed", "olga", "W7", [1])
    assert weld.first_article is not None
    assert weld.first_article.signed_by == "quinn"
    (out,) = record.removed
    assert (out.serial, out.parent, out.position, out.operation, out.decision) == ("C1-002", serial, 2, "41", "scrap")
    assert [(hold.serial, hold.lot, hold.released_at is None) for hold in record.holds] == [
        (serial, None, False),
        (None, "G1", True),
        (serial, None, True),
    ]
    assert [(one.serial, one.decision) for one in record.dispositions] == [("C1-002", "scrap")]
    assert [waiver.rule for waiver in record.waivers] == [Reason.TOO_LATE]


async def test_what_no_one_reported_is_named(workshop: Database) -> None:
    serial = (await small.order(workshop, part="MOD"))["MOD"][0]
    await small.tell(workshop, "ST-10", serial, components=small.fit("CELL", ["ALIEN"], 3), values={})
    record = await read(workshop, serial)
    said = [f"{gap.serial}: {gap.text}" for gap in record.gaps]
    assert f"{serial}: CELL: no unit known at 3 of 4 positions (1, 2, 4)" in said
    assert f"{serial}: GLUE: no lot known" in said
    assert f"{serial}: step 10 Step 10: 1 of 1 values of ok missing" in said
    assert "ALIEN: its lot is not known" in said
    assert record.shares[0].known_pct == percent(2, 18) == 11.1
    assert percent(9999, 10_000) == 99.9, "100 is said of all alone"
    with pytest.raises(NotFound):
        await read(workshop, "NOPE")


async def test_the_paper_can_be_searched_and_is_the_same_twice(workshop: Database) -> None:
    serial = await reworked(workshop)
    at = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    first = await print_record(workshop, serial, at)
    clock.advance(timedelta(minutes=5))
    assert await print_record(workshop, serial, at) == first
    pages = words(first)
    assert len(pages) > 1
    for number, page in enumerate(pages, 1):
        assert serial in page
        assert f"Printed 2026-11-24 09:30:00 UTC Page {number} of {len(pages)}" in page
    front = pages[0]
    assert front.index("What is not known") < front.index("step 50 Step 50: not reported") < front.index("Identity")
    assert "On hold: Glue <b>too old</b>" in front
    whole = " ".join(pages)
    assert "C1-009" in whole
    assert "Attempt 1: failed" in whole
    assert "quality quinn, supervisor sam: inspected and clean" in whole
    assert "long lunch" in whole


async def test_the_command_writes_the_paper(workshop: Database, database_name: str, tmp_path: Path) -> None:
    serial = await reworked(workshop)
    file = tmp_path / "record.pdf"
    url = server_url(database_name)
    said = await asyncio.to_thread(typed, "record", serial, "--pdf", str(file), url=url, folder=tmp_path)
    assert "As-built record of" in said.stdout, said.stderr
    assert serial in words(file.read_bytes())[0]
    async with workshop.reading() as session:
        shown = Console(width=200, record=True, file=io.StringIO())
        shown.print(show_record(await as_built(session, serial)))
    text = shown.export_text()
    assert "18 of 21 known, 85.7 %" in text
    assert "not known: " + serial + ": step 50 Step 50: not reported" in text
