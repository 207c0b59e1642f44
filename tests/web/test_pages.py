"""Every page: complete as sent, escaped, strict about what it loads, and never a dead end."""

import re
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest

from mes import clock
from mes.actor import Role
from mes.cells.grading import grade_lot
from mes.cells.messages import GradeRequest
from mes.db import Database
from mes.execution.messages import Component
from mes.materials.messages import LotReceipt
from mes.materials.service import receive_lot
from mes.plant.messages import LinkReport, StationLinkReport
from mes.plant.service import record_links
from mes.quality.messages import ContainRequest
from mes.quality.service import contain
from tests.build import line as build
from tests.conftest import ADMIN
from tests.web.conftest import NewKey, text_of

STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


async def built(plant: Database) -> tuple[str, str]:
    """Build a module and a pack; their serials."""
    shelf = await build.stock(plant)
    serials = await build.order(plant)
    module, pack = serials["M16S7P"][0], serials["GC48-105"][0]
    await build.module(plant, shelf, module)
    await build.pack(plant, shelf, pack, module)
    return module, pack


async def test_every_page_is_strict_and_loads_nothing_from_outside(plant: Database, browser: httpx.AsyncClient) -> None:
    _, pack = await built(plant)
    paths = ("/login", "/", f"/trace/{pack}", "/lot/CELL-L1", "/trace/NOPE", f"/trace/{pack}?as_of=never")
    for path in paths:
        page = await browser.get(path)
        assert page.headers["content-type"] == "text/html; charset=utf-8", path
        assert page.headers["content-security-policy"] == STRICT
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(r"\sstyle=|\son\w+=|<style|<script>|javascript:", page.text), path
        outside = re.findall(r"""(?:src|href|action)=["'](?!/|#)[^"']*""", page.text)
        assert not outside, path


async def test_files_are_kept_for_ever_by_their_digest_and_not_without(visitor: httpx.AsyncClient) -> None:
    page = await visitor.get("/login")
    paths = re.findall(r'"(/static/[^"]+)"', page.text)
    assert len(paths) == 3
    for path in paths:
        file = await visitor.get(path)
        assert file.status_code == 200
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert file.headers["x-content-type-options"] == "nosniff"
        loose = await visitor.get(path.partition("?")[0])
        assert loose.headers["cache-control"] == "no-cache"
        again = await visitor.get(path, headers={"If-None-Match": file.headers["etag"]})
        assert again.status_code == 304
    assert (await visitor.get("/static/../pages.py")).status_code in {303, 404}
    assert (await visitor.get("/static/%2e%2e/pages.py")).status_code == 404


async def test_the_line_shows_stations_units_links_and_orders(plant: Database, browser: httpx.AsyncClient) -> None:
    serials = await build.order(plant, quantity=2)
    module = serials["M16S7P"][0]
    assert (await build.permit(plant, "GC1-020", module)).granted
    await build.permit(plant, "GC1-070", module)  # refused: steps are missing
    now = clock.now()
    links = [StationLinkReport(station="GC1-070", state="lost", since=now, dead_letters=2)]
    links.append(StationLinkReport(station="GC1-020", state="connected", since=now, dead_letters=0, encrypted=False))
    await plant.transact(record_links, LinkReport(gateway="g", stations=links), ADMIN)
    shown = text_of((await browser.get("/")).text)
    assert f"020 Cell incoming test Working since {now:%Y-%m-%d}" in shown
    assert f"UTC {module} no result in 24 h passed 0 failed 0 refused 0 pass rate -" in shown
    assert "Laser weld Link lost no unit no result in 24 h passed 0 failed 0 refused 1" in shown
    assert "GC1-020 connected" in shown
    assert "070 Laser weld Link lost" in shown
    assert "2 dead letters" in shown
    assert shown.count("not encrypted: its mapping says security: none") == 1
    assert "GC1-080 no gateway" in shown
    assert re.search(r"WO-1 GC48-105 0 / 2 (started|released)", shown)
    with clock.held(now + timedelta(seconds=46)):
        assert "020 Cell incoming test Silent" in text_of((await browser.get("/")).text)


async def test_held_units_are_named_on_the_line_and_on_their_pages(plant: Database, browser: httpx.AsyncClient) -> None:
    module, pack = await built(plant)
    await plant.transact(contain, ContainRequest(lot="CELL-L1", reason="Cold <b>batch</b>"), ADMIN)
    line = await browser.get("/")
    assert "Open holds 3 on 2 units" in text_of(line.text)
    assert f'href="/trace/{pack}"' in line.text
    for path in (f"/trace/{pack}", f"/trace/{module}", "/lot/CELL-L1"):
        page = await browser.get(path)
        assert "On hold" in page.text
        assert "Cold &lt;b&gt;batch&lt;/b&gt;" in page.text


async def test_a_pack_unfolds_to_each_cell_in_its_group(plant: Database, browser: httpx.AsyncClient) -> None:
    module, pack = await built(plant)
    page = await browser.get(f"/trace/{pack}")
    shown = text_of(page.text)
    assert "CELL-LFP-15: 112 of 112, 16 groups of 7" in shown
    assert page.text.count('class="position"') == 112
    assert f'href="/trace/{module}"' in page.text
    assert 'href="/trace/L1C000112"' in page.text
    assert "Gaps none" in shown
    assert "SCREW-M5 24 SCREW-M5-L1 Bolt & Co B-L1" in shown
    assert "150 Charge and discharge GC1-150 passed the same" in shown
    assert "m8_torque_nm 2 12 Nm 10.8 to 13.2" in shown
    cell = text_of((await browser.get("/trace/L1C000008")).text)
    assert f"in {module}, position 8" in cell
    assert "Supplier's acir_mohm 2.21" in cell


async def test_looking_back_shows_what_was_inside_then(plant: Database, browser: httpx.AsyncClient) -> None:
    shelf = await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    before = clock.now()
    await build.module(plant, shelf, module, upto="060")
    path = f"/trace/{module}"
    then = text_of((await browser.get(path, params={"as_of": before.strftime("%Y-%m-%dT%H:%M:%S.%f")})).text)
    assert "You look back" in then
    assert "No station has worked on it by then" in then
    assert "Still to be fitted CELL-LFP-15" in then
    now = text_of((await browser.get(path, params={"as_of": ""})).text)
    assert "112 of 112" in now
    assert "Still to be fitted INSULATION" in now
    assert "in the record" not in now
    for wrong in ("never", "0001-01-01T00:00", "9999-12-31T23:59:59-14:00"):
        page = await browser.get(path, params={"as_of": wrong})
        assert page.status_code == 422
        assert "a date and time such as" in page.text
    program = await browser.get(path, params={"as_of": "never"}, headers={"Accept": "*/*"})
    assert program.headers["content-type"] == "application/problem+json"


async def test_gaps_findings_and_refusals_stand_out(plant: Database, browser: httpx.AsyncClient) -> None:
    module = (await build.order(plant))["M16S7P"][0]
    alien = [Component(part="CELL-LFP-15", serial=f"ALIEN-{n}", position=n) for n in (1, 3)]
    values = {"polarity_ok": [True] * 112, "seat_height_mm": [0.9]}
    await build.report(plant, "GC1-040", module, components=alien, values=values)
    await build.permit(plant, "GC1-050", module)
    page = await browser.get(f"/trace/{module}")
    shown = text_of(page.text)
    assert "gaps in the record" in shown
    assert "no unit known at 110 of 112 positions" in shown
    assert "its lot is not known: ALIEN-1 ALIEN-3" in shown
    assert "Serials first heard of here" in shown
    assert "seat_height_mm 1: 0.9, expected" in shown
    assert "seat_height_mm 1 of 112 0.9 mm -0.3 to 0.3" in shown
    assert "failed passed" in shown  # the MES's verdict, and the station's own beside it
    assert re.search(r"asked for a permit GC1-050 refused on hold", shown)


async def test_what_is_not_known_is_shown_as_read_with_what_to_do(browser: httpx.AsyncClient) -> None:
    for path in ("/trace/M7-9999", "/lot/M7-9999", "/find?code=M7-9999"):
        page = await browser.get(path)
        assert page.status_code == 404
        assert "M7-9999" in page.text
        assert "Scan again" in page.text
    scanned = await browser.get("/find", params={"code": "]d2\x1d<script>\x00"})
    assert scanned.status_code == 404
    assert r"]d2\x1d&lt;script&gt;\x00" in scanned.text
    assert "can't be a serial" in scanned.text
    assert (await browser.get("/trace/%00")).status_code == 404
    assert (await browser.get("/lot/%ff")).status_code == 404


async def test_a_scan_leads_to_the_unit_or_the_lot(plant: Database, browser: httpx.AsyncClient) -> None:
    odd = "A/B#1:x+y"
    await build.receive_file(plant, "LOT/7", "CELL-LFP-15", build.cell_file("C", 1).replace(b"C000001", odd.encode()))
    unit = await browser.get("/find", params={"code": f" {odd} "})
    assert unit.headers["location"] == "/trace/A%2FB%231%3Ax%2By"
    page = await browser.get(unit.headers["location"])
    assert page.status_code == 200
    assert 'href="/lot/LOT%2F7"' in page.text
    lot = await browser.get("/find", params={"code": "LOT/7"})
    assert lot.headers["location"] == "/lot/LOT%2F7"
    assert "Loose 1" in text_of((await browser.get(lot.headers["location"])).text)
    assert (await browser.get("/find")).headers["location"] == "/"
    envelope = f"[)>\x1e06\x1d1TLOT/7\x1dS{odd}\x1e\x04"
    scanned = await browser.get("/find", params={"code": envelope})
    assert scanned.headers["location"] == "/trace/A%2FB%231%3Ax%2By"
    torn = await browser.get("/find", params={"code": envelope[:-1]})
    assert torn.status_code == 404


async def test_a_graded_lots_page_draws_what_was_measured(plant: Database, browser: httpx.AsyncClient) -> None:
    await build.receive_file(plant, "LOT/7", "CELL-LFP-15", build.cell_file("C", 30))
    await plant.transact(grade_lot, GradeRequest(lot="LOT/7"), ADMIN)
    page = (await browser.get("/lot/LOT%2F7")).text
    assert "no second OCV reading" in page
    pictures = re.findall(r'<img src="([^"]+)"', page)
    assert pictures == [f"/api/lots/LOT/7/histogram/{name}.svg" for name in ("capacity_ah", "k_mv_h")]
    for path in pictures:
        drawn = await browser.get(path)
        assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/svg+xml")
        assert (await browser.get(path.replace(".svg", ".png"))).content.startswith(b"\x89PNG")
    assert (await browser.get("/api/lots/LOT/7/histogram/serial.png")).status_code == 404


async def test_a_units_page_draws_its_curves_when_they_are_looked_at(
    plant: Database, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, pack = await built(plant)
    page = (await browser.get(f"/trace/{pack}")).text
    assert "Curves (3)" in text_of(page)
    pictures = re.findall(r'<img src="([^"]+)" alt="([^"]+)" [^>]* loading="lazy">', page)
    assert [alt.split(" of ")[0] for _, alt in pictures] == [
        "pressure_curve, joint 1,",
        "m8_torque_curve, joint 1,",
        "m8_torque_curve, joint 2,",
    ]
    for path, _ in pictures:
        assert (await browser.get(path)).content.startswith(b"\x89PNG")
        assert (await browser.get(path.replace(".png", ".svg"))).headers["content-type"] == "image/svg+xml"
        assert (await browser.get(path.replace(".png", ".json"))).json()["y"] == [0, 1]
    listed = (await browser.get(f"/api/units/{pack}/curves", params={"operation": "110"})).json()
    assert [one["picture"] for one in listed] == [path for path, _ in pictures[1:]]
    assert (await browser.get(f"/api/units/{pack}/curves/{2**63}/pressure_curve/1.png")).status_code == 422
    assert (await browser.get(pictures[0][0].replace(pack, module))).status_code == 404
    assert "Curves (" not in (await browser.get(f"/trace/{pack}?as_of=2020-01-01")).text
    monkeypatch.setattr("mes.web.trace.SHOWN_CURVES", 2)
    capped = (await browser.get(f"/trace/{pack}")).text
    assert (capped.count("<img "), f'1 more: <a href="/api/units/{pack}/curves">' in capped) == (2, True)


async def test_a_lot_page_tells_where_it_went_and_is_escaped(plant: Database, browser: httpx.AsyncClient) -> None:
    module, pack = await built(plant)
    shown = text_of((await browser.get("/lot/CELL-L1")).text)
    assert "Where it is: 1 unit at the top" in shown
    assert f"{pack} GC48-105 finished 112 pcs" in shown
    assert f"{module} M16S7P finished 112 pcs" in shown
    receipt = {"lot": "X1", "part": "FUSE", "quantity": Decimal(5), "country": "US"}
    nasty = LotReceipt(supplier="<script>alert(1)</script>", supplier_lot='"><img>', **receipt)
    await plant.transact(receive_lot, nasty, ADMIN)
    page = await browser.get("/lot/X1")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert "<img>" not in page.text


@pytest.mark.parametrize("path", ["/", "/trace/X", "/lot/X", "/find?code=X"])
async def test_who_may_not_read_is_told_who_may(visitor: httpx.AsyncClient, new_key: NewKey, path: str) -> None:
    bearer = {"Authorization": f"Bearer {await new_key(Role.STATION)}"}
    page = await visitor.get(path, headers=bearer)
    assert page.status_code == 403
    assert "The role station may not do read" in page.text
