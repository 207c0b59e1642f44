"""Drills: ask, time, count again another way, keep."""

import random
import time

from sqlalchemy import insert

from mes.actor import Actor
from mes.db import Database, Session
from mes.drill.messages import DrillAnswer, DrillResult, Kind
from mes.drill.models import Drill
from mes.drill.queries import count_lot, count_station, list_drills, pick, serials_of
from mes.errors import Conflict
from mes.find.language import Period, parse, terms
from mes.find.queries import MOST
from mes.find.service import find


class NothingToDrill(Conflict):
    """There is nothing on record yet that a drill of kind {kind} could be about."""


async def run_drill(database: Database, kind: Kind, actor: Actor, seed: int | None = None) -> DrillAnswer:
    """Pick something by chance, time the complete list of what is affected, and count it independently; kept.

    `seed`: to pick the same again.
    """
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    async with database.reading() as session:
        picked = await pick(session, kind, chance)
        if picked is None:
            raise NothingToDrill(kind=kind)
        name, question = picked
        begun = time.perf_counter()
        found = await find(session, question, limit=MOST)
        seconds = time.perf_counter() - begun
        listed = {unit.serial for unit in found.units if unit.basis != "unknown"}
        if kind == "station":
            (period,) = [term for term in terms(parse(question)) if isinstance(term, Period)]
            counted = await serials_of(session, await count_station(session, name, period.since, period.until))
        else:
            counted = await serials_of(session, await count_lot(session, name))
    result = DrillResult(
        kind=kind,
        question=found.question,
        seconds=seconds,
        affected=len(listed),
        unknown=found.unknown,
        missing=sorted(counted - listed)[:1_000],
        surplus=sorted(listed - counted)[:1_000],
        places={str(place): count for place, count in found.places.items()},
    )
    return await database.transact(record_drill, result, actor)


async def record_drill(session: Session, message: DrillResult) -> DrillAnswer:
    """Keep how a drill went, as evidence."""
    values = message.model_dump() | {"drilled_at": session.at, "drilled_by": session.actor.name}
    await session.execute(insert(Drill).values(values))
    session.tell("drill", kind=message.kind, affected=message.affected, seconds=round(message.seconds, 3))
    return (await list_drills(session, 1))[0]
