"""The stream of events, and its subscribers."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Key, Table


class Event(Table):
    """One event. Ids rise in the order of telling and become visible in that order; they may have gaps.

    `path`: site/line/station by code, as they were then [ISA-95: equipment hierarchy]; NULL: of no one station.
    """

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_state", "path", "topic", "id", postgresql_where="topic IN ('link', 'cycle')"),)

    id: Mapped[Key]
    at: Mapped[datetime]
    topic: Mapped[str]
    path: Mapped[str | None]
    payload: Mapped[dict[str, Any]]


class EventStream(Table):
    """One row. `purged_to`: the newest event that is no longer kept; 0: all are."""

    __tablename__ = "event_stream"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    purged_to: Mapped[int]


class Subscription(Table):
    """Someone who is brought events. `position`: the last one taken, or passed over because of its topic.

    `topics`: empty means all. `missed`: how many were purged before they were taken. `salt`: from it and the
    installation's event key a webhook's secret is derived; `secret_digest` tells whether that key is still the same.
    """

    __tablename__ = "subscription"
    __table_args__ = (
        CheckConstraint("kind IN ('webhook', 'mqtt')", name="kind"),
        CheckConstraint("state IN ('active', 'failing', 'disabled')", name="state"),
        CheckConstraint("(state = 'failing') = (failing_since IS NOT NULL)", name="failing"),
        CheckConstraint("(kind = 'mqtt') = (prefix IS NOT NULL)", name="prefix"),
        CheckConstraint(
            "num_nonnulls(salt, secret_digest) = CASE kind WHEN 'webhook' THEN 2 ELSE 0 END", name="secret"
        ),
        CheckConstraint("position >= 0 AND missed >= 0", name="counts"),
    )

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    address: Mapped[str]
    prefix: Mapped[str | None]
    topics: Mapped[list[str]]
    position: Mapped[int]
    state: Mapped[str]
    last_error: Mapped[str | None]
    failing_since: Mapped[datetime | None]
    missed: Mapped[int]
    salt: Mapped[bytes | None]
    secret_digest: Mapped[bytes | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
