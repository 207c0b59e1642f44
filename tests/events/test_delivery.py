"""The deliveries as a server runs them: one process at a time, another takes over, the dead keep nobody waiting."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from mes.db import Database
from mes.events import delivery
from mes.events.delivery import deliver_events
from mes.events.messages import SubscriptionName
from mes.events.service import unsubscribe
from mes.settings import Settings
from tests.conftest import ADMIN, server_url
from tests.events.receiver import Receiver, running
from tests.events.telling import KEY, subscribe, subscription, tell_numbers
from tests.labels.printer import free_port


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look and try again soon."""
    monkeypatch.setattr(delivery, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(delivery, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(delivery, "LONGEST_WAIT_S", 0.1)


@contextlib.asynccontextmanager
async def delivering(database: Database, name: str) -> AsyncIterator[asyncio.Task[None]]:
    """A server process's task."""
    task = asyncio.create_task(deliver_events(server_url(name), database, Settings(event_key=KEY)))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def numbers(receiver: Receiver) -> list[int]:
    return [event["data"]["number"] for event in receiver.taken]


async def test_who_subscribes_while_it_runs_is_brought_what_comes(database: Database, database_name: str) -> None:
    async with delivering(database, database_name), running(Receiver()) as receiver:
        receiver.secret = await subscribe(database, receiver.address)
        await tell_numbers(database, 250)
        await receiver.heard(250)
        assert numbers(receiver) == list(range(1, 251))
        await database.transact(unsubscribe, SubscriptionName(name="erp"), ADMIN)


async def test_of_two_servers_one_delivers_and_the_other_takes_over(database: Database, database_name: str) -> None:
    async with running(Receiver()) as receiver, delivering(database, database_name) as first:
        receiver.secret = await subscribe(database, receiver.address)
        await tell_numbers(database, 20)
        await receiver.heard(20)
        async with delivering(database, database_name):
            await tell_numbers(database, 20, first=21)
            await receiver.heard(40)
            assert numbers(receiver) == list(range(1, 41))
            first.cancel()
            await tell_numbers(database, 20, first=41)
            await receiver.heard(60)
    assert sorted(set(numbers(receiver))) == list(range(1, 61))


async def test_a_lost_lock_is_had_again(database: Database, database_name: str) -> None:
    owner = await asyncpg.connect(server_url(database_name).replace("+asyncpg", ""))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    try:
        async with running(Receiver()) as receiver, delivering(database, database_name):
            receiver.secret = await subscribe(database, receiver.address)
            await tell_numbers(database, 1)
            await receiver.heard(1)
            assert await owner.fetch(cut)
            await tell_numbers(database, 1, first=2)
            await receiver.heard(2)
        assert sorted(set(numbers(receiver))) == [1, 2]
    finally:
        await owner.close()


async def test_a_dead_subscriber_keeps_nobody_waiting_and_gets_all_when_it_is_back(
    database: Database, database_name: str
) -> None:
    async with running(Receiver()) as receiver, delivering(database, database_name):
        await subscribe(database, f"http://127.0.0.1:{free_port()}/x", name="dead")
        receiver.secret = await subscribe(database, receiver.address)
        receiver.answers = [503] * 5
        await tell_numbers(database, 10)
        await receiver.heard(10)
        assert numbers(receiver) == list(range(1, 11))
        await database.transact(unsubscribe, SubscriptionName(name="dead"), ADMIN)
    assert (await subscription(database)).name == "erp"
