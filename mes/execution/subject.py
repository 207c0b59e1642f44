"""The unit or lot a message is about, and where it stands in its route."""

from collections.abc import Mapping
from dataclasses import dataclass

from mes.db import ReadSession, Session
from mes.errors import Conflict
from mes.execution.messages import PermitRequest, ResultReport
from mes.execution.queries import Question, Seen, see
from mes.execution.rules import RouteFacts
from mes.materials.queries import LotRow
from mes.products.queries import get_plan
from mes.products.rules import ProductPlan, StepPlan
from mes.units.queries import UnitRow


class CycleReused(Conflict):
    """Cycle {cycle} of station {station} was for {recorded}, not {serial}. Each new cycle needs a new number."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The unit or the lot a message is about, locked, with the plan it is built or inspected to."""

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


async def find_subject(
    session: ReadSession, serial: str, known: Mapping[str, UnitRow], lots: Mapping[str, LotRow]
) -> Subject:
    """Choose the subject from what was locked; a unit before a lot."""
    unit = known.get(serial)
    lot = None if unit else lots.get(serial)
    revision_id = unit.revision_id if unit else lot.revision_id if lot else None
    return Subject(unit, lot, await get_plan(session, revision_id) if revision_id else None)


async def see_subject(
    session: Session,
    message: PermitRequest | ResultReport,
    subject: Subject,
    known: Mapping[str, UnitRow],
    lots: Mapping[str, LotRow],
) -> Seen:
    """Gather the facts, after the locks."""
    others = [unit.id for unit in known.values() if unit is not subject.unit]
    is_report = isinstance(message, ResultReport)
    question = Question(
        station=message.station,
        cycle=message.cycle,
        tool=message.tool if isinstance(message, ResultReport) else None,
        unit_id=subject.unit_id,
        lot_id=subject.lot_id,
        order_id=subject.unit.order_id if subject.unit else None,
        unit_ids=[unit.id for unit in known.values()],
        lot_ids=[lot.id for lot in lots.values()],
        parent_id=subject.unit_id if is_report else None,
        child_ids=others,
    )
    return await see(session, question)


def route_facts(
    message: PermitRequest | ResultReport, subject: Subject, seen: Seen, step: StepPlan | None
) -> RouteFacts:
    """Say where the subject stands in its route, seen from the message's station."""
    plan = subject.plan
    steps = list(plan.steps.values()) if plan else []
    mine = [h.reason for h in seen.holds if (h.unit_id or 0) == subject.unit_id or (h.lot_id or 0) == subject.lot_id]
    return RouteFacts(
        station=message.station,
        serial=message.serial,
        part=plan.part if plan else "none",
        operations=seen.operations,
        operation=step.operation if step else None,
        steps={s.operation: s.predecessors for s in steps},
        passed=frozenset(s.operation for s in steps if s.id in seen.passed_steps),
        holds=tuple(dict.fromkeys(mine)),
        order=seen.order,
        order_state=seen.order_state,
    )
