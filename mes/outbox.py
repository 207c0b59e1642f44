"""What others must be told: stored in the act's own transaction, moved to the event stream afterwards."""

from datetime import datetime
from typing import Any

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
