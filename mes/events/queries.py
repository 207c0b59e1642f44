"""Reads of the stream and its subscribers, and the locks on them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
from sqlalchemy import BigInteger, DateTime, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes import clock
from mes.db import ReadSession, Session
from mes.errors import NotFound
from mes.events.messages import SubscriptionAnswer
from mes.events.rules import EventRow, State
from mes.statement import Prepared

WAITING_COUNTED = 100_000
# One relay at a time, until its transaction has ended: ids are drawn and become visible in one order.
_LOCK_STREAM = Prepared(text("SELECT pg_try_advisory_xact_lock(hashtext('event stream')) AS mine"))
# One process delivers, as long as its connection lives.
_TAKE_DELIVERY = "SELECT pg_try_advisory_lock(hashtext('event delivery'))"
_NEWEST = Prepared(
    text(
        """
        SELECT greatest(coalesce((SELECT max(id) FROM event), 0), purged_to) AS newest, purged_to FROM event_stream
        """
    )
)
_EVENTS = Prepared(
    text(
        """
        SELECT id, at, topic, path, payload::text AS payload FROM event
        WHERE id > :after AND (cardinality(:topics) = 0 OR topic = ANY(:topics)) ORDER BY id LIMIT :limit
        """
    ).bindparams(
        bindparam("after", type_=BigInteger),
        bindparam("topics", type_=ARRAY(Text)),
        bindparam("limit", type_=BigInteger),
    )
)
_STATES = Prepared(
    text(
        """
        SELECT e.* FROM station s JOIN line l ON l.id = s.line_id JOIN site i ON i.id = l.site_id
        CROSS JOIN unnest(ARRAY['link', 'cycle']) AS t (topic)
        CROSS JOIN LATERAL (
            SELECT id, at, topic, path, payload::text AS payload FROM event
            WHERE path = concat_ws('/', i.code, l.code, s.code) AND topic = t.topic AND topic IN ('link', 'cycle')
              AND id <= :upto
            ORDER BY id DESC LIMIT 1) e
        WHERE cardinality(:topics) = 0 OR t.topic = ANY(:topics) ORDER BY e.id
        """
    ).bindparams(bindparam("upto", type_=BigInteger), bindparam("topics", type_=ARRAY(Text)))
)
_SUBSCRIPTIONS = Prepared(
    text(
        """
        SELECT s.name, s.kind, s.address, s.prefix, s.topics, s.position, s.state, s.last_error, s.failing_since,
               s.missed, s.created_at, s.created_by, w.waiting,
               coalesce(extract(epoch FROM :now - f.at), 0)::float8 AS waiting_s
        FROM subscription s
        CROSS JOIN LATERAL (
            SELECT count(*) AS waiting FROM (
                SELECT 1 FROM event e
                WHERE e.id > s.position AND (s.topics = '{}' OR e.topic = ANY(s.topics)) LIMIT :counted) c) w
        LEFT JOIN LATERAL (
            SELECT at FROM event e WHERE e.id > s.position AND (s.topics = '{}' OR e.topic = ANY(s.topics))
            ORDER BY e.id LIMIT 1) f ON true
        WHERE CAST(:name AS text) IS NULL OR s.name = :name ORDER BY s.name
        """
    ).bindparams(
        bindparam("now", type_=DateTime(timezone=True)),
        bindparam("counted", type_=BigInteger),
        bindparam("name", type_=Text),
    )
)
_SUBSCRIBERS = Prepared(
    text(
        """
        SELECT id, name, kind, address, prefix, topics, position, state, salt, secret_digest FROM subscription
        WHERE state <> 'disabled' AND (CAST(:name AS text) IS NULL OR name = :name) ORDER BY id
        """
    ).bindparams(bindparam("name", type_=Text))
)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A subscription as its delivery needs it."""

    id: int
    name: str
    kind: str
    address: str
    prefix: str | None
    topics: Sequence[str]
    position: int
    state: State
    salt: bytes | None
    secret_digest: bytes | None


@dataclass(frozen=True, slots=True)
class Ends:
    """The newest event's id, and the newest that is no longer kept; 0: none."""

    newest: int
    purged_to: int


async def lock_stream(session: Session) -> bool:
    """Whether the stream is ours to add to or purge, until the transaction ends."""
    return bool((await session.run(_LOCK_STREAM))[0]["mine"])


async def take_delivery(connection: asyncpg.Connection) -> bool:
    """Whether this connection's process is the one that delivers, for as long as the connection lives."""
    return bool(await connection.fetchval(_TAKE_DELIVERY))


async def stream_ends(session: ReadSession) -> Ends:
    """Where the stream ends, on both sides."""
    return Ends(**(await session.run(_NEWEST))[0])


async def events_after(session: ReadSession, after: int, limit: int, topics: Sequence[str] = ()) -> list[EventRow]:
    """Events past an id, the oldest first: of some topics, or of all."""
    return [_event(row) for row in await session.run(_EVENTS, after=after, topics=list(topics), limit=limit)]


async def station_states(session: ReadSession, upto: int, topics: Sequence[str]) -> list[EventRow]:
    """Of each station the last link and the last cycle, up to an event; of these topics, or of both."""
    return [_event(row) for row in await session.run(_STATES, upto=upto, topics=list(topics))]


async def subscriptions(session: ReadSession, name: str | None = None) -> list[SubscriptionAnswer]:
    """Every subscription by name, or one, with what still waits for it."""
    rows = await session.run(_SUBSCRIPTIONS, now=clock.now(), counted=WAITING_COUNTED, name=name)
    return [SubscriptionAnswer.model_validate(dict(row)) for row in rows]


async def get_subscription(session: ReadSession, name: str) -> SubscriptionAnswer:
    """One subscription, or raise NotFound."""
    found = await subscriptions(session, name)
    if not found:
        raise NotFound(kind="subscription", name=name)
    return found[0]


async def subscribers(session: ReadSession, name: str | None = None) -> list[Subscriber]:
    """Who is to be brought events: all, or one."""
    return [Subscriber(**{**row, "state": State(row["state"])}) for row in await session.run(_SUBSCRIBERS, name=name)]


def _event(row: asyncpg.Record) -> EventRow:
    return EventRow(row["id"], row["at"], row["topic"], row["path"], json.loads(row["payload"]))
