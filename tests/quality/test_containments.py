"""Containments with a question: exact when they are opened, and asked of whatever comes until they are closed."""

import random
from datetime import timedelta
from typing import Any

import httpx
import pytest

from mes import clock
from mes.actor import Role
from mes.app import make_app
from mes.db import Database
from mes.errors import Malformed, NotFound
from mes.find.language import parse
from mes.people.messages import KeyRequest
from mes.people.service import create_key
from mes.quality.containments import close_containment, contain_fitting, hold_arrivals, list_containments
from mes.quality.messages import Arrivals, CloseRequest, ContainRequest, ReleaseRequest
from mes.quality.service import release_containment
from mes.records.audit import audit
from mes.settings import Settings
from mes.watch import ArrivalsWatch
from tests.build import charted, small
from tests.build import line as build
from tests.conftest import ADMIN, server_url, statements_of
from tests.find.histories import make, question

SPC = {"chart": "i_mr"}


async def ask(database: Database, asked: str, **more: Any) -> int:
    """Contain what a question fits; the containment's number."""
    message = ContainRequest(question=asked, reason="bad slurry", **more)
    return (await contain_fitting(database, message, build.QUALITY)).containment


async def held(database: Database, containment: int) -> set[str]:
    """The units and lots that a containment holds now."""
    async with database.reading() as session:
        rows = await session.driver.fetch(
            "SELECT coalesce(u.serial, l.number) FROM hold h LEFT JOIN unit u ON u.id = h.unit_id "
            "LEFT JOIN lot l ON l.id = h.lot_id WHERE h.containment_id = $1 AND h.released_at IS NULL",
            containment,
        )
    found = [row[0] for row in rows]
    assert len(found) == len(set(found)), "nothing is held twice"
    return set(found)


@pytest.mark.parametrize("seed", range(2))
async def test_what_is_held_is_what_the_model_says(database: Database, seed: int) -> None:
    """Over-recall 0 and under-recall 0: of the certain, and of those the record can't clear."""
    chance, model = random.Random(100 + seed), await make(database, seed)
    sizes = []
    for _ in range(20):
        asked = question(chance, model)
        number = await ask(database, asked)
        certain, possible = model.ask(parse(asked), None)
        units = {name for name in await held(database, number) if name in model.pieces}
        assert units == possible, asked
        sizes.append(len(certain))
        async with database.reading() as session:
            (told,) = [one for one in await list_containments(session, open_only=True) if one.containment == number]
        assert (told.affected, told.later) == (len(possible), 0)
    assert sum(0 < size < len(model.pieces) for size in sizes) >= 8


async def test_a_result_that_fits_is_held_as_it_is_recorded(database: Database) -> None:
    units = await charted.make(database, SPC, quantity=6)
    names = list(units)
    await charted.measure(database, units, [9.5, 12.5])
    number = await ask(database, "station = ST-10 and value width_mm above 12")
    assert await held(database, number) == {names[1]}
    await charted.measure(database, units, [9.5, 12.1, 10.0])
    assert await held(database, number) == {names[1], names[3]}
    async with database.reading() as session:
        (told,) = await list_containments(session, open_only=True)
        assert not any((await audit(session)).values())
    assert (told.affected, told.held, told.later, told.places) == (1, 2, 1, {"finished": 1})
    assert told.question == "passed (station = ST-10 and value width_mm above 12.0)"


async def test_what_was_released_is_not_held_again_and_closed_is_closed(database: Database) -> None:
    units = await charted.make(database, SPC, quantity=6)
    names = list(units)
    await charted.measure(database, units, [12.5])
    number = await ask(database, "value width_mm above 12", release_roles=["quality"])
    signed = ReleaseRequest(containment=number, reason="looked at")
    assert (await database.transact(release_containment, signed, build.QUALITY)).released == 1
    await database.transact(hold_arrivals, Arrivals(containment=number), ADMIN)
    assert await held(database, number) == set()
    await charted.measure(database, units, [12.6])
    assert await held(database, number) == {names[1]}
    closed = await database.transact(close_containment, CloseRequest(containment=number, reason="cured"), build.QUALITY)
    assert (closed.held, closed.closed_by, closed.close_reason) == (1, build.QUALITY.name, "cured")
    await charted.measure(database, units, [12.7])
    assert await held(database, number) == {names[1]}, "what is held stays held, what comes isn't"
    for act, message in (
        (close_containment, CloseRequest(containment=number, reason="again")),
        (hold_arrivals, Arrivals(containment=number)),
    ):
        with pytest.raises(NotFound):
            await database.transact(act, message, build.QUALITY)
    async with database.reading() as session:
        assert await list_containments(session, open_only=True) == []
        assert len(await list_containments(session, open_only=False)) == 1


async def test_what_is_received_or_split_off_later_is_held(database: Database) -> None:
    await small.make(database)
    await small.cells(database, "C1", 4)
    await small.lot(database, "G6", "GLUE")
    number = await ask(database, "supplier = Acme")
    watch = ArrivalsWatch(database)
    await watch.turn()
    before = await held(database, number)
    small_cells = await small.cells(database, "C2", 8)
    await small.lot(database, "G7", "GLUE")
    await watch.turn()
    assert await held(database, number) - before == {"G7", "C2", *small_cells}
    async with database.reading() as session:
        acts = await session.driver.fetchval("SELECT count(*) FROM act WHERE name = 'quality.hold_arrivals'")
    await watch.turn()
    async with database.reading() as session:
        again = await session.driver.fetchval("SELECT count(*) FROM act WHERE name = 'quality.hold_arrivals'")
    assert again == acts, "nothing came, nothing is written"


async def test_a_question_that_nothing_fits_yet_waits_and_a_wrong_one_is_refused(database: Database) -> None:
    units = await charted.make(database, SPC, quantity=2)
    names = list(units)
    number = await ask(database, "tool = T2 and not operator = bo")
    assert await held(database, number) == set()
    await charted.measure(database, units, [10.0], tool="T2", operator="bo")
    await charted.measure(database, units, [10.0], tool="T2", operator="al")
    assert await held(database, number) == {names[1]}
    with pytest.raises(Malformed):
        await ask(database, "tool = T9")


async def test_however_many_are_held_by_as_many_statements(database: Database) -> None:
    """Stations wait for as long as the act holds them: it must not take a statement a unit."""
    units = await charted.make(database, SPC, quantity=1_000)
    counts = []
    for asked in (f"serial = {units[0]}", "order = WO-1"):
        async with database.reading() as session:
            await session.driver.fetchval("SELECT 1")
        sent = statements_of(database)
        number = await ask(database, asked)
        counts.append(len(sent))
    assert len(await held(database, number)) == 1_000
    assert abs(counts[1] - counts[0]) <= 2, counts


async def test_who_may_and_what_is_shown(database: Database, database_name: str) -> None:
    units = await charted.make(database, SPC, quantity=3)
    await charted.measure(database, units, [12.5])
    gate: Any = make_app(Settings(), server_url(database_name))
    keys = {
        role: (await database.transact(create_key, KeyRequest(name=f"k-{role}", role=role), ADMIN)).key
        for role in (Role.OPERATOR, Role.QUALITY)
    }
    until = clock.now() + timedelta(hours=1)
    body = {"question": f"at 2026-01-01T00:00Z..{until.isoformat()}", "reason": "bad slurry"}
    async with (
        gate.app.app.router.lifespan_context(gate.app.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://mes") as client,
    ):
        for role, status in ((Role.OPERATOR, 403), (Role.QUALITY, 201)):
            headers = {"Authorization": f"Bearer {keys[role]}"}
            answer = await client.post("/api/containments", json=body, headers=headers)
            assert answer.status_code == status, answer.text
        (listed,) = (await client.get("/api/containments", headers=headers)).json()
        assert (listed["held"], listed["affected"]) == (1, 1)
        closing = {"containment": listed["containment"], "reason": "cured"}
        assert (await client.post("/api/containments/close", json=closing, headers=headers)).status_code == 200
        assert (await client.get("/api/containments", headers=headers)).json() == []


async def test_from_the_preview_to_the_hold_on_pages(database: Database, database_name: str) -> None:
    units = await charted.make(database, SPC, quantity=3)
    name = units[0]
    await charted.measure(database, units, [12.5])
    gate: Any = make_app(Settings(), server_url(database_name))
    keys = {
        role: (await database.transact(create_key, KeyRequest(name=f"k-{role}", role=role), ADMIN)).key
        for role in (Role.OPERATOR, Role.QUALITY)
    }
    page = {"Accept": "text/html"}
    async with (
        gate.app.app.router.lifespan_context(gate.app.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://mes", headers=page) as client,
    ):
        bearer = {role: {"Authorization": f"Bearer {key}"} for role, key in keys.items()}
        asked = {"question": "value width_mm above 12"}
        preview = await client.get("/affected", params=asked, headers=bearer[Role.QUALITY])
        assert "Hold 1 units" in preview.text
        assert "Hold 1 units" not in (await client.get("/affected", params=asked, headers=bearer[Role.OPERATOR])).text
        form = asked | {"reason": "bad slurry"}
        assert (await client.post("/containments", data=form, headers=bearer[Role.OPERATOR])).status_code == 403
        assert (await client.post("/containments", data=form, headers=bearer[Role.QUALITY])).status_code == 303
        assert await held(database, 1) == {name}
        listed = (await client.get("/containments", headers=bearer[Role.QUALITY])).text
        assert "Held now: 1." in listed
        closing = {"containment": 1, "reason": "cured"}
        assert (await client.post("/containments/close", data=closing, headers=bearer[Role.QUALITY])).status_code == 303
        assert "Closed by" in (await client.get("/containments", headers=bearer[Role.QUALITY])).text
