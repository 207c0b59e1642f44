"""Moves what acts told into the stream, purges what is old, and keeps the subscriptions."""

import secrets

from sqlalchemy import BigInteger, DateTime, Text, bindparam, delete, text
from sqlalchemy.dialects.postgresql import insert as upsert

from mes import outbox
from mes.db import Session
from mes.errors import Conflict, NotFound
from mes.events.messages import (
    BrokerRequest,
    Delivery,
    Purge,
    PurgeAnswer,
    SubscriptionAnswer,
    SubscriptionName,
    Turn,
    WebhookRequest,
    WebhookSubscription,
)
from mes.events.models import Subscription
from mes.events.queries import get_subscription, lock_stream, stream_ends
from mes.events.rules import digest_of, webhook_secret
from mes.statement import Prepared

MIN_KEY = 32  # characters


class SubscriptionExists(Conflict):
    """A subscription {name} exists already. Remove it first, or choose another name."""


class NoEventKey(Conflict):
    """Webhooks can't be signed: set MES_EVENT_KEY, better as the file mes_event_key, to 32 random characters."""


# One NOTIFY a batch and topic, with the commit that moves the rows: what is told is in the stream, or it is not told.
_RELAY = Prepared(
    text(
        """
        WITH due AS (SELECT id FROM outbox ORDER BY id LIMIT :batch),
             gone AS (DELETE FROM outbox o USING due WHERE o.id = due.id RETURNING o.id, o.at, o.topic, o.payload),
             placed AS (
                 SELECT g.*, coalesce(g.payload ->> 'station', (
                            SELECT s.code FROM unit u JOIN cycle c ON c.unit_id = u.id
                            JOIN station s ON s.id = c.station_id
                            WHERE u.serial = g.payload ->> 'serial' ORDER BY c.id DESC LIMIT 1)) AS station
                 FROM gone g),
             told AS (
                 INSERT INTO event (at, topic, path, payload)
                 SELECT p.at, p.topic, w.path, p.payload
                 FROM placed p LEFT JOIN LATERAL (
                     SELECT concat_ws('/', i.code, l.code, s.code) AS path
                     FROM station s JOIN line l ON l.id = s.line_id JOIN site i ON i.id = l.site_id
                     WHERE s.code = p.station) w ON true
                 ORDER BY p.id RETURNING topic)
        SELECT (SELECT count(*) FROM told) AS events, count(n) AS topics
        FROM (SELECT DISTINCT topic FROM told) AS t, LATERAL pg_notify(:channel, t.topic) AS n
        """
    ).bindparams(bindparam("batch", type_=BigInteger), bindparam("channel", type_=Text))
)
# Only the stream's beginning goes: up to the first event that is young, or waited for and not ancient.
_PURGE = Prepared(
    text(
        """
        WITH oldest AS (SELECT id, at FROM event ORDER BY id LIMIT :batch),
             bound AS (
                 SELECT least(
                     coalesce(min(id) FILTER (WHERE at >= :before), max(id) + 1),
                     greatest(
                         coalesce(min(id) FILTER (WHERE at >= :untaken_before), max(id) + 1),
                         (SELECT coalesce(min(position) + 1, max(oldest.id) + 1) FROM subscription
                          WHERE state <> 'disabled'))) AS id
                 FROM oldest),
             gone AS (
                 DELETE FROM event WHERE id IN (SELECT o.id FROM oldest o, bound WHERE o.id < bound.id)
                 RETURNING id, topic),
             noted AS (
                 UPDATE event_stream SET purged_to = (SELECT max(id) FROM gone) WHERE EXISTS (SELECT FROM gone)),
             lost AS (
                 SELECT s.id, count(*) AS events FROM subscription s
                 JOIN gone g ON g.id > s.position AND (s.topics = '{}' OR g.topic = ANY(s.topics))
                 WHERE s.state <> 'disabled' GROUP BY s.id),
             told AS (
                 UPDATE subscription s SET missed = s.missed + lost.events FROM lost WHERE lost.id = s.id
                 RETURNING s.name, lost.events)
        SELECT (SELECT count(*) FROM gone) AS purged, told.name, told.events
        FROM (VALUES (1)) AS one LEFT JOIN told ON true ORDER BY told.name
        """
    ).bindparams(
        bindparam("batch", type_=BigInteger),
        *(bindparam(name, type_=DateTime(timezone=True)) for name in ("before", "untaken_before")),
    )
)
# A position never goes back: of two that deliver for a moment, the slower changes nothing.
_ADVANCE = Prepared(
    text(
        """
        UPDATE subscription SET position = greatest(position, :position),
               state = CASE WHEN :is_gone THEN 'disabled' WHEN CAST(:error AS text) IS NULL THEN 'active'
                            ELSE 'failing' END,
               failing_since = CASE WHEN :is_gone OR CAST(:error AS text) IS NULL THEN NULL
                                    ELSE coalesce(failing_since, :at) END,
               last_error = coalesce(:error, last_error)
        WHERE name = :name AND state <> 'disabled' RETURNING state
        """
    ).bindparams(
        bindparam("position", type_=BigInteger),
        bindparam("error", type_=Text),
        bindparam("name", type_=Text),
        bindparam("at", type_=DateTime(timezone=True)),
    )
)


async def relay(session: Session, message: Turn) -> int:
    """Move a batch from the outbox into the stream, in order, and wake who listens; how many. 0 while another does."""
    session.repeated()  # no act of anyone's: what it moves is journaled already
    if not await lock_stream(session):
        return 0
    return int((await session.run(_RELAY, batch=message.batch, channel=outbox.CHANNEL))[0]["events"])


async def purge_events(session: Session, message: Purge) -> PurgeAnswer:
    """Purge a batch of the oldest events. What somebody missed by it is journaled and told."""
    if not await lock_stream(session):
        session.repeated()
        return PurgeAnswer(purged=0, missed={})
    values = {"before": message.before, "untaken_before": message.untaken_before, "batch": message.batch}
    rows = await session.run(_PURGE, **values)
    missed = {row["name"]: row["events"] for row in rows if row["name"] is not None}
    for name, events in missed.items():
        session.tell("subscription", name=name, missed=events)
    if not missed:
        session.repeated()
    return PurgeAnswer(purged=rows[0]["purged"], missed=missed)


def sealed(request: WebhookRequest, key: str | None) -> tuple[WebhookSubscription, str]:
    """A webhook's subscription with a fresh secret of its own, and that secret."""
    if key is None or len(key) < MIN_KEY:
        raise NoEventKey
    salt = secrets.token_bytes(16)
    secret = webhook_secret(key, salt)
    made = request.model_dump() | {"salt": salt.hex(), "secret_digest": digest_of(secret).hex()}
    return WebhookSubscription.model_validate(made), secret


async def subscribe_webhook(session: Session, message: WebhookSubscription) -> SubscriptionAnswer:
    """Bring events to a webhook from now on, or from after a given one."""
    keys = {name: bytes.fromhex(getattr(message, name)) for name in ("salt", "secret_digest")}
    return await _subscribe(session, message, kind="webhook", prefix=None, **keys)


async def subscribe_broker(session: Session, message: BrokerRequest) -> SubscriptionAnswer:
    """Publish events at a broker from now on, or from after a given one."""
    return await _subscribe(session, message, kind="mqtt", prefix=message.prefix)


async def unsubscribe(session: Session, message: SubscriptionName) -> None:
    """Bring it no more events; its secret is void."""
    if not (await session.execute(delete(Subscription).where(Subscription.name == message.name))).rowcount:
        raise NotFound(kind="subscription", name=message.name)
    session.tell("subscription", name=message.name, state="removed")


async def record_delivery(session: Session, message: Delivery) -> None:
    """Note how far a subscriber has taken events, and what stopped it. Only the end of a subscription is journaled."""
    rows = await session.run(
        _ADVANCE, name=message.name, position=message.position, error=message.error, is_gone=message.is_gone
    )
    if rows and message.is_gone:
        session.tell("subscription", name=message.name, state=rows[0]["state"])
    else:
        session.repeated()


async def _subscribe(session: Session, message: WebhookRequest | BrokerRequest, **own: object) -> SubscriptionAnswer:
    newest = (await stream_ends(session)).newest
    values = {
        "name": message.name,
        "address": message.address,
        "topics": message.topics,
        "position": newest if message.after is None else min(message.after, newest),
        "state": "active",
        "missed": 0,
        "created_at": session.at,
        "created_by": session.actor.name,
        **own,
    }
    statement = upsert(Subscription).values(values).on_conflict_do_nothing(index_elements=["name"])
    if (await session.execute(statement.returning(Subscription.id))).first() is None:
        raise SubscriptionExists(name=message.name)
    session.tell("subscription", name=message.name, state="active")
    return await get_subscription(session, message.name)
