"""Containments with a question: asked when they are opened, and again of whatever comes until they are closed."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Text, bindparam, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from mes.actor import Actor
from mes.db import Database, ReadSession, Session
from mes.errors import NotFound
from mes.find.compiling import Known
from mes.find.language import Question, parse
from mes.find.queries import fitting, look_up
from mes.quality.messages import Arrivals, CloseRequest, ContainAnswer, ContainmentAnswer, ContainRequest
from mes.quality.models import ContainmentQuestion
from mes.quality.queries import containments, lock_lot_ids, lock_question, open_questions
from mes.quality.service import TOLD, contain, lock_containing
from mes.statement import Prepared
from mes.units.queries import lock_unit_ids

_IDS = ARRAY(BigInteger)
# Held once, for good: what was looked at and released isn't held again for what is known of it.
_HOLD = Prepared(
    text(
        """
        INSERT INTO hold (unit_id, lot_id, containment_id, cycle_id, stops, at_operation, release_roles, reason,
                          opened_at, opened_by)
        SELECT s.unit_id, s.lot_id, k.id, :cycle_id, q.stops, q.at_operation, q.release_roles, k.reason, :at, :opened_by
        FROM containment k JOIN containment_question q ON q.containment_id = k.id,
             (SELECT id AS unit_id, NULL::bigint AS lot_id FROM unnest(:units) AS u (id)
              UNION ALL SELECT NULL, id FROM unnest(:lots) AS l (id)) s
        WHERE k.id = :containment AND NOT EXISTS (
            SELECT FROM hold h WHERE h.containment_id = k.id
              AND (h.unit_id = s.unit_id OR h.lot_id = s.lot_id))
        ORDER BY s.lot_id, s.unit_id RETURNING unit_id, lot_id
        """
    ).bindparams(
        bindparam("units", type_=_IDS),
        bindparam("lots", type_=_IDS),
        bindparam("containment", type_=BigInteger),
        bindparam("cycle_id", type_=BigInteger),
        bindparam("opened_by", type_=Text),
    )
)
_NEW = Prepared(
    text(
        """
        SELECT NULL::bigint AS unit_id, l.id AS lot_id FROM unnest(:lots) AS l (id)
        WHERE NOT EXISTS (SELECT FROM hold h WHERE h.containment_id = :containment AND h.lot_id = l.id)
        UNION ALL
        SELECT u.id, NULL FROM unnest(:units) AS u (id)
        WHERE NOT EXISTS (SELECT FROM hold h WHERE h.containment_id = :containment AND h.unit_id = u.id)
        LIMIT :most
        """
    ).bindparams(
        *(bindparam(name, type_=_IDS) for name in ("units", "lots")),
        *(bindparam(name, type_=BigInteger) for name in ("containment", "most")),
    )
)
_SERIALS = Prepared(
    text("SELECT serial FROM unit WHERE id = ANY(:units) ORDER BY serial").bindparams(bindparam("units", type_=_IDS))
)


async def catch(
    session: Session, questions: Sequence[tuple[int, str]], unit_id: int | None, lot_id: int | None, cycle_id: int
) -> list[int]:
    """Of the open questions (containment, question), those that a locked unit or lot has come to fit: it is held, and
    whatever it is in.
    """
    caught = []
    for containment, asked in questions:
        question = parse(asked)
        known = await look_up(session, question, None)
        units, lots = [], []
        if unit_id is not None:
            units = [id_ for id_, _ in await fitting(session, question, known, "unit", [unit_id])]
        elif lot_id is not None:
            lots = [id_ for id_, _ in await fitting(session, question, known, "lot", [lot_id])]
        if units or lots:
            above = await lock_containing(session, [], units)
            if await _hold(session, containment, [*units, *above], lots, cycle_id):
                caught.append(containment)
    return caught


async def contain_fitting(database: Database, message: ContainRequest, actor: Actor) -> ContainAnswer:
    """Open a containment with a question, and hold all that fits it, so many at a time.

    From the first act on whatever is reported is asked; should this stop in between, `mes serve` holds the others.
    """
    opened = await database.transact(contain, message, actor)
    held: list[str] = []
    while (turn := await database.transact(hold_arrivals, Arrivals(containment=opened.containment), actor)).subjects:
        held += turn.held
    return opened.model_copy(update={"subjects": len(held), "held": sorted(held)})


async def hold_arrivals(session: Session, message: Arrivals) -> ContainAnswer:
    """Ask a containment's open question again, and hold some of what fits it and was never held by it.

    No station waits: what is reported meanwhile finds the question by itself.
    """
    asked = await open_questions(session, message.containment)
    if not asked:
        raise NotFound(kind="containment with an open question", name=message.containment)
    question = parse(asked[0][1])
    known = await look_up(session, question, None)
    units, lots = await _fitting(session, question, known)
    rows = await session.run(_NEW, containment=message.containment, units=units, lots=lots, most=message.most)
    new_units = [row["unit_id"] for row in rows if row["unit_id"] is not None]
    new_lots = [row["lot_id"] for row in rows if row["lot_id"] is not None]
    held: list[str] = []
    if rows:
        await lock_lot_ids(session, new_lots)
        await lock_unit_ids(session, new_units)
        above = await lock_containing(session, [], new_units)
        session.take_moment()
        held = await _hold(session, message.containment, [*new_units, *above], new_lots)
    else:
        session.repeated()
    return ContainAnswer(containment=message.containment, lot=None, serial=None, subjects=len(rows), held=held)


async def _fitting(session: ReadSession, question: Question, known: Known) -> tuple[list[int], list[int]]:
    units = [id_ for id_, _ in await fitting(session, question, known)]
    return units, [id_ for id_, _ in await fitting(session, question, known, "lot")]


async def close_containment(session: Session, message: CloseRequest) -> ContainmentAnswer:
    """Close the question: what comes to fit it from now on isn't held any more. What is held stays held."""
    if not await lock_question(session, message.containment):
        raise NotFound(kind="containment with an open question", name=message.containment)
    session.take_moment()
    closing = {"closed_at": session.at, "closed_by": session.actor.name, "close_reason": message.reason}
    own = ContainmentQuestion.containment_id == message.containment
    await session.execute(update(ContainmentQuestion).where(own).values(closing))
    session.tell("containment", containment=message.containment, state="closed", reason=message.reason)
    return (await containments(session, containment=message.containment))[0]


async def list_containments(session: ReadSession, *, open_only: bool) -> list[ContainmentAnswer]:
    """Containments with a question, the newest first."""
    return await containments(session, open_only=open_only)


async def _hold(
    session: Session, containment: int, units: Sequence[int], lots: Sequence[int], cycle_id: int | None = None
) -> list[str]:
    """Hold units and lots that this containment never held; the units' serials."""
    rows = await session.run(
        _HOLD,
        containment=containment,
        units=list(dict.fromkeys(units)),
        lots=list(lots),
        cycle_id=cycle_id,
        opened_by=session.actor.name,
    )
    held = [row["unit_id"] for row in rows if row["unit_id"] is not None]
    serials = [row["serial"] for row in await session.run(_SERIALS, units=held)]
    if rows:
        session.tell(
            "hold",
            containment=containment,
            state="open",
            held=len(rows),
            serials=serials[:TOLD],
            reason="came to fit it",
        )
    return serials
