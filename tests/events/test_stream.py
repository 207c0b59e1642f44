"""The stream: one order for every reader, nothing missed or seen twice, kept as long as it must be."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from structlog.testing import capture_logs

from mes import clock
from mes.db import Database
from mes.events.keeping import purge_old
from mes.events.messages import Delivery, Purge
from mes.events.queries import stream_ends
from mes.events.service import purge_events, record_delivery
from mes.settings import Settings
from tests.build import line as build
from tests.conftest import ADMIN, server_url
from tests.events.telling import Note, note, relay_all, stream, subscribe, subscription, tell, tell_numbers

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def test_events_come_in_the_order_of_their_telling_with_their_station(plant: Database) -> None:
    module = (await build.order(plant))["M16S7P"][0]
    assert (await build.permit(plant, "GC1-020", module)).granted
    await build.report(plant, "GC1-020", module)
    await tell(plant, Note(topic="move", serial=module), Note(topic="other", serial="unknown"))
    told = {event.topic: event for event in await stream(plant)}
    ids = [told[topic].id for topic in ("permit", "cycle", "move", "other")]
    assert ids == sorted(ids)
    path = told["cycle"].path
    assert path is not None
    assert path.endswith("/GC1-020")
    assert len(path.split("/")) == 3
    assert (told["permit"].path, told["move"].path, told["other"].path) == (path, path, None)
    assert told["cycle"].payload["serial"] == module
    assert told["cycle"].payload["operation"] == "020"
    assert told["cycle"].payload["verdict"] == "failed"  # nothing was fitted
    assert told["permit"].payload["refusals"] == []


async def test_a_reader_sees_each_event_once_in_order_while_many_acts_commit(database: Database) -> None:
    writers, each = 6, 30
    is_over = asyncio.Event()
    seen: list[int] = []
    ids: list[int] = []

    async def write(writer: int) -> None:
        for i in range(each):
            await database.transact(note, Note(number=writer * each + i), ADMIN)

    async def move() -> None:
        while not is_over.is_set():
            await relay_all(database)

    async def read() -> None:
        after = 0
        while len(seen) < writers * each:
            for event in await stream(database, after, limit=7):
                seen.append(event.payload["number"])
                ids.append(event.id)
                after = event.id

    async with asyncio.timeout(60):
        relays = [asyncio.create_task(move()) for _ in range(3)]
        await asyncio.gather(read(), *(write(n) for n in range(writers)))
        is_over.set()
        await asyncio.gather(*relays)
    assert ids == sorted(set(ids))
    assert sorted(seen) == list(range(writers * each))
    for writer in range(writers):  # what one has told one after the other stays so
        assert [n for n in seen if n // each == writer] == list(range(writer * each, (writer + 1) * each))
    assert [event.id for event in await stream(database)] == ids


async def test_an_event_is_either_told_or_still_to_be_told(database: Database, database_name: str) -> None:
    """A relay that dies before its commit leaves everything where it was."""
    owner = await asyncpg.connect(server_url(database_name).replace("+asyncpg", ""))
    try:
        await owner.execute("ALTER TABLE event ADD CONSTRAINT broken CHECK (false) NOT VALID")
        with pytest.raises(Exception, match="broken"):
            await tell_numbers(database, 3)
        await database.transact(note, Note(number=4), ADMIN)
        await owner.execute("ALTER TABLE event DROP CONSTRAINT broken")
    finally:
        await owner.close()
    await relay_all(database)
    assert [event.payload["number"] for event in await stream(database)] == [1, 2, 3, 4]


async def test_the_relay_is_journaled_nowhere_and_wakes_who_listens(database: Database, database_name: str) -> None:
    listener = await asyncpg.connect(server_url(database_name).replace("+asyncpg", ""))
    heard: asyncio.Queue[str] = asyncio.Queue()
    try:
        await listener.add_listener("mes_events", lambda *said: heard.put_nowait(str(said[3])))
        await tell_numbers(database, 3)
        async with asyncio.timeout(10):
            assert await heard.get() == "note"
        assert heard.empty()
        assert await listener.fetchval("SELECT count(*) FROM act") == 3
    finally:
        await listener.close()


async def test_old_events_go_from_the_beginning_and_what_remains_is_whole(database: Database) -> None:
    with clock.held(NOON):
        await tell_numbers(database, 4)
        clock.advance(timedelta(days=31))
        await tell_numbers(database, 2, first=5)
        assert await purge_old(database, Settings()) == 4
        assert await purge_old(database, Settings()) == 0
    kept = await stream(database)
    assert [event.payload["number"] for event in kept] == [5, 6]
    async with database.reading() as session:
        ends = await stream_ends(session)
    assert (ends.purged_to, ends.newest) == (kept[0].id - 1, kept[-1].id)


async def test_the_newest_id_outlives_its_event(database: Database) -> None:
    with clock.held(NOON):
        await tell_numbers(database, 3)
        newest = (await stream(database))[-1].id
        clock.advance(timedelta(days=31))
        await purge_old(database, Settings())
    async with database.reading() as session:
        ends = await stream_ends(session)
    assert (ends.purged_to, ends.newest) == (newest, newest)


async def test_what_somebody_waits_for_stays_up_to_a_longer_bound_and_then_goes_loudly(database: Database) -> None:
    with clock.held(NOON):
        await subscribe(database, "http://127.0.0.1:1/events", after=0)
        await tell_numbers(database, 3)
        await tell_numbers(database, 2, topic="other", first=4)
        clock.advance(timedelta(days=31))
        third = next(event for event in await stream(database) if event.topic == "note")
        await database.transact(record_delivery, Delivery(name="erp", position=third.id), ADMIN)
        await purge_old(database, Settings())
        left = [event.payload["number"] for event in await stream(database)]
        assert left == [2, 3, 4, 5]
        clock.advance(timedelta(days=60))
        with capture_logs() as logs:
            await purge_old(database, Settings())
        await relay_all(database)
        assert [event.topic for event in await stream(database)] == ["subscription"]
    assert [(line["log_level"], line["subscription"], line["events"]) for line in logs] == [("error", "erp", 2)]
    assert (await subscription(database)).missed == 2


async def test_a_purge_takes_no_more_than_its_batch(database: Database) -> None:
    with clock.held(NOON):
        await tell_numbers(database, 5)
        later = clock.advance(timedelta(days=200))
        limits = Purge(before=later, untaken_before=later, batch=2)
        turns = [(await database.transact(purge_events, limits, ADMIN)).purged for _ in range(4)]
    assert turns == [2, 2, 1, 0]


async def test_the_application_can_not_alter_an_event(database: Database, database_name: str) -> None:
    await tell_numbers(database, 1)
    role = {"role": "mes_app"}
    application = await asyncpg.connect(server_url(database_name).replace("+asyncpg", ""), server_settings=role)
    try:
        for attack in ("UPDATE event SET topic = 'x'", "TRUNCATE event", "DELETE FROM event_stream"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.execute(attack)
    finally:
        await application.close()
