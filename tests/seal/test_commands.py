"""`mes seal` and `mes verify` as typed."""

import json
from pathlib import Path

from mes.db import Database
from mes.seal.sealer import Sealer
from tests.conftest import server_url
from tests.journeys.processes import typed
from tests.seal.tampering import superuser


async def test_key_anchor_verify(plant: Database, plant_name: str, tmp_path: Path) -> None:
    def mes(*words: str, status: int = 0) -> str:
        done = typed(*words, url=server_url(plant_name), folder=tmp_path, MES_SECRETS_DIR=str(tmp_path))
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    assert "MES_SEAL_KEY" in mes("seal", "anchor", status=1)
    (tmp_path / "mes_seal_key").write_text("5e" * 32)
    assert "Nothing is sealed yet" in mes("seal", "anchor", status=1)
    assert "rows are not sealed yet" in mes("verify")
    await Sealer(plant).turn()
    public, anchor = tmp_path / "public.pem", tmp_path / "anchor.json"
    mes("seal", "key", "--out", str(public))
    mes("seal", "anchor", "--out", str(anchor))
    assert json.loads(anchor.read_text())["seal"] == 1
    said = mes("verify", "--anchor", str(anchor), "--public-key", str(public))
    assert "Fits: " in said
    assert "The anchor of " in said
    owner = await superuser(plant_name)
    await owner.execute("UPDATE station SET code = 'GC1-999' WHERE code = 'GC1-070'")
    await owner.close()
    assert "DOESN'T FIT  station: row id " in mes("verify", status=1)
    anchor.write_text(anchor.read_text().replace('"seal": 1', '"seal": 2'))
    assert "was not signed" in mes("verify", "--anchor", str(anchor), status=1)
    anchor.write_text("{}")
    assert "anchor.json" in mes("verify", "--anchor", str(anchor), status=1)
