"""The unit or lot a message is about, and the facts its rules see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mes.db import ReadSession
from mes.errors import Conflict
from mes.execution.messages import PermitRequest, ResultReport
from mes.execution.question import Question
from mes.execution.rules.facts import Asked, Facts, HoldSeen, StationFacts, ToolSeen
from mes.execution.rules.progress import Progress, choose_step
from mes.execution.rules.words import Reason
from mes.execution.seen import Seen, see
from mes.genealogy.queries import undocumented
from mes.genealogy.trace import gaps_of
from mes.materials.queries import LotRow
from mes.products.queries import get_plan
from mes.products.rules import ProductPlan, StepPlan
from mes.units.queries import UnitRow


class CycleReused(Conflict):
    """Cycle {cycle} of station {station} was for {recorded}, not {serial}. Each new cycle needs a new number."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The unit or the lot a message is about, with the plan it is built or inspected to."""

    unit: UnitRow | None
    lot: LotRow | None
    plan: ProductPlan | None

    @property
    def unit_id(self) -> int | None:
        """The unit's id; None: it is a lot, or unknown."""
        return self.unit.id if self.unit else None

    @property
    def lot_id(self) -> int | None:
        """The lot's id; None: it is a unit, or unknown."""
        return self.lot.id if self.lot and not self.unit else None

    @property
    def steps(self) -> Mapping[str, StepPlan]:
        """The steps of its route; empty: it has none."""
        return self.plan.steps if self.plan else {}


async def find_subject(
    session: ReadSession, serial: str, known: Mapping[str, UnitRow], lots: Mapping[str, LotRow]
) -> Subject:
    """Choose the subject from what was found; a unit before a lot."""
    unit = known.get(serial)
    lot = None if unit else lots.get(serial)
    revision_id = unit.revision_id if unit else lot.revision_id if lot else None
    return Subject(unit, lot, await get_plan(session, revision_id) if revision_id else None)


def named_by(message: PermitRequest | ResultReport) -> tuple[set[str], set[str]]:
    """The serials and the lot numbers that a message names."""
    serials = {message.serial, *(c.serial for c in message.components), *(r.serial for r in message.removals)}
    lots = message.lots if isinstance(message, PermitRequest) else [used.lot for used in message.lots]
    return serials, {message.serial, *lots}


async def see_subject(
    session: ReadSession,
    message: PermitRequest | ResultReport,
    subject: Subject,
    known: Mapping[str, UnitRow],
    lots: Mapping[str, LotRow],
    at: datetime,
) -> Seen:
    """Gather the facts; for an act, after the locks."""
    others = [unit.id for unit in known.values() if unit is not subject.unit]
    fits = isinstance(message, ResultReport) or bool(message.components or message.removals or message.lots)
    question = Question(
        at=at,
        station=message.station,
        cycle=message.cycle,
        people=message.people,
        tool=message.tool,
        program=message.program_revision,
        started_at=message.started_at if isinstance(message, ResultReport) else None,
        ended_at=message.ended_at if isinstance(message, ResultReport) else None,
        unit_id=subject.unit_id,
        lot_id=subject.lot_id,
        order_id=subject.unit.order_id if subject.unit else None,
        order_ids=list({unit.order_id for unit in known.values() if unit.order_id is not None}),
        unit_ids=[unit.id for unit in known.values()],
        lot_ids=[lot.id for lot in lots.values()],
        parent_id=subject.unit_id if fits else None,
        child_ids=others,
        kitted=bool(others) and subject.plan is not None and subject.plan.matching is not None,
        articles=any(s.conditions.first_article for s in subject.steps.values()),
    )
    return await see(session, question)


def is_permitted(message: PermitRequest | ResultReport, seen: Seen) -> bool:
    """Whether a report tells of work that was permitted; a permit for one unit covers no other."""
    return isinstance(message, ResultReport) and bool(seen.permit_granted) and seen.permit_serial == message.serial


def begun_at(message: ResultReport, seen: Seen, now: datetime) -> datetime:
    """When the work was begun, as its station says: never before it was asked for, and never in time to come."""
    begun = min(now, message.started_at)
    return max(begun, seen.permit_asked_at) if seen.permit_asked_at and is_permitted(message, seen) else begun


def progress_of(message: PermitRequest | ResultReport, subject: Subject, seen: Seen) -> Progress:
    """Where the subject stands, seen from the step that the station is to do (or was permitted to)."""
    progress = Progress(subject.steps, seen.steps, seen.reworks, None)
    is_begun = is_permitted(message, seen)
    permitted = (s for s in subject.steps.values() if is_begun and s.id == seen.permit_step_id)
    return progress.at(next(permitted, None) or choose_step(progress, seen.operations, message.operation))


async def gather(
    session: ReadSession,
    message: PermitRequest | ResultReport,
    subject: Subject,
    seen: Seen,
    progress: Progress,
    parts: Mapping[Reason, Sequence[str]],
    at: datetime,
) -> Facts:
    """Put together what the rules see."""
    step = progress.step
    wanted = step.conditions.certificate if step else None
    gaps: Sequence[str] = ()
    if subject.unit and step and step.conditions.is_complete:
        upto = [o for o, other in subject.steps.items() if other.ordinal < step.ordinal]
        gaps = await gaps_of(session, message.serial, upto)
    papers = step.conditions.documents if step else ()
    named = {"unit_id": subject.unit_id, "lot_id": subject.lot_id}
    state = subject.unit.state if subject.unit else subject.lot.state if subject.lot else None
    return Facts(
        at=at,
        today=seen.today,
        serial=message.serial,
        part=subject.plan.part if subject.plan else "none",
        state=str(state) if state else None,
        station=StationFacts(
            code=message.station,
            operations=seen.operations,
            tools=[ToolSeen(code, due) for _, code, due in seen.tools],
            checks=seen.checks,
            due_h=seen.due_h,
            open_article=seen.open_article,
        ),
        progress=progress,
        holds=_holds(subject, seen),
        order=seen.order,
        order_state=seen.order_state,
        asked=Asked(
            operators=message.people,
            certificates={person: until for (person, name), until in seen.certificates.items() if name == wanted},
            tool=message.tool,
            program=message.program_revision,
            recipe_digest=message.recipe_digest,
        ),
        parts=parts,
        is_begun=is_permitted(message, seen),
        gaps=gaps,
        undocumented=await undocumented(session, papers, **named) if papers else (),
    )


def _holds(subject: Subject, seen: Seen) -> list[HoldSeen]:
    """The holds that concern the subject itself, not what is to be fitted into it."""
    order_id = subject.unit.order_id if subject.unit else None
    mine = [
        hold
        for hold in seen.holds
        if (hold.order_id is not None and hold.order_id == order_id)
        or (hold.unit_id is not None and hold.unit_id == subject.unit_id)
        or (hold.lot_id is not None and hold.lot_id == subject.lot_id)
    ]
    return [HoldSeen(hold.reason, frozenset(hold.stops), hold.at_operation, hold.opened_at) for hold in mine]
