"""Follows the results in the event stream, and has their charts judged: after they were committed, never before."""

from mes.db import Database
from mes.events.queries import events_after, stream_ends
from mes.spc.judging import judge_charts

BATCH = 500


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
