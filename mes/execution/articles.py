"""First articles: the first cycle after a change is signed by a second person before the next is begun.

Plant rule 10: after shift start, a tool or lot change, or a stop of more than four hours.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update

from mes.db import Session
from mes.errors import Conflict, NotFound
from mes.execution.messages import FirstArticleAnswer, FirstArticleSignature, ResultReport
from mes.execution.models import FirstArticle
from mes.execution.queries import lock_first_article
from mes.execution.seen import Seen
from mes.plant.models import Station
from mes.products.rules import StepPlan

LONG_STOP = timedelta(hours=4)


class SamePerson(Conflict):
    """{name} made this first article: a second person checks and signs it."""


def first_article_due(
    message: ResultReport, step: StepPlan, seen: Seen, lot_ids: AbstractSet[int], at: datetime
) -> str | None:
    """Why this cycle is a first article; None: it isn't one."""
    if not step.conditions.first_article:
        return None
    last, tool_id = seen.last_cycle, next((id_ for id_, code, _ in seen.tools if code == message.tool), None)
    if last is None:
        why = "the station's first cycle"
    elif seen.article_failed:
        why = "the first article before it failed"
    elif last.shift_started_at is not None and last.reported_at < last.shift_started_at:
        why = "the shift has started"
    elif at - last.reported_at > LONG_STOP:
        why = "a stop of more than 4 h"
    elif last.tool_id != tool_id:
        why = "another tool"
    elif not lot_ids <= last.lot_ids:
        why = "another lot"
    else:
        return None
    return f"{message.serial}, {why}"


async def open_first_article(
    session: Session, station: str, station_id: int, cycle_id: int, why: str, people: Sequence[str]
) -> None:
    """Note that a cycle is a first article: the station waits until it is signed."""
    values = {"station_id": station_id, "cycle_id": cycle_id, "why": why, "opened_at": session.at}
    values["operators"] = list(people)
    await session.execute(insert(FirstArticle).values(values))
    session.tell("first_article", station=station, state="open", why=why)


async def sign_first_article(session: Session, message: FirstArticleSignature) -> FirstArticleAnswer:
    """Sign the oldest open first article of a station, as passed or failed; another person than who made it.

    Signed as failed, the station's next cycle is a first article again.
    """
    found = await lock_first_article(session, message.station)
    if found is None:
        raise NotFound(kind="open first article at station", name=message.station)
    if session.actor.name in found.operators:
        raise SamePerson(name=session.actor.name)
    session.take_moment()
    closing = {"signed_at": session.at, "signed_by": session.actor.name, "sign_verdict": message.verdict}
    await session.execute(update(FirstArticle).where(FirstArticle.id == found.id).values(closing))
    left = select(FirstArticle.id).join(Station, Station.id == FirstArticle.station_id)
    still = left.where(Station.code == message.station, FirstArticle.signed_at.is_(None)).limit(1)
    is_open = (await session.execute(still)).first() is not None
    session.tell("first_article", station=message.station, state="signed", verdict=message.verdict)
    return FirstArticleAnswer(station=message.station, why=found.why, verdict=message.verdict, is_open=is_open)
