"""Questions: read and printed, and answered as an independent model in memory answers them."""

import asyncio
import random
import typing
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes.actor import Role
from mes.app import make_app
from mes.db import Database
from mes.errors import Malformed
from mes.find.language import OF_CYCLES, OF_UNITS, All, Any, Not, Passed, Period, Term, Value, normal, parse, show
from mes.find.service import find
from mes.people.messages import KeyRequest
from mes.people.service import create_key
from mes.settings import Settings
from tests.conftest import ADMIN, server_url
from tests.find.histories import HOUR, START, make, question
from tests.journeys.processes import typed

LETTERS = st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters='"').filter(str.isprintable)
WORDS = st.text(LETTERS, min_size=1, max_size=12)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
MOMENTS = st.integers(0, 10**9).map(lambda seconds: START + timedelta(seconds=seconds))
TERMS_OF_CYCLES = st.one_of(
    st.builds(Term, st.sampled_from([f for f in OF_CYCLES if f not in ("verdict", "article")]), st.tuples(WORDS)),
    st.builds(Term, st.just("verdict"), st.just(("failed",))),
    st.tuples(MOMENTS, MOMENTS).map(lambda both: Period(*sorted(both))),
    st.builds(Value, WORDS, st.sampled_from(["outside", "inside"]), FINITE, FINITE),
    st.builds(Value, WORDS, st.just("outside"), st.none(), FINITE),
)


def _grown(leaves: st.SearchStrategy) -> st.SearchStrategy:  # type: ignore[type-arg]
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
            st.builds(Any, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        ),
        max_leaves=6,
    )


OF_UNIT = st.builds(Term, st.sampled_from(OF_UNITS), st.lists(WORDS, min_size=1, max_size=3, unique=True).map(tuple))
QUESTIONS = _grown(st.one_of(OF_UNIT, TERMS_OF_CYCLES, st.builds(Passed, _grown(TERMS_OF_CYCLES))))


@given(QUESTIONS)
def test_what_is_printed_is_read_as_the_same(asked: object) -> None:
    question_ = normal(asked)  # type: ignore[arg-type]
    assert parse(show(question_)) == question_


@given(st.text(max_size=60))
def test_whatever_is_typed_is_read_or_said_to_be_wrong(typed: str) -> None:
    try:
        asked = parse(typed)
    except Malformed:
        return
    assert parse(show(asked)) == asked


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("station = A and not operator = bo", "passed (station = A and not operator = bo)"),
        ("not station = A and part = P", "part = P and not passed (station = A)"),
        ("station = A or lot = L or tool = T", "lot = L or passed (station = A or tool = T)"),
        ("passed (station = A) and passed (station = B)", "passed (station = A) and passed (station = B)"),
    ],
)
def test_bare_terms_of_cycles_are_gathered(typed: str, understood: str) -> None:
    assert show(parse(typed)) == understood


@pytest.mark.parametrize(
    ("typed", "read", "expected"),
    [
        ("lot = ", "the end", "a value of lot"),
        ("lot L-7", "L-7 at character 5", "= or in (...) after lot"),
        ("station = A B", "B at character 13", "and, or, or the end"),
        ("passed (lot = L)", "lot = L", "of a cycle alone"),
        ("at 2026-11-20..2026-11-21", "2026-11-20 at character 4", "a moment with its zone"),
        ("value x outside 1..wide", "wide at character 20", "a number"),
        ("colour = red", "colour at character 1", "serial, part, order"),
        ("(" * 40 + "lot = L" + ")" * 40, "( at character 14", "at most 12 levels"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(typed: str, read: str, expected: str) -> None:
    with pytest.raises(Malformed) as raised:
        parse(typed)
    (one,) = raised.value.errors
    assert one["read"] == read
    assert expected in one["expected"]


@pytest.mark.parametrize("seed", range(3))
async def test_the_answer_is_that_of_the_model(database: Database, seed: int) -> None:
    chance, model = random.Random(seed), await make(database, seed)
    sizes = []
    async with database.reading() as session:
        for _ in range(120):
            asked = question(chance, model)
            as_of = chance.choice([None, START + chance.randint(0, 130) * HOUR])
            found = await find(session, asked, as_of)
            certain, possible = model.ask(parse(asked), as_of)
            told = {unit.serial: unit.basis for unit in found.units}
            assert {serial for serial, basis in told.items() if basis != "unknown"} == certain, (asked, as_of)
            assert set(told) == possible, (asked, as_of)
            assert (found.affected, found.unknown) == (len(possible), len(possible - certain))
            assert bool(found.gaps) >= (found.unknown > 0)
            sizes.append((len(certain), len(possible)))
    assert sum(0 < certain < len(model.pieces) for certain, _ in sizes) > 60
    assert sum(certain < possible for certain, possible in sizes) > 20, "of many something isn't known"


async def test_a_name_that_nobody_knows_is_no_empty_answer(database: Database) -> None:
    await make(database, 1)
    async with database.reading() as session:
        with pytest.raises(Malformed) as raised:
            await find(session, "lot = L9 or (station = ST-99 and value torque above 1)")
    assert {(one["at"], one["read"]) for one in raised.value.errors} == {
        ("lot", "L9"),
        ("station", "ST-99"),
        ("value", "torque"),
    }


async def test_grounds_and_lots_are_told(database: Database) -> None:
    model = await make(database, 2)
    async with database.reading() as session:
        of_glue = await find(session, "lot = G1")
        of_cells = await find(session, "lot = L1")
    users = {name for name, piece in model.pieces.items() if any(lot == "G1" for lot, *_ in piece.used)}
    assert {unit.serial for unit in of_glue.units if unit.basis == "lot"} == users
    assert of_glue.lots == ["G1"]
    by_cell = {unit.serial for unit in of_cells.units if unit.basis == "position"}
    inside = {
        name for piece in model.pieces.values() if piece.lot == "L1" for name, _, until in piece.inside if until is None
    }
    assert by_cell >= inside
    assert sum(of_cells.places.values()) == sum(unit.place != "inside" for unit in of_cells.units)


@pytest.fixture
async def client(database: Database, database_name: str) -> AsyncIterator[httpx.AsyncClient]:
    gate: typing.Any = make_app(Settings(), server_url(database_name))
    key = (await database.transact(create_key, KeyRequest(name="q", role=Role.QUALITY), ADMIN)).key
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/html"}
    async with (
        gate.app.app.router.lifespan_context(gate.app.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://mes", headers=headers) as asking,
    ):
        yield asking


async def test_a_question_on_a_page_over_http_and_at_the_command(
    database: Database, client: httpx.AsyncClient, database_name: str, tmp_path: Path
) -> None:
    await make(database, 2)
    asked = {"question": "lot = G1 and part = MOD"}
    told = (await client.get("/api/affected", params=asked, headers={"Accept": "application/json"})).json()
    assert told["affected"] > 1
    shown = await client.get("/affected", params=asked)
    assert f"{told['affected']} affected" in shown.text
    assert f'href="/trace/{told["units"][0]["serial"]}"' in shown.text
    wrong = await client.get("/affected", params={"question": "lot = G9"})
    assert (wrong.status_code, "expected a lot that the record knows" in wrong.text) == (422, True)
    assert "How to ask" in (await client.get("/affected")).text
    here = {"url": server_url(database_name), "folder": tmp_path}
    listed = await asyncio.to_thread(typed, "find", asked["question"], "--csv", **here)
    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) == told["affected"] + 1
    table = await asyncio.to_thread(typed, "find", asked["question"], "--as-of", "2026-11-01T00:00:00", **here)
    assert "0 units are affected: nothing" in table.stdout
