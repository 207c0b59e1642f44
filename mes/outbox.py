"""What others must be told: stored in the act's own transaction, sent and removed by the relay afterwards."""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Mapped

from mes.table import Key, Table

CHANNEL = "mes_events"


class Outbox(Table):
    """One event still to be told."""

    __tablename__ = "outbox"

    id: Mapped[Key]
    at: Mapped[datetime]
    topic: Mapped[str]
    payload: Mapped[dict[str, Any]]


# SKIP LOCKED lets the relays of several workers share the queue; NOTIFY leaves with the commit that removes the rows,
# so an event is told if and only if it is gone from here. One NOTIFY a batch: its lock would serialise the acts.
TELL = text(
    """
    WITH due AS (SELECT id FROM outbox ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED),
         told AS (DELETE FROM outbox USING due WHERE outbox.id = due.id RETURNING outbox.topic)
    SELECT count(n) AS topics
    FROM (SELECT DISTINCT topic FROM told) AS t, LATERAL pg_notify(:channel, t.topic) AS n
    """
)
