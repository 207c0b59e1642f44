"""What others must be told: stored in the act's own transaction, moved to the event stream afterwards."""

from datetime import datetime
from typing import Any

from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped

from mes.statement import Clause
from mes.table import Key, Table

CHANNEL = "mes_events"


class Outbox(Table):
    """One event still to be told."""

    __tablename__ = "outbox"

    id: Mapped[Key]
    at: Mapped[datetime]
    topic: Mapped[str]
    payload: Mapped[dict[str, Any]]


TELL = Clause(
    """
    told AS (
        INSERT INTO outbox (at, topic, payload)
        SELECT :at, t.topic, t.payload::jsonb FROM unnest(:topics, :payloads) AS t (topic, payload))
    """,
    {"topics": ARRAY(Text), "payloads": ARRAY(Text)},
)
