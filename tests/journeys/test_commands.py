"""From a supplier's lot to kits by commands alone, as a new user types them."""

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from mes import clock
from tests.build import matched
from tests.conftest import server_url
from tests.journeys.processes import typed

COUNT = 60


@pytest.fixture
async def plant(database_name: str, tmp_path: Path) -> str:
    """A plant that grades and matches, applied by nothing but its file; its database's address."""
    said = matched.plant().model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    (tmp_path / "plant.yaml").write_text(yaml.safe_dump(said))
    return server_url(database_name)


def files(folder: Path) -> None:
    """What a supplier and a test bench send."""
    chance = random.Random(4)
    cells = [(f"C{n:03}", chance.gauss(2.2, 0.04), chance.gauss(15.25, 0.06)) for n in range(COUNT)]
    lot = [f"{name},B{n // 12},3.265,{acir:.3f},{ah:.3f}" for n, (name, acir, ah) in enumerate(cells)]
    (folder / "cells.csv").write_text("\n".join(["Serial,Carton,OCV,ACIR,Ah", *lot]))
    began = clock.now() - timedelta(days=3)
    rows = ["serial,tested_at,ocv_v,acir_mohm,temperature_c,visual_ok"]
    for hours in (0, 48):
        at = (began + timedelta(hours=hours)).isoformat()
        rows += [f"{name},{at},3.265,{acir:.3f},25.0,true" for name, acir, _ in cells]
    (folder / "readings.csv").write_text("\n".join(rows))
    (folder / "un383.pdf").write_bytes(b"%PDF-1.7 summary")


def test_from_the_truck_to_kits(plant: str, tmp_path: Path) -> None:
    files(tmp_path)

    def mes(*words: str, fails: bool = False) -> str:
        ran = typed(*words, url=plant, folder=tmp_path)
        assert (ran.returncode != 0) is fails, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    def answer(*words: str) -> Any:
        return json.loads(mes(*words, "--json"))

    mes("apply", "plant.yaml")
    origin = ("--lot", "L1", "--part", "CELL", "--supplier", "Acme", "--supplier-lot", "S7", "--country", "CN")
    mes("receive", "cells.csv", *origin, "--document", "un383_test_summary=un383.pdf")
    mes("orders", "create", "WO-1", "PACK", "2")
    assert answer("orders", "release", "WO-1")["state"] == "released"
    mes("cells", "test", "readings.csv")
    graded = answer("cells", "grade", "L1")
    assert (graded["graded"], graded["refused"]) == (COUNT, 0)
    assert "lot L1 is quarantined" in mes("kits", "match", "WO-1")
    assert answer("lots", "release", "L1", "--reason", "Checked at the dock.")["state"] == "released"
    made = answer("kits", "match", "WO-1")
    assert len(made["kits"]) == 2
    assert "between groups" in mes("kits", "show", made["kits"][0]["unit"])
    assert [one["state"] for one in answer("orders", "list")] == ["released"]
    assert "rejected" in mes("lots", "reject", "L1", "--reason", "Sent back.")
    assert "NOPE" in mes("orders", "release", "NOPE", fails=True)
    assert answer("orders", "cancel", "WO-1", "--reason", "The customer went away.")["state"] == "cancelled"
