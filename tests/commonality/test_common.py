"""What suspects share: against an outside opinion, and read from a record with a cause planted in it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from scipy.stats import fisher_exact

from mes import clock
from mes.actor import Role
from mes.app import make_app
from mes.commonality.messages import CommonalityAnswer, CommonalityRequest
from mes.commonality.rules import Factor, Kind, rank, regions
from mes.commonality.service import NothingToCompare, compare
from mes.db import Database
from mes.errors import Malformed
from mes.people.messages import KeyRequest
from mes.people.service import create_key
from mes.quality.messages import ContainRequest
from mes.quality.service import contain
from mes.settings import Settings
from tests.build import charted, small
from tests.build import line as build
from tests.conftest import ADMIN, server_url
from tests.journeys.processes import typed


def test_the_chance_is_fishers() -> None:
    suspects, good = range(12), range(12, 100)
    having = {Factor(Kind.TOOL, "T1"): {*range(9), *range(12, 40)}, Factor(Kind.TOOL, "T2"): {*range(9, 12), 80, 81}}
    found = {one.factors[0].name: one for one in rank(suspects, good, having)}
    for name, table in {"T1": [[9, 28], [3, 60]], "T2": [[3, 2], [9, 86]]}.items():
        expected = fisher_exact(table, "greater").pvalue
        assert found[name].p == pytest.approx(expected)
        assert found[name].corrected_p == pytest.approx(2 * expected)


def test_what_the_same_units_have_is_told_as_one_and_what_all_have_is_not() -> None:
    some, everyone = {0, 1, 2, 7}, set(range(40))
    having = {
        Factor(Kind.STATION, "10 at A"): some,
        Factor(Kind.TOOL, "A1"): some,
        Factor(Kind.OPERATOR, "bo"): everyone,
        Factor(Kind.LOT, "L1"): {0, 9},
    }
    (one,) = rank(range(3), range(3, 40), having)
    assert [factor.name for factor in one.factors] == ["10 at A", "A1"]
    assert (one.suspects, one.comparables) == (3, 1)
    assert one.corrected_p == pytest.approx(3 * one.p), "three kinds, one of each that can be told apart"


def test_a_region_begins_where_the_good_units_have_a_tail() -> None:
    values = {unit: float(unit) for unit in range(100)}
    found = regions("x", values, range(100), "V")
    assert len(found) == 6
    assert found[Factor(Kind.PARAMETER, "x below 9.9 V (lowest 10% of good units)")] == set(range(10))
    assert regions("x", values, range(19)) == {}, "too few to have tails"
    assert regions("x", dict.fromkeys(range(100), 1.0), range(100)) == {}


@pytest.fixture
async def widgets(database: Database) -> list[str]:
    """Sixty widgets, every fifth done with the tool T2; of the first ten of these the width is great."""
    serials = await charted.make(database, {"chart": "i_mr"}, quantity=62)
    made = list(serials)
    for n in range(60):
        tool, width = ("T2" if n % 5 == 0 else "T1"), (14.0 + n / 100 if n in {0, 5, 10, 15, 20, 25} else 9 + n / 100)
        await charted.measure(database, serials, [width], tool=tool, operator=f"op-{n % 3}")
    return made


async def ask(database: Database, serials: list[str], **more: Any) -> CommonalityAnswer:
    async with database.reading() as session:
        return await compare(session, CommonalityRequest(serials=serials, **more))


async def test_a_planted_cause_is_found_in_the_record(database: Database, widgets: list[str]) -> None:
    suspects = [widgets[n] for n in (0, 5, 10, 15, 20, 25)]
    answer = await ask(database, suspects)
    assert (answer.part, answer.suspects, answer.comparables) == ("WIDGET", 6, 54)
    first, second = answer.shared[:2]
    assert {factor.name for factor in (*first.factors, *second.factors)} >= {"T2"}
    tool = next(one for one in answer.shared if any(factor.name == "T2" for factor in one.factors))
    assert (tool.suspects, tool.comparables, tool.further, tool.stands_out) == (6, 6, 6, True)
    wide = [f.name for one in answer.shared for f in one.factors if one.stands_out and f.kind == "parameter"]
    assert any(name.startswith("greatest width_mm of 10 above") for name in wide), wide
    assert not any(f.kind == "operator" for one in answer.shared for f in one.factors if one.stands_out)
    assert answer.gaps == []


async def test_what_is_held_or_failed_is_no_good_unit(database: Database, widgets: list[str]) -> None:
    hold = ContainRequest(serials=widgets[30:34], reason="looked at by hand")
    await database.transact(contain, hold, build.QUALITY)
    assert (await ask(database, widgets[:2])).comparables == 60 - 2 - 4
    with pytest.raises(NothingToCompare, match="Only 14 good units"):
        await ask(database, widgets[:46])


async def test_who_is_named_must_be_known_and_of_one_part(database: Database, widgets: list[str]) -> None:
    with pytest.raises(Malformed) as raised:
        await ask(database, [widgets[0], "NOBODY"])
    assert raised.value.errors == [
        {"at": "serials", "read": "NOBODY (not known)", "expected": "a known unit of WIDGET, as the others"}
    ]
    with pytest.raises(Malformed, match="could not be understood"):
        await ask(database, [widgets[0], widgets[0]])


async def test_of_parts_in_others_the_place_is_compared(database: Database) -> None:
    """Cells: what they are in, where they sit there, what was used up there."""
    await small.make(database)
    await small.cells(database, "C1", 32)
    for glue in ("G1", "G2"):
        await small.lot(database, glue, "GLUE")
    with clock.held(clock.now()):
        issued = (await small.order(database, quantity=6, part="MOD"))["MOD"]
        for n, serial in enumerate(issued[:6]):
            await small.module(database, serial, small.c1(1 + 4 * n), "G1" if n % 2 else "G2", upto="30")
    suspects = [small.c1(2 + 4 * n, 1)[0] for n in range(6)]
    answer = await ask(database, suspects)
    names = [factor.name for factor in answer.shared[0].factors]
    assert names == ["position 2 of MOD"]
    shared = {factor.name for one in answer.shared for factor in one.factors}
    assert "positions 1 and 2 of MOD" in shared
    assert "10 at ST-10" in shared | {""}


@pytest.fixture
async def client(database: Database, database_name: str) -> AsyncIterator[httpx.AsyncClient]:
    gate: Any = make_app(Settings(), server_url(database_name))
    key = (await database.transact(create_key, KeyRequest(name="q", role=Role.QUALITY), ADMIN)).key
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/html"}
    async with (
        gate.app.app.router.lifespan_context(gate.app.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://mes", headers=headers) as asking,
    ):
        yield asking


async def test_on_a_page_over_http_and_at_the_command(
    database: Database, widgets: list[str], client: httpx.AsyncClient, database_name: str, tmp_path: Path
) -> None:
    suspects = [widgets[n] for n in (0, 5, 10, 15, 20, 25)]
    shown = await client.get("/common", params={"serials": " \n".join(suspects)})
    assert shown.status_code == 200
    assert "T2" in shown.text
    assert "stands out" in shown.text
    assert "<textarea" in (await client.get("/common")).text
    assert (await client.get("/common", params={"serials": "NOBODY W00001"})).status_code == 422
    told = await client.post("/api/commonality", json={"serials": suspects}, headers={"Accept": "application/json"})
    assert told.json()["shared"][0]["stands_out"] is True
    done = await asyncio.to_thread(typed, "common", *suspects, url=server_url(database_name), folder=tmp_path)
    assert (done.returncode, "T2" in done.stdout) == (0, True), done.stderr
