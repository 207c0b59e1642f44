"""Brings events to their subscribers: a task each, in one process at a time, over and over until they are taken."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Protocol

import asyncpg
import stamina
import stamina.instrumentation
import structlog

from mes import outbox
from mes.actor import Actor, Role
from mes.db import Database
from mes.errors import MesError
from mes.events.bell import Bell, wait
from mes.events.broker import BrokerCarrier
from mes.events.messages import Delivery
from mes.events.queries import (
    Subscriber,
    events_after,
    station_states,
    stream_ends,
    subscribers,
    take_delivery,
)
from mes.events.rules import EventRow, State
from mes.events.service import record_delivery
from mes.events.undelivered import Gone, Undelivered
from mes.events.webhook import WebhookCarrier
from mes.settings import Settings

COURIER = Actor("event delivery", Role.STATION)
BATCH = 100
TURN_S = 1.0  # then the position is kept: a crash repeats no more than this
PASSED_OVER = 500  # events of other topics that a position may stay behind, sparing a write for each
LOOK_EVERY_S = 5.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
_logger = structlog.get_logger()


class Carrier(Protocol):
    """Brings events to one subscriber."""

    async def take(self, event: EventRow) -> None:
        """Bring one event; returns when it was taken, else raises Undelivered or Gone."""

    async def close(self) -> None:
        """Give up what is open."""


async def deliver_events(url: str, database: Database, settings: Settings) -> None:
    """Deliver for ever, while no other process does. The lock lives on a connection of its own, which also listens."""
    stamina.instrumentation.set_on_retry_hooks(())  # logged here: once gone, once back
    while True:
        try:
            connection = await asyncpg.connect(url.replace("+asyncpg", ""), timeout=10)
            try:
                bell = Bell()
                await connection.add_listener(outbox.CHANNEL, lambda *_, bell=bell: bell.ring())
                while not await take_delivery(connection):  # noqa: ASYNC110 - another process has it
                    await asyncio.sleep(LOOK_EVERY_S)
                await _lead(connection, bell, partial(_serve, database, settings, bell), database)
            finally:
                connection.terminate()
        except Exception as error:  # noqa: BLE001 - the outermost loop: said, and begun anew
            _logger.warning("event delivery interrupted", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(FIRST_WAIT_S)


async def _lead(
    connection: asyncpg.Connection, bell: Bell, serve: Callable[[Subscriber], Awaitable[None]], database: Database
) -> None:
    """Keep a task for each subscriber, as long as the lock's connection answers."""
    tasks: dict[int, asyncio.Task[None]] = {}
    try:
        while True:
            ring = bell.next()
            async with database.reading() as session:
                wanted = {found.id: found for found in await subscribers(session)}
            for id_ in [id_ for id_, task in tasks.items() if id_ not in wanted or task.done()]:
                await _end([tasks.pop(id_)])
            for id_, found in wanted.items():
                if id_ not in tasks:
                    tasks[id_] = asyncio.ensure_future(serve(found))
            await connection.fetchval("SELECT 1", timeout=10)
            await wait(ring, LOOK_EVERY_S)
    finally:
        await _end(tasks.values())


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    for task in ending:
        with suppress(asyncio.CancelledError):
            await task


async def _serve(database: Database, settings: Settings, bell: Bell, subscriber: Subscriber) -> None:
    """Bring one subscriber its events until it has gone."""
    carrier: Carrier | None = None
    try:
        carrier = carrier_of(subscriber, database, settings)
        while True:
            ring = bell.next()
            async for attempt in stamina.retry_context(
                on=(Undelivered, MesError),
                attempts=None,
                timeout=None,
                wait_initial=FIRST_WAIT_S,
                wait_max=LONGEST_WAIT_S,
                wait_jitter=FIRST_WAIT_S,
            ):
                with attempt:
                    is_more = await deliver_batch(database, subscriber.name, carrier, subscriber.id)
            if is_more is None:
                return
            if not is_more:
                await wait(ring, LOOK_EVERY_S)
    except Exception as error:  # noqa: BLE001 - the outermost loop: said, and begun anew at the next look
        _logger.error("event delivery failed", subscription=subscriber.name, error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(LOOK_EVERY_S)
    finally:
        if carrier is not None:
            await carrier.close()


def carrier_of(subscriber: Subscriber, database: Database, settings: Settings) -> Carrier:
    """What brings events to this subscriber, with its secret from the settings."""
    if subscriber.kind == "webhook":
        key = settings.event_key.get_secret_value() if settings.event_key else None
        return WebhookCarrier(subscriber, settings.enterprise, key)

    async def states() -> list[EventRow]:
        async with database.reading() as session:
            current = await subscribers(session, subscriber.name)
            return await station_states(session, current[0].position, current[0].topics) if current else []

    login = settings.mqtt_logins.get(subscriber.name)
    return BrokerCarrier(subscriber, settings.enterprise, login.get_secret_value() if login else None, states)


async def deliver_batch(database: Database, name: str, carrier: Carrier, of: int | None = None) -> bool | None:
    """Bring a batch, in order, and keep how far it was taken; whether there is more, None if it wants no more.

    `of`: its subscription; another one under the same name is not its.
    Raises Undelivered at the first that isn't taken. What was taken but not kept yet is brought again after a crash.
    """
    async with database.reading() as session:
        found = await subscribers(session, name)
        if not found or of not in (None, found[0].id):
            return None
        subscriber = found[0]
        events = await events_after(session, subscriber.position, BATCH, subscriber.topics)
        newest = (await stream_ends(session)).newest
    position, problem, is_more = subscriber.position, None, len(events) == BATCH
    until = asyncio.get_running_loop().time() + TURN_S
    for event in events:
        try:
            await carrier.take(event)
        except (Undelivered, Gone) as error:
            problem = error
            break
        position = event.id
        if asyncio.get_running_loop().time() > until:
            is_more = True
            break
    if problem is None and not is_more and (events or newest - position > PASSED_OVER):
        position = newest
    await _keep(database, subscriber, position, problem)
    if isinstance(problem, Gone):
        return None
    if problem is not None:
        raise problem
    return is_more


async def _keep(database: Database, subscriber: Subscriber, position: int, problem: Undelivered | Gone | None) -> None:
    is_failing = subscriber.state is State.FAILING
    if position == subscriber.position and problem is None and not is_failing:
        return
    is_gone = isinstance(problem, Gone)
    error = str(problem)[:500] if problem else None
    message = Delivery(name=subscriber.name, position=position, error=error, is_gone=is_gone)
    await database.transact(record_delivery, message, COURIER)
    if is_gone:
        _logger.error("subscription disabled", subscription=subscriber.name, error=error)
    elif problem and not is_failing:
        _logger.warning("subscriber is gone", subscription=subscriber.name, error=error)
    elif is_failing and not problem:
        _logger.info("subscriber is back", subscription=subscriber.name)
