"""The trace of a unit: what is inside it now or was at a moment, where it is itself, and all that happened to it."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from mes.errors import Malformed, NotFound
from mes.genealogy.trace import trace
from mes.http import DatabaseOf, reads
from mes.records.curves import curves_of
from mes.records.messages import History
from mes.records.queries import history
from mes.web.rendering import PageRoute, page
from mes.web.search import is_readable, unknown
from mes.web.trace_events import events_of
from mes.web.trace_tree import gaps_of, grow, plans_of

router = APIRouter(route_class=PageRoute)
SHOWN_CURVES = 12  # each picture is drawn when it is looked at; the rest is for the API
YEARS = range(2000, 2200)


@router.get("/trace/{serial:path}", dependencies=[reads])
async def show_trace(
    request: Request, database: DatabaseOf, serial: str, as_of: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """Show a unit's trace and history."""
    if not is_readable(serial):
        return unknown(request, serial, "unit")
    moment = read_moment(as_of) if as_of.strip() else None
    try:
        async with database.reading() as session:
            traced = await trace(session, serial, moment)
            known = await history(session, serial)
            curves = await curves_of(session, serial, until=traced.as_of, count=SHOWN_CURVES)
            plans = await plans_of(session, traced.tree)
    except NotFound:
        return unknown(request, serial, "unit")
    at = traced.as_of
    known_then = _until(known, at)
    # a step that its station gave up is still to come; one that it called done has fitted what it will
    worked = {cycle.operation for cycle in known_then.cycles if cycle.station_verdict == "passed"}
    gaps, to_fit = gaps_of(traced.tree, plans.get(serial), worked)
    return page(
        request,
        "trace.html",
        traced=traced,
        known=known,
        looking_back=moment,
        curves=curves,
        tree=grow(traced.tree, plans),
        gaps=gaps,
        to_fit=to_fit,
        holds=[h for h in known.holds if h.opened_at <= at and (h.released_at is None or h.released_at > at)],
        past_holds=[h for h in known.holds if h.released_at is not None and h.released_at <= at],
        places=[p for p in traced.places if p.installed_at <= at and (p.removed_at is None or p.removed_at > at)],
        past_places=[p for p in traced.places if p.removed_at is not None and p.removed_at <= at],
        events=events_of(known_then, plans.get(serial)),
    )


def read_moment(text: str) -> datetime:
    """Read a moment as a form or a person writes it; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.year in YEARS:
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except ValueError:
        pass
    expected = f"a date and time such as 2026-11-23T08:30, of the years {YEARS[0]} to {YEARS[-1]}"
    raise Malformed("The moment", [{"at": "as_of", "read": text, "expected": expected}])


def _until(known: History, at: datetime) -> History:
    """What had happened by a moment."""
    cycles = [cycle for cycle in known.cycles if cycle.reported_at <= at]
    refusals = [refusal for refusal in known.refusals if refusal.asked_at <= at]
    return known.model_copy(update={"cycles": cycles, "refusals": refusals})
