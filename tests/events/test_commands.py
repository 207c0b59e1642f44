"""The commands `mes events`, as typed, on a real database."""

import json
import re
from pathlib import Path

import asyncpg

from mes.db import Database
from tests.conftest import server_url
from tests.events.telling import KEY, relay_all, tell_numbers
from tests.journeys.processes import typed


async def test_subscribe_list_tail_remove(database: Database, database_name: str, tmp_path: Path) -> None:
    def mes(*words: str) -> str:
        done = typed("events", *words, url=server_url(database_name), folder=tmp_path, MES_SECRETS_DIR=str(tmp_path))
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "mes_event_key").write_text(KEY)
    (tmp_path / "mes_mqtt_logins").write_text('{"uns": "mes:sesame"}')
    made = mes("subscribe-webhook", "https://erp.example.org/in", "--topics", "cycle,hold")
    assert re.search(r"shown this once: whsec_\S{40,}", made)
    mes("subscribe-mqtt", "mqtts://broker.example.org:8883", "--prefix", "acme", "--name", "uns")
    await tell_numbers(database, 2)
    found = {one["name"]: one for one in json.loads(mes("list", "--json"))}
    assert found["erp.example.org"]["topics"] == ["cycle", "hold"]
    assert (found["uns"]["prefix"], found["uns"]["waiting"]) == ("acme", 4)
    assert "erp.example.org" in mes("list")
    lines = [json.loads(line) for line in mes("tail", "--once", "--topics", "note").splitlines()]
    assert [line["data"]["number"] for line in lines] == [1, 2]
    mes("remove", "uns")
    assert [one["name"] for one in json.loads(mes("list", "--json"))] == ["erp.example.org"]
    connection = await asyncpg.connect(server_url(database_name).replace("+asyncpg", ""))
    try:
        acts = await connection.fetch("SELECT name, act::text AS whole FROM act WHERE name LIKE 'events.%subscribe%'")
        assert [act["name"] for act in acts] == [
            "events.subscribe_webhook",
            "events.subscribe_broker",
            "events.unsubscribe",
        ]
        assert not any("whsec_" in act["whole"] or "sesame" in act["whole"] for act in acts)
    finally:
        await connection.close()
    await relay_all(database)


def test_a_wrong_address_is_a_sentence(tmp_path: Path) -> None:
    said = typed("events", "subscribe-webhook", "http://erp.example.org/in", url=server_url("none"), folder=tmp_path)
    assert said.returncode == 1
    assert "expected https://" in said.stderr
