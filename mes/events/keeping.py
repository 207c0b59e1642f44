"""How long events are kept: purged in small turns, and never in silence where somebody still waits for them."""

from datetime import timedelta

import structlog

from mes import clock
from mes.actor import Actor, Role
from mes.db import Database
from mes.events.messages import Purge
from mes.events.service import purge_events
from mes.settings import Settings

KEEPER = Actor("event retention", Role.STATION)
BATCH, TURNS = 5000, 20
_logger = structlog.get_logger()


async def purge_old(database: Database, settings: Settings) -> int:
    """Purge what is old enough, at most 100,000 events; how many."""
    purged = 0
    for _ in range(TURNS):
        now = clock.now()
        limits = Purge(
            before=now - timedelta(days=settings.event_days),
            untaken_before=now - timedelta(days=max(settings.event_days, settings.event_days_untaken)),
            batch=BATCH,
        )
        answer = await database.transact(purge_events, limits, KEEPER)
        for name, events in answer.missed.items():
            _logger.error("events were purged before their subscriber took them", subscription=name, events=events)
        purged += answer.purged
        if answer.purged < BATCH:
            break
    return purged
