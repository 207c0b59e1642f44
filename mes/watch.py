"""Follows what comes: has charts of new results judged, and what is received or issued held where a question fits."""

import structlog

from mes.actor import Actor, Role
from mes.db import Database
from mes.errors import MesError
from mes.events.queries import events_after, stream_ends
from mes.quality.containments import hold_arrivals
from mes.quality.messages import Arrivals
from mes.quality.queries import newest_arrival, open_questions
from mes.spc.judging import judge_charts

BATCH = 500
COURT = Actor("containment watch", Role.QUALITY)
log = structlog.get_logger()


class Watch:
    """Judges the charts of whatever was reported since the last turn.

    The first turn judges all there is: each chart says itself how far it was judged, so that nothing is missed or told
    twice by a restart, or by several workers who watch at once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._position: int | None = None

    async def turn(self) -> None:
        """Judge what has come."""
        async with self._database.reading() as session:
            newest = (await stream_ends(session)).newest
            known = newest if self._position is None else self._position
            events = await events_after(session, known, BATCH, ["cycle"])
        if self._position is None:
            await judge_charts(self._database)
            self._position = newest
            return
        for station, operation in sorted({(e.payload["station"], e.payload["operation"]) for e in events}):
            await judge_charts(self._database, station, operation)
        self._position = events[-1].id if len(events) == BATCH else newest


class ArrivalsWatch:
    """Asks the open questions of containments again when units or lots have come: received, split off, or issued.

    What a report makes fit is held by the report itself. A first turn asks in any case.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: tuple[int, ...] = ()

    async def turn(self) -> None:
        """Ask if anything has come."""
        async with self._database.reading() as session:
            newest = await newest_arrival(session)
            questions = await open_questions(session) if newest != self._seen else []
        for containment, _ in questions:
            try:
                while (await self._database.transact(hold_arrivals, Arrivals(containment=containment), COURT)).subjects:
                    pass
            except MesError as error:  # closed meanwhile, or what it names was renamed: the others are asked
                log.warning("containment_not_asked", containment=containment, reason=str(error))
        self._seen = newest
