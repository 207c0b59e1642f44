"""Acts that tell events, and turns of the relay."""

from mes.actor import Actor, Role
from mes.db import Database, Session
from mes.events.messages import SubscriptionAnswer, Turn, WebhookRequest
from mes.events.queries import events_after, subscriptions
from mes.events.rules import EventRow
from mes.events.service import relay, sealed, subscribe_webhook
from mes.message import Message
from tests.conftest import ADMIN

KEY = "k" * 40
RELAY = Actor("relay", Role.STATION)


class Note(Message):
    """Something to tell."""

    topic: str = "note"
    serial: str | None = None
    station: str | None = None
    number: int = 0


async def note(session: Session, message: Note) -> None:
    """Tell it."""
    session.tell(message.topic, **message.model_dump(exclude={"topic"}, exclude_none=True))


async def tell(database: Database, *notes: Note) -> None:
    """Tell these, an act each, and relay them."""
    for one in notes:
        await database.transact(note, one, ADMIN)
    await relay_all(database)


async def tell_numbers(database: Database, count: int, topic: str = "note", first: int = 1) -> None:
    """Tell numbers from `first` on."""
    await tell(database, *(Note(topic=topic, number=first + i) for i in range(count)))


async def relay_all(database: Database) -> None:
    """Turns of the relay, until all has been moved: by these, or by the application's own."""
    waiting = 1
    while waiting:
        await database.transact(relay, Turn(), RELAY)
        async with database.reading() as session:
            waiting = await session.driver.fetchval("SELECT count(*) FROM outbox")


async def stream(database: Database, after: int = 0, limit: int = 10_000) -> list[EventRow]:
    """The events kept."""
    async with database.reading() as session:
        return await events_after(session, after, limit)


async def subscription(database: Database) -> SubscriptionAnswer:
    """The only subscription."""
    async with database.reading() as session:
        (found,) = await subscriptions(session)
        return found


async def subscribe(database: Database, address: str, name: str = "erp", **more: object) -> str:
    """Subscribe a webhook; its secret."""
    request = WebhookRequest.model_validate({"name": name, "address": address, "topics": ["note"], **more})
    message, secret = sealed(request, KEY)
    await database.transact(subscribe_webhook, message, ADMIN)
    return secret
