"""Charts as they are looked at: over HTTP, as pages, pictures, and by the commands."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from mes.actor import Role
from mes.app import make_app
from mes.cli import cli
from mes.db import Database
from mes.people.messages import KeyRequest
from mes.people.service import create_key
from mes.settings import Settings
from mes.spc.judging import judge_charts
from tests.build import charted
from tests.conftest import ADMIN, server_url
from tests.journeys.processes import typed
from tests.spc.published import AIAG_GAUGE

PNG, SPEC = b"\x89PNG\r\n\x1a\n", {"chart": "i_mr", "rules": [1], "on_signal": ["block"]}


@pytest.fixture
async def charts(database: Database) -> Database:
    """A plant with a chart of three positions, the second of which has signalled."""
    serials = await charted.make(database, {**SPEC, "by": "position"}, count=3)
    await charted.measure(database, serials, [[v, v + 1, v + 2] for v in charted.CALM])
    await charted.measure(database, serials, [[10.0, 15.0, 12.0]])
    await judge_charts(database)
    return database


@pytest.fixture
async def client(charts: Database, database_name: str) -> AsyncIterator[httpx.AsyncClient]:
    """Ask as somebody of quality; the application isn't started, so that nothing judges meanwhile."""
    gate: Any = make_app(Settings(), server_url(database_name))
    key = (await charts.transact(create_key, KeyRequest(name="q", role=Role.QUALITY), ADMIN)).key
    async with gate.app.app.router.lifespan_context(gate.app.app):
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/html"}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(gate), base_url="http://127.0.0.1:8000", headers=headers
        ) as asking:
            yield asking


async def test_charts_are_read_drawn_and_their_signals_closed(client: httpx.AsyncClient) -> None:
    (chart,) = (await client.get("/api/spc/charts")).json()
    assert (chart["kind"], chart["lines"], chart["open_signals"], chart["blocks"]) == ("i_mr", 3, 1, True)
    here = f"/api/spc/charts/{chart['chart']}"
    drawn = (await client.get(here, params={"position": 2, "last": 10})).json()
    assert len(drawn["points"]) == 10
    assert drawn["points"][-1]["rules"] == ["nelson_1", "spread"]
    assert drawn["capability"]["cpk"]["low"] < drawn["capability"]["cpk"]["value"]
    svg = await client.get(f"{here}/picture.svg", params={"position": 2})
    assert svg.headers["content-type"] == "image/svg+xml"
    assert b"<svg" in svg.content
    assert (await client.get(f"{here}/picture.png")).content.startswith(PNG)
    assert (await client.get(here, params={"position": 4})).status_code == 404
    assert (await client.get("/api/spc/charts/99")).status_code == 404
    (signal,) = (await client.get("/api/spc/signals")).json()
    closed = await client.post("/api/spc/signals/close", json={"signal": signal["signal"], "reason": "worn tip"})
    assert closed.status_code == 200, closed.text
    assert (await client.get("/api/spc/signals")).json() == []
    restarted = await client.post("/api/spc/charts/restart", json={"chart": chart["chart"], "reason": "new tip"})
    assert restarted.status_code == 200, restarted.text
    assert (await client.get("/api/spc/charts")).json()[0]["set_at"] is None


async def test_the_pages_show_state_picture_capability_and_signals(client: httpx.AsyncClient) -> None:
    listed = await client.get("/spc")
    assert listed.status_code == 200, listed.text
    assert "1 open, blocks" in listed.text
    link = re.search(r'href="(/spc/\d+\?position=2)"', listed.text)
    assert link
    page = await client.get(link[1])
    assert page.status_code == 200, page.text
    for words in ("position 2 of 3", "Its operation is refused", "Cpk", "a point beyond three sigma", "Not normal"):
        assert words in page.text
    for text in (listed.text, page.text):
        assert not re.search(r"\sstyle=|\son\w+=|<style|<script>|javascript:", text)
        assert not re.findall(r"""(?:src|href|action)=["'](?!/|#)[^"']*""", text)
    picture = re.search(r'src="(/api/spc/[^"]+)"', page.text)
    assert picture
    assert (await client.get(picture[1])).status_code == 200
    assert (await client.get("/spc/99")).status_code == 404
    line = await client.get("/")
    assert re.search(r'href="/spc"><strong class="figure">1</strong> open', line.text)


def test_a_gauge_study_is_read_from_a_file(tmp_path: Path) -> None:
    rows = [f"{part},{'ABC'[n // 3]},{value}" for part, row in enumerate(AIAG_GAUGE, 1) for n, value in enumerate(row)]
    file = tmp_path / "study.csv"
    file.write_text("part,operator,value\n" + "\n".join(rows))
    shown = CliRunner().invoke(cli, ["gauge", str(file), "--tolerance", "8"], env={"COLUMNS": "150"})
    assert shown.exit_code == 0, shown.output
    for printed in ("88.3619", "0.434", "pooled", "27.86", "96.04", "(ndc): 4"):
        assert printed in shown.output
    file.write_text("part,operator,value\n1,A,1.0\n")
    assert CliRunner().invoke(cli, ["gauge", str(file)]).exit_code == 1


async def test_the_commands_list_show_draw_close_and_restart(
    charts: Database, database_name: str, tmp_path: Path
) -> None:
    picture = tmp_path / "chart.png"

    async def mes(*words: str) -> str:
        shown = await asyncio.to_thread(typed, "spc", *words, url=server_url(database_name), folder=tmp_path)
        assert shown.returncode == 0, shown.stderr
        return shown.stdout

    assert "width_mm" in await mes("list")
    told = await mes("show", "1", "--position", "2", "--out", str(picture))
    for words in ("limits of 25 subgroups", "Cpk ", "NOT NORMAL", "W00027 15: a point beyond three sigma"):
        assert words in told
    assert picture.read_bytes().startswith(PNG)
    assert "closed" in await mes("close", "1", "--reason", "worn tip")
    assert "anew" in await mes("restart", "1", "--reason", "new tip")
