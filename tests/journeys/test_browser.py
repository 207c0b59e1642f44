"""A person at a screen: a real browser on a real server, the line changing under their eyes, nothing from outside."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from mes.actor import Role
from mes.db import Database
from mes.people.messages import KeyRequest
from mes.people.service import create_key
from mes.plant.messages import LinkReport, StationLinkReport
from mes.plant.service import record_links
from mes.quality.messages import ContainRequest
from mes.quality.service import contain
from tests.build import line as build
from tests.conftest import ADMIN, server_url

ARTEFACTS = Path(__file__).parents[2] / "test-artefacts"
CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
ARGUMENTS += ["--disable-component-update", "--disable-sync"]
READY_WITHIN_S = 30
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="CHROMIUM IS MISSING: no page was tried in a browser. Install it: apt-get install chromium"
)


@dataclass
class Plant:
    """A running server with its keys; it can be frozen, killed and started again."""

    database: Database
    url: str
    port: int
    keys: dict[Role, str]
    process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        """Where pages are."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start the server as a plant does, and wait until it answers."""
        environment = os.environ | {"MES_DATABASE_URL": self.url, "MES_PORT": str(self.port), "MES_DATABASE_POOL": "4"}
        self.process = await asyncio.create_subprocess_exec(sys.executable, "-m", "mes.cli", "serve", env=environment)
        async with httpx.AsyncClient() as client, asyncio.timeout(READY_WITHIN_S):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    await client.get(f"{self.address}/login")
                    return
                await asyncio.sleep(0.1)

    def send(self, number: signal.Signals) -> None:
        """Send the server a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    async def stop(self) -> None:
        """Kill the server."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Say something at the station door."""
        headers = {"Authorization": f"Bearer {self.keys[Role.STATION]}"}
        async with httpx.AsyncClient(base_url=self.address, headers=headers) as client:
            answer: dict[str, Any] = (await client.post(path, json=body)).raise_for_status().json()
            return answer


@dataclass
class Seen:
    """What a page asked for and complained of."""

    addresses: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note every request, socket, error and console message of a page."""
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("websocket", lambda socket: self.addresses.append(socket.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in {"error", "warning"} else None
        )


@pytest.fixture
async def site(plant: Database, plant_name: str) -> AsyncIterator[Plant]:
    """Serve the demo plant."""
    keys = {}
    for role in (Role.QUALITY, Role.STATION):
        keys[role] = (await plant.transact(create_key, KeyRequest(name=f"test-{role}", role=role), ADMIN)).key
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    served = Plant(plant, server_url(plant_name), port, keys)
    await served.start()
    yield served
    await served.stop()


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """Start Debian's chromium with a fresh profile."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


async def log_in(site: Plant, context: BrowserContext) -> Page:
    """Log in as a scanner would: the key, then Enter."""
    page = await context.new_page()
    await page.goto(site.address)
    await page.keyboard.type(site.keys[Role.QUALITY])
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#live")
    return page


async def test_the_line_changes_under_the_eyes_of_who_watches(site: Plant, chromium: Browser) -> None:
    module = (await build.order(site.database))["M16S7P"][0]
    seen = Seen()
    context = await chromium.new_context(viewport={"width": 1920, "height": 1080}, timezone_id="America/Chicago")
    context.on("page", seen.watch)
    page = await log_in(site, context)
    await page.wait_for_function("document.getElementById('live-state').textContent.startsWith('Live')")
    await page.evaluate("window.isSamePage = true")
    station = page.locator("#station-GC1-020")
    assert "Free" in await station.inner_text()
    asked = {"station": "GC1-020", "cycle": "1", "asker": "test", "serial": module}
    assert (await site.post("/api/station/permit", asked))["granted"]
    await station.get_by_role("link", name=module).wait_for(timeout=2000)
    assert "Working" in await station.inner_text()
    done = asked | {"verdict": "failed", "started_at": build.AT.isoformat(), "ended_at": build.AT.isoformat()}
    await site.post("/api/station/report", done)
    await station.locator(".verdict.failed").wait_for(timeout=2000)
    assert "Free" in await station.inner_text()
    assert await page.evaluate("window.isSamePage"), "the page was loaded anew"
    shown = await station.locator("time").first.inner_text()
    local = "new Date(document.querySelector('#station-GC1-020 time').dateTime).toTimeString().slice(0, 8)"
    assert shown == await page.evaluate(local)
    await page.keyboard.type(module)  # a scanner types into no field: the search box takes it
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{site.address}/trace/{module}")
    assert "out of limits" in await page.inner_text("main")
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url(f"{site.address}/login")
    hosts = {address.split("/")[2] for address in seen.addresses}
    assert hosts == {f"127.0.0.1:{site.port}"}
    assert any(address.startswith("ws://") for address in seen.addresses)
    assert seen.complaints == []


async def test_who_watches_is_told_when_the_server_is_gone_or_frozen(site: Plant, chromium: Browser) -> None:
    page = await log_in(site, await chromium.new_context())
    banner = page.locator("#banner")
    await page.wait_for_function("document.getElementById('live-state').textContent.startsWith('Live')")
    assert not await banner.is_visible()
    site.send(signal.SIGSTOP)
    started = time.monotonic()
    await banner.wait_for(timeout=5000)
    assert time.monotonic() - started < 4
    assert "Connection lost; data as of " in await banner.inner_text()
    site.send(signal.SIGCONT)
    await banner.wait_for(state="hidden", timeout=15_000)
    await site.stop()
    await banner.wait_for(timeout=3000)
    await site.start()
    await banner.wait_for(state="hidden", timeout=20_000)
    module = (await build.order(site.database))["M16S7P"][0]
    await build.permit(site.database, "GC1-020", module)
    await page.get_by_role("link", name=module).wait_for(timeout=3000)


async def test_pages_are_complete_without_javascript(site: Plant, chromium: Browser) -> None:
    module = (await build.order(site.database))["M16S7P"][0]
    await build.permit(site.database, "GC1-020", module)
    page = await log_in(site, await chromium.new_context(java_script_enabled=False))
    assert "UTC" in await page.locator("#station-GC1-020 time").first.inner_text()
    await page.get_by_role("link", name=module).click()
    assert "No station has worked on it" in await page.inner_text("main")


async def test_every_page_can_be_read_by_day_and_night_and_on_a_phone(site: Plant, chromium: Browser) -> None:
    paths = await furnish(site)
    ARTEFACTS.mkdir(exist_ok=True)
    sizes = {"wall": (1920, 1080), "desk": (1024, 768), "phone": (390, 844)}
    for scheme in ("light", "dark"):
        context = await chromium.new_context(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page = await log_in(site, context)
        for screen, path in paths.items():
            for size, (width, height) in sizes.items():
                await page.set_viewport_size({"width": width, "height": height})
                await page.goto(site.address + path)
                where = f"{screen}-{size}-{scheme}"
                await page.screenshot(path=ARTEFACTS / f"{where}.png", full_page=True)
                assert await page.evaluate("document.documentElement.scrollWidth") <= width, f"{where} is too wide"
                assert json.loads(await page.evaluate(FAINT)) == [], f"{where} has faint text"
        await context.close()


async def furnish(site: Plant) -> dict[str, str]:
    """Build a pack, hold it, lose a station, refuse a unit; the path of each screen."""
    database = site.database
    shelf = await build.stock(database)
    serials = await build.order(database, quantity=2)
    (module, other), pack = serials["M16S7P"], serials["GC48-105"][0]
    await build.module(database, shelf, module)
    await build.pack(database, shelf, pack, module)
    await database.transact(contain, ContainRequest(lot="CELL-L1", reason="Supplier reports a cold batch"), ADMIN)
    await build.permit(database, "GC1-020", other)
    await build.permit(database, "GC1-060", other)
    await build.report(database, "GC1-050", other, verdict="failed")
    links = [StationLinkReport(station="GC1-020", state="connected", since=build.AT, dead_letters=0)]
    links.append(StationLinkReport(station="GC1-140", state="lost", since=build.AT, dead_letters=2))
    await database.transact(record_links, LinkReport(gateway="gateway", stations=links), ADMIN)
    trace = {"pack": f"/trace/{pack}", "module": f"/trace/{other}", "back": f"/trace/{pack}?as_of=2026-11-01T00:00"}
    return {"line": "/", **trace, "lot": "/lot/CELL-L1", "unknown": "/find?code=M7-0000", "login": "/login"}


# Every text against what lies behind it: WCAG 2.1 AA asks 4.5, or 3 where letters are large.
FAINT = """
(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const faint = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const [bright, dark] = [light(channels(style.color)), light(behind(element))].sort((a, b) => b - a);
    const ratio = (bright + 0.05) / (dark + 0.05);
    if (ratio < needed) faint.add(`${walker.currentNode.textContent.trim()}: ${ratio.toFixed(2)}`);
  }
  return JSON.stringify([...faint]);
})()
"""
