"""Journey b: an operator's terminal asks and reports over HTTP, clicks twice, reloads; the doors stay closed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from mes import clock
from mes.actor import Role
from mes.app import make_app
from mes.db import Database
from mes.execution.examples import PERMIT_EXAMPLES, REPORT_EXAMPLES
from mes.people.messages import KeyRequest
from mes.people.service import create_key
from mes.settings import Settings
from tests.build import line as build
from tests.conftest import server_url

REPORT = {"verdict": "passed", "started_at": clock.iso_now(), "ended_at": clock.iso_now()}


@pytest.fixture
async def clients(plant: Database, plant_name: str) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A client per role, and one without a key."""
    gate: Any = make_app(Settings(), server_url(plant_name))
    made: dict[str, httpx.AsyncClient] = {}
    async with gate.app.app.router.lifespan_context(gate.app.app):
        transport = httpx.ASGITransport(gate)
        for role in Role:
            key = await plant.transact(create_key, KeyRequest(name=role, role=role), build.ACTOR)
            headers = {"Authorization": f"Bearer {key.key}"}
            made[role] = httpx.AsyncClient(transport=transport, base_url="http://mes", headers=headers)
        made["nobody"] = httpx.AsyncClient(transport=transport, base_url="http://mes")
        yield made
        for client in made.values():
            await client.aclose()


async def test_a_double_click_and_a_reload_are_one_cycle(
    plant: Database, clients: dict[str, httpx.AsyncClient]
) -> None:
    await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    terminal = clients["operator"]
    ask = {"station": "GC1-020", "cycle": "terminal-1", "asker": "terminal 20", "serial": module}
    asked = await asyncio.gather(*(terminal.post("/api/station/permit", json=ask) for _ in range(4)))
    assert {answer.status_code for answer in asked} == {200}
    assert len({answer.text for answer in asked}) == 1
    assert asked[0].json()["granted"]
    values = build.good_values((await build.plan_of(plant, module)).steps["020"])
    done = ask | REPORT | {"values": values}
    told = await asyncio.gather(*(terminal.post("/api/station/report", json=done) for _ in range(4)))
    assert {answer.status_code for answer in told} == {200}
    assert len({answer.text for answer in told}) == 1
    assert (await terminal.post("/api/station/permit", json=ask)).text == asked[0].text, "a reload asks again"
    async with plant.reading() as session:
        assert await session.driver.fetchval("SELECT count(*) FROM cycle WHERE unit_id IS NOT NULL") == 1
    text = (await clients["admin"].get("/metrics")).text
    assert 'mes_reports_total{station="GC1-020",verdict="passed"}' in text
    assert "mes_outbox_age_seconds" in text


async def test_a_refusal_says_why_and_what_clears_it(plant: Database, clients: dict[str, httpx.AsyncClient]) -> None:
    await build.stock(plant)
    module = (await build.order(plant))["M16S7P"][0]
    ask = {"station": "GC1-040", "cycle": "t-1", "asker": "terminal 40", "serial": module}
    answer = (await clients["operator"].post("/api/station/permit", json=ask)).json()
    assert not answer["granted"]
    assert [(r["code"], r["clears"]) for r in answer["refusals"]] == [
        ("predecessor_missing", "Do the missing step; next is 020.")
    ]


async def test_the_doors_are_closed(plant: Database, clients: dict[str, httpx.AsyncClient]) -> None:
    for path in ("/health", "/ready", "/metrics", "/api/openapi.json", "/api/line", "/api/orders", "/nowhere"):
        answer = await clients["nobody"].get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "Unauthorized"), path
    wrong = await clients["nobody"].get("/health", headers={"Authorization": "Bearer mes_wrong"})
    assert wrong.status_code == 401
    contain = await clients["operator"].post("/api/containments", json={"lot": "X", "reason": "because"})
    assert (contain.status_code, contain.json()["code"]) == (403, "Forbidden")
    assert "quality" in contain.json()["detail"]
    assert (await clients["station"].get("/api/orders")).status_code == 403
    assert (await clients["quality"].get("/api/trace/GHOST")).json()["code"] == "NotFound"


async def test_wrong_bodies_are_answered_with_every_error(clients: dict[str, httpx.AsyncClient]) -> None:
    door = clients["station"]
    torn = await door.post("/api/station/report", content=b'{"station": "GC1-020", "cycle": ')
    assert torn.status_code == 422
    wrong = await door.post("/api/station/report", json={"station": "a b", "verdict": "maybe", "values": {"x": [{}]}})
    problem = wrong.json()
    assert wrong.headers["content-type"] == "application/problem+json"
    assert (problem["status"], problem["code"]) == (422, "Malformed")
    assert {"station", "verdict", "cycle", "serial"} <= {error["at"] for error in problem["errors"]}
    large = await door.post("/api/station/report", content=b" " * (Settings().max_body_bytes + 1))
    assert (large.status_code, large.json()["code"]) == (413, "TooLarge")


async def test_the_document_describes_the_door_with_examples_that_work(
    plant: Database, clients: dict[str, httpx.AsyncClient]
) -> None:
    document = (await clients["admin"].get("/api/openapi.json")).json()
    for path, examples in (("/api/station/permit", PERMIT_EXAMPLES), ("/api/station/report", REPORT_EXAMPLES)):
        described = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert described["examples"] == examples
        name = described["schema"]["$ref"].rpartition("/")[2]
        assert name in document["components"]["schemas"]
        for example in examples.values():
            answer = await clients["station"].post(path, json=example["value"])
            assert answer.status_code in {200, 422}, answer.text
            if answer.status_code == 422:  # understood as a message; its units are not known in this plant
                assert {error["at"] for error in answer.json()["errors"]} <= {"serial", "tool"}
