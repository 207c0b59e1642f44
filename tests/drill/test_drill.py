"""Drills: exact on histories with rework, kept with those before, and not blind to a list that is wrong."""

import asyncio
from pathlib import Path
from typing import get_args

import pytest

from mes.db import Database
from mes.drill.messages import Kind
from mes.drill.queries import list_drills
from mes.drill.service import NothingToDrill, run_drill
from mes.find import service
from mes.find.messages import Found
from tests.build import line as build
from tests.conftest import server_url
from tests.find.histories import make
from tests.journeys.processes import typed


async def test_lists_are_exact_and_kept(database: Database) -> None:
    await make(database, 3)
    await build_finished(database)
    for kind in get_args(Kind):
        for seed in range(4):
            answer = await run_drill(database, kind, build.QUALITY, seed)
            assert answer.is_exact, answer
            assert (answer.kind, answer.drilled_by) == (kind, build.QUALITY.name)
    async with database.reading() as session:
        kept = await list_drills(session)
    assert [one.drill for one in kept] == list(range(12, 0, -1))
    assert any(one.affected > 5 for one in kept)


async def build_finished(database: Database) -> None:
    """Let some modules be finished."""
    async with database._session(read_only=False) as (_, driver):
        await driver.execute("UPDATE unit SET state = 'finished' WHERE serial LIKE 'M%'")


async def test_a_list_that_lacks_a_unit_is_caught(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await make(database, 3)
    whole = service.find

    async def forgetful(*what: object, **more: object) -> Found:
        found = await whole(*what, **more)  # type: ignore[arg-type]
        return found.model_copy(update={"units": [one for one in found.units if one.basis != "unknown"][1:]})

    monkeypatch.setattr("mes.drill.service.find", forgetful)
    answer = await run_drill(database, "lot", build.QUALITY, 1)
    assert (len(answer.missing), answer.surplus, answer.is_exact) == (1, [], False)


async def test_nothing_to_drill_is_said_and_the_command_shows_those_before(
    database: Database, database_name: str, tmp_path: Path
) -> None:
    for kind in get_args(Kind):
        with pytest.raises(NothingToDrill):
            await run_drill(database, kind, build.QUALITY)
    await make(database, 1)
    here = {"url": server_url(database_name), "folder": tmp_path}
    for kind in ("lot", "station"):
        shown = await asyncio.to_thread(typed, "drill", kind, "--seed", "2", **here)
        assert shown.returncode == 0, shown.stderr
    assert "that are allowed" in shown.stdout
    assert "lot" in shown.stdout.rpartition("drill")[2], "the one before stands below"
