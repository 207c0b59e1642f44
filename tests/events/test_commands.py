"""The commands `mes events`, as typed, on a real database."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import asyncpg

from mes.db import Database
from tests.conftest import server_url
from tests.events.telling import KEY, relay_all, tell_numbers


def typed(*words: str, name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Type a command; its secrets lie in a folder."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MES_")}
    environment |= {"MES_DATABASE_URL": server_url(name), "MES_SECRETS_DIR": str(folder), "COLUMNS": "200"}
    command = [sys.executable, "-m", "mes.cli", "events", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


async def test_subscribe_list_tail_remove(database: Database, database_name: str, tmp_path: Path) -> None:
    def mes(*words: str) -> str:
        done = typed(*words, name=database_name, folder=tmp_path)
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
    said = typed("subscribe-webhook", "http://erp.example.org/in", name="none", folder=tmp_path)
    assert said.returncode == 1
    assert "expected https://" in said.stderr
