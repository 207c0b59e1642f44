"""Webhooks: signed, in order, at least once, under the same id; a real receiver verifies every signature."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from standardwebhooks import WebhookVerificationError
from structlog.testing import capture_logs

from mes.db import Database
from mes.errors import NotFound
from mes.events import webhook
from mes.events.delivery import carrier_of, deliver_batch
from mes.events.messages import SubscriptionName
from mes.events.queries import subscribers
from mes.events.rules import State
from mes.events.service import NoEventKey, SubscriptionExists, unsubscribe
from mes.events.undelivered import Undelivered
from mes.settings import Settings
from tests.conftest import ADMIN
from tests.events.receiver import Receiver, running
from tests.events.telling import KEY, Note, stream, subscribe, subscription, tell, tell_numbers

SETTINGS = Settings(event_key=KEY, enterprise="acme")


@pytest.fixture
async def receiver(database: Database) -> AsyncIterator[Receiver]:
    """A receiver that has subscribed."""
    async with running(Receiver()) as one:
        one.secret = await subscribe(database, one.address)
        yield one


async def deliver(database: Database, settings: Settings = SETTINGS) -> bool | None:
    """One turn, as a process just started takes it."""
    async with database.reading() as session:
        (subscriber,) = await subscribers(session)
    carrier = carrier_of(subscriber, database, settings)
    try:
        return await deliver_batch(database, subscriber.name, carrier)
    finally:
        await carrier.close()


def numbers(receiver: Receiver) -> list[int]:
    return [event["data"]["number"] for event in receiver.taken]


async def test_events_are_posted_as_signed_cloud_events(database: Database, receiver: Receiver) -> None:
    await tell(database, Note(number=1, serial="M7-1"), Note(topic="other", number=2), Note(number=3))
    assert await deliver(database) is False
    events = [event for event in await stream(database) if event.topic == "note"]
    assert receiver.taken[0] == {
        "specversion": "1.0",
        "id": str(events[0].id),
        "source": "/acme",
        "type": "com.packmes.note",
        "subject": "M7-1",
        "time": events[0].at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {"number": 1, "serial": "M7-1"},
    }
    assert receiver.ids == [str(event.id) for event in events]
    assert set(receiver.types) == {"application/cloudevents+json; charset=utf-8"}
    assert numbers(receiver) == [1, 3]
    kept = await subscription(database)
    assert (kept.position, kept.waiting, kept.state) == ((await stream(database))[-1].id, 0, State.ACTIVE)


async def test_what_is_not_taken_is_brought_again_in_order_and_said_once(
    database: Database, receiver: Receiver
) -> None:
    await tell_numbers(database, 3)
    receiver.answers = [204, 500, 503, 302, 400]
    with capture_logs() as logs:
        for _ in range(4):
            with pytest.raises(Undelivered):
                await deliver(database)
        failing = await subscription(database)
        await deliver(database)
    assert (failing.state, failing.last_error, failing.waiting) == (State.FAILING, "its receiver answered 400", 2)
    assert failing.failing_since is not None
    assert numbers(receiver) == [1, 2, 3]
    assert receiver.ids[1:6] == [receiver.ids[1]] * 5
    assert [line["event"] for line in logs] == ["subscriber is gone", "subscriber is back"]
    assert ((await subscription(database)).state, (await subscription(database)).failing_since) == (State.ACTIVE, None)


async def test_a_redirect_is_not_followed(database: Database, receiver: Receiver) -> None:
    receiver.headers = {"location": receiver.address.replace("/events", "/other")}
    receiver.answers = [307]
    await tell_numbers(database, 1)
    with pytest.raises(Undelivered, match="307"):
        await deliver(database)
    assert receiver.elsewhere == 0


async def test_410_ends_the_subscription_and_is_journaled(database: Database, receiver: Receiver) -> None:
    await tell_numbers(database, 2)
    receiver.answers = [204, 410]
    with capture_logs() as logs:
        assert await deliver(database) is None
    ended = await subscription(database)
    assert (ended.state, ended.waiting) == (State.DISABLED, 1)
    assert [line["event"] for line in logs] == ["subscription disabled"]
    async with database.reading() as session:
        assert await subscribers(session) == []
        named = "SELECT count(*) FROM act WHERE name = 'events.record_delivery'"
        assert await session.driver.fetchval(named) == 1


async def test_killed_between_delivery_and_position_it_brings_the_same_again(
    database: Database, receiver: Receiver
) -> None:
    await tell_numbers(database, 3)
    first_taken = asyncio.Event()

    async def hang() -> None:
        if len(receiver.taken) == 2:
            first_taken.set()
            await receiver.over.wait()

    receiver.before_answer = hang
    killed = asyncio.create_task(deliver(database))
    async with asyncio.timeout(10):
        await first_taken.wait()
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    receiver.before_answer = None
    await deliver(database)
    assert numbers(receiver) == [1, 2, 1, 2, 3]
    assert receiver.ids[:2] == receiver.ids[2:4]


async def test_a_receiver_that_does_not_answer_is_given_up(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "TAKE_S", 0.2)

    async def hang() -> None:
        await receiver.over.wait()

    receiver.before_answer = hang
    await tell_numbers(database, 1)
    with pytest.raises(Undelivered, match=r"no answer within 0\.2 s"):
        await deliver(database)


async def test_another_key_sends_nothing_with_a_wrong_signature(database: Database, receiver: Receiver) -> None:
    await tell_numbers(database, 1)
    for other in (Settings(event_key="x" * 40), Settings()):
        with pytest.raises(Undelivered, match="MES_EVENT_KEY"):
            await deliver(database, other)
    assert receiver.ids == []


async def test_the_receiver_would_refuse_a_wrong_signature(database: Database, receiver: Receiver) -> None:
    receiver.secret = "whsec_" + "A" * 40
    await tell_numbers(database, 1)
    with pytest.raises((Undelivered, WebhookVerificationError)):
        await deliver(database)
    assert receiver.taken == []


async def test_no_secret_is_stored_anywhere(database: Database, receiver: Receiver) -> None:
    async with database.reading() as session:
        rows = await session.driver.fetch("SELECT subscription::text FROM subscription")
        rows += await session.driver.fetch("SELECT act::text FROM act")
        rows += await session.driver.fetch("SELECT outbox::text FROM outbox")
    everything = "".join(row[0] for row in rows)
    raw = receiver.secret.removeprefix("whsec_")
    assert "erp" in everything
    assert raw not in everything
    assert KEY not in everything


async def test_a_large_event_is_told_without_its_data(database: Database, receiver: Receiver) -> None:
    await tell(database, Note(serial="x" * 300_000))
    await deliver(database)
    assert receiver.taken[0]["data"]["omitted_bytes"] > 300_000


async def test_a_name_is_taken_once_and_free_again(database: Database, receiver: Receiver) -> None:
    with pytest.raises(SubscriptionExists):
        await subscribe(database, receiver.address)
    await database.transact(unsubscribe, SubscriptionName(name="erp"), ADMIN)
    with pytest.raises(NotFound):
        await database.transact(unsubscribe, SubscriptionName(name="erp"), ADMIN)
    assert await subscribe(database, receiver.address) != receiver.secret


async def test_without_a_key_nothing_is_subscribed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.events.telling.KEY", "short")
    with pytest.raises(NoEventKey):
        await subscribe(database, "https://example.org/events")
