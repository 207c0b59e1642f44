"""The stream over HTTP: batches of CloudEvents, waiting for the next, what is gone, who may."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cloudevents.core.formats.json import JSONFormat

from mes import app as application
from mes import clock
from mes.actor import Role
from mes.app import make_app
from mes.db import Database
from mes.events.keeping import purge_old
from mes.settings import Settings
from tests.conftest import server_url
from tests.events.telling import KEY, Note, relay_all, stream, tell, tell_numbers
from tests.web.conftest import NewKey


@pytest.fixture
async def client(plant_name: str, new_key: NewKey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator, asking the application; what is told is relayed by the test alone."""
    monkeypatch.setattr(application, "RELAY_EVERY_S", 3600)
    gate: Any = make_app(Settings(event_key=KEY, enterprise="acme"), server_url(plant_name))
    headers = {"Authorization": f"Bearer {await new_key(Role.ADMIN)}"}
    async with gate.app.app.router.lifespan_context(gate.app.app):
        transport = httpx.ASGITransport(gate)
        async with httpx.AsyncClient(transport=transport, base_url="http://mes", headers=headers) as made:
            yield made


async def newest(client: httpx.AsyncClient) -> int:
    return int((await client.get("/api/events", params={"limit": 1})).headers["X-Events-Newest"])


async def test_a_batch_is_cloud_events_and_says_how_to_go_on(plant: Database, client: httpx.AsyncClient) -> None:
    await relay_all(plant)
    start = await newest(client)
    await tell_numbers(plant, 3)
    await tell(plant, Note(topic="cycle", station="GC1-020", serial="M7-1"))
    answer = await client.get("/api/events", params={"after": start, "topic": ["note", "cycle"], "limit": 2})
    assert answer.headers["content-type"] == "application/cloudevents-batch+json"
    batch = answer.json()
    assert [event["data"]["number"] for event in batch] == [1, 2]
    assert answer.headers["X-Events-Next"] == batch[-1]["id"]
    assert int(answer.headers["X-Events-Newest"]) == start + 4
    for event in batch:
        read = JSONFormat().read(None, json.dumps(event))
        assert (read.get_specversion(), read.get_type()) == ("1.0", "com.packmes.note")
    following = {"after": answer.headers["X-Events-Next"], "topic": "cycle"}
    (cycle,) = (await client.get("/api/events", params=following)).json()
    assert cycle["source"].startswith("/acme/")
    assert cycle["source"].endswith("/GC1-020")
    assert cycle["subject"] == "M7-1"


async def test_a_reader_waits_for_the_next_and_is_told_at_once(plant: Database, client: httpx.AsyncClient) -> None:
    await relay_all(plant)
    start = await newest(client)
    asked = {"after": start, "wait_s": 25, "topic": "note"}
    waiting = asyncio.create_task(client.get("/api/events", params=asked))
    await tell(plant, Note(topic="other"))
    async with asyncio.timeout(15):
        while not waiting.done():  # whenever it began to wait, the next telling wakes it
            await tell_numbers(plant, 1)
    assert waiting.result().json()[0]["data"]["number"] == 1


async def test_nothing_new_is_an_empty_batch(plant: Database, client: httpx.AsyncClient) -> None:
    await relay_all(plant)
    start = await newest(client)
    answer = await client.get("/api/events", params={"after": start, "wait_s": 0.05})
    assert (answer.status_code, answer.json(), answer.headers["X-Events-Next"]) == (200, [], str(start))


async def test_what_is_gone_and_what_never_was_are_said(plant: Database, client: httpx.AsyncClient) -> None:
    await tell_numbers(plant, 2)
    end = (await stream(plant))[-1].id
    ahead = await client.get("/api/events", params={"after": end + 1})
    assert (ahead.status_code, ahead.json()["code"]) == (409, "StreamRestored")
    with clock.held(clock.now() + timedelta(days=40)):
        await tell_numbers(plant, 1)
        await purge_old(plant, Settings())
    gone = await client.get("/api/events", params={"after": end - 1})
    assert (gone.status_code, gone.json()["code"]) == (410, "EventsGone")
    assert gone.json()["errors"] == [{"at": "after", "read": str(end - 1), "expected": f"at least {end}"}]
    assert f"after={end}" in gone.json()["detail"]
    assert len((await client.get("/api/events", params={"after": end})).json()) == 1
    assert len((await client.get("/api/events")).json()) == 1


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [
        (Role.STATION, "/api/events", 200),
        (Role.OPERATOR, "/api/events", 200),
        (Role.STATION, "/api/events/subscriptions", 403),
        (Role.OPERATOR, "/api/events/subscriptions", 200),
    ],
)
async def test_machines_read_events_and_people_see_who_is_brought_them(
    client: httpx.AsyncClient, new_key: NewKey, role: Role, path: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {await new_key(role)}"}
    assert (await client.get(path, headers=headers)).status_code == status


async def test_administrators_subscribe_list_and_remove(client: httpx.AsyncClient, new_key: NewKey) -> None:
    hook = {"name": "erp", "address": "https://127.0.0.1:1/x", "topics": ["cycle", "hold"]}
    made = await client.post("/api/events/subscriptions/webhooks", json=hook)
    assert made.status_code == 201, made.text
    assert made.json()["secret"].startswith("whsec_")
    broker = {"name": "uns", "address": "mqtts://127.0.0.1:1", "prefix": "acme/eu"}
    assert (await client.post("/api/events/subscriptions/brokers", json=broker)).status_code == 201
    listed = await client.get("/api/events/subscriptions")
    assert [one["name"] for one in listed.json()] == ["erp", "uns"]
    assert "secret" not in listed.text
    assert 'mes_subscription_waiting{subscription="erp"}' in (await client.get("/metrics")).text
    headers = {"Authorization": f"Bearer {await new_key(Role.QUALITY)}"}
    assert (await client.delete("/api/events/subscriptions/erp", headers=headers)).status_code == 403
    assert (await client.delete("/api/events/subscriptions/erp")).status_code == 204
    assert (await client.delete("/api/events/subscriptions/erp")).status_code == 404


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("webhooks", "http://example.org/x"),
        ("webhooks", "https://user:pass@example.org/x"),
        ("webhooks", "ftp://example.org/x"),
        ("webhooks", "https://example.org:99999/x"),
        ("brokers", "mqtt://example.org"),
        ("brokers", "mqtts://user:pass@example.org"),
    ],
)
async def test_an_address_that_is_not_safe_is_refused(client: httpx.AsyncClient, kind: str, address: str) -> None:
    more = {"prefix": "acme"} if kind == "brokers" else {}
    answer = await client.post(f"/api/events/subscriptions/{kind}", json={"name": "x", "address": address, **more})
    assert answer.status_code == 422
