"""The act behind *this happened*."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mes.cycles import service as cycles
from mes.db import Session
from mes.errors import Malformed
from mes.execution import answers
from mes.execution.articles import first_article_due, open_first_article
from mes.execution.fitting import Fitting, compare, holds_on
from mes.execution.messages import ReportAnswer, ResultReport, Verdict
from mes.execution.queries import lock_named, part_ids
from mes.execution.rules import Judgement, judge_report
from mes.execution.rules.progress import Progress
from mes.execution.rules.words import Said
from mes.execution.seen import Seen
from mes.execution.subject import (
    CycleReused,
    Subject,
    begun_at,
    find_subject,
    gather,
    named_by,
    progress_of,
    see_subject,
)
from mes.genealogy import service as genealogy
from mes.kits import service as kits
from mes.kits.queries import lock_kit_of
from mes.materials import service as materials
from mes.materials.queries import LotRow
from mes.materials.rules import Event as LotEvent
from mes.measurements import service as measurements
from mes.measurements.rules import judge, misunderstandings, misunderstood_curves
from mes.orders import service as orders
from mes.products.rules import StepPlan
from mes.quality import service as quality
from mes.quality.containments import catch
from mes.quality.dispositions import take_out
from mes.quality.service import NewHold
from mes.statement import compose
from mes.units import service as units
from mes.units.queries import UnitRow
from mes.units.rules import NEXT as NEXT_STATE
from mes.units.rules import Event as UnitEvent
from mes.units.rules import State as UnitState

# One statement writes all of a result: each capability brings the clause that writes what is its own.
_WRITE = (cycles.RECORD, measurements.RECORD, genealogy.INSTALL, materials.USE_UP, units.MOVE)


async def report_result(session: Session, message: ResultReport) -> ReportAnswer:
    """*This happened.* Records it whole, judges it, and says what it breaks; a repeat gets the same answer again."""
    known, lots = await lock_named(session, *named_by(message), reporting=message.station)
    subject = await find_subject(session, message.serial, known, lots)
    await _lock_kit(session, message, subject)
    seen = await see_subject(session, message, subject, known, lots, session.at)
    if seen.cycle_answer is not None:
        _require_same(session, message, seen)
        session.repeated()
        return ReportAnswer.model_validate(seen.cycle_answer)
    if not _covers(message, subject, seen):
        seen = replace(seen, permit_id=None, permit_granted=None)
    progress = progress_of(message, subject, seen)
    step = await _require_understood(session, message, subject, seen, progress)
    judged = judge(step, message.values, drawn_curves(message))
    verdict: Verdict = "failed" if judged.failures or message.verdict == "failed" else "passed"
    known |= await _first_heard(session, message, known)
    begun = begun_at(message, seen, session.at)
    fitting = Fitting()
    if message.components or message.lots or message.removals or step.components:
        fitting = compare(message, progress, subject, seen, known, lots, begun)
    facts = await gather(session, message, subject, seen, progress, fitting.broken, begun)
    verdicts = judge_report(facts, seen.waivers, cycle=message.cycle, was_permitted=seen.permit_granted)
    said, waived = verdicts.broken, _waived(seen, verdicts)
    state = await _advance(session, subject, seen, progress, verdict, is_clean=not said)
    answer = answers.report(message, step, verdict, judged, said, waived, state)
    cycle_id = await _take_out(session, message, subject, fitting)
    await _use_kit(session, message.serial, seen, fitting)
    result = {
        "cycle_id": cycle_id,
        **_to_record(session, message, subject, seen, step, answer, verdicts),
        **measurements.to_record(judged, _curves(message, step)),
        **genealogy.to_install(subject.unit_id, fitting.fits),
        **materials.to_use_up(fitting.used),
        **units.to_move(subject.unit, UnitState(state) if subject.unit else None),
    }
    follows = Follows(
        inherited=[*_inherited(fitting, seen, known, lots), *seen.windows],
        broken=_to_review(progress, step, verdict, said),
        article=first_article_due(message, step, seen, frozenset(fitting.used), session.at),
    )
    if follows.is_any or seen.questions:
        rows = await session.run(compose(*_WRITE, answer="SELECT id FROM recorded"), **result)
        await _follow(session, message, subject, seen, rows[0]["id"], follows)
    else:
        session.write_last(*_WRITE, **result)
    named = {"station": message.station, "serial": message.serial, "cycle": message.cycle, "operation": step.operation}
    session.tell("cycle", **named, verdict=verdict, state=state, findings=[finding.code for finding in said])
    return answer


def _waived(seen: Seen, verdicts: Judgement) -> list[int]:
    """The waivers that a cycle used: what let the work begin stands on it too."""
    return sorted({*verdicts.waived, *(seen.permit_waivers if seen.permit_granted else ())})


async def _lock_kit(session: Session, message: ResultReport, subject: Subject) -> None:
    """Keep the kit that cells are fitted from as it is, before anyone looks at it: it is used, or released."""
    if subject.unit and subject.plan and subject.plan.matching and (message.components or message.removals):
        await lock_kit_of(session, subject.unit.id)


async def _take_out(session: Session, message: ResultReport, subject: Subject, fitting: Fitting) -> int | None:
    """Close the places of what came out and send it where the report says; the cycle's number, drawn for it."""
    if subject.unit is None or not fitting.removed:
        return None
    cycle_id = await genealogy.remove(session, subject.unit.id, [unit.id for unit, _ in fitting.removed])
    await take_out(session, message.serial, cycle_id, [(unit, removal.to) for unit, removal in fitting.removed])
    return cycle_id


async def _use_kit(session: Session, serial: str, seen: Seen, fitting: Fitting) -> None:
    """Note what became of kits: cells that came out are in none, and those that were fitted sit where they sit."""
    if out := [unit.id for unit, _ in fitting.removed]:
        await kits.end_cells(session, out, f"taken out of {serial}")
    if fitting.kit is not None:
        await kits.use_kit(session, fitting.kit, fitting.from_kit)
    elif elsewhere := [fit.child_id for fit in fitting.fits if fit.child_id in seen.reserved]:
        await kits.end_cells(session, elsewhere, f"fitted in {serial}")


@dataclass(frozen=True, slots=True)
class Follows:
    """What a result leads to beyond its record: holds that come with parts, a hold for review, a first article."""

    inherited: Sequence[int]
    broken: str | None
    article: str | None

    @property
    def is_any(self) -> bool:
        """Whether anything follows."""
        return bool(self.inherited or self.broken or self.article)


async def _follow(
    session: Session, message: ResultReport, subject: Subject, seen: Seen, cycle_id: int, follows: Follows
) -> None:
    await catch(session, seen.questions, subject.unit_id, subject.lot_id, cycle_id)
    broken = NewHold(follows.broken) if follows.broken else None
    if subject.unit and (follows.inherited or broken):
        await quality.hold_upward(
            session,
            subject.unit.id,
            message.serial,
            cycle_id,
            follows.inherited,
            broken,
            is_inside=bool(seen.above),
        )
    elif subject.lot:
        await quality.hold_lot(session, subject.lot.id, message.serial, cycle_id, follows.inherited, broken)
    if follows.article and seen.station_id is not None:
        await open_first_article(session, message.station, seen.station_id, cycle_id, follows.article, message.people)


def _to_review(progress: Progress, step: StepPlan, verdict: Verdict, said: Sequence[Said]) -> str | None:
    """Why the unit is held for review: what the report broke, or one failure too many."""
    reasons = [finding.found for finding in said]
    limit = step.conditions.attempts
    if limit is not None and verdict == "failed":
        tries = progress.at(step).after(step, passed=False).tries()
        if tries >= limit:
            reasons.append(f"Step {step.operation} was tried {tries} of {limit} times: the review board decides.")
    return " ".join(reasons)[:2000] or None


def _require_same(session: Session, message: ResultReport, seen: Seen) -> None:
    """Let a repeat pass; another result under the same number must not be taken for one, and be lost."""
    if seen.cycle_digest and session.digest != seen.cycle_digest:  # cycles of old have none
        recorded = seen.cycle_answer or {}
        what = f"another result of {recorded['serial']}, from {seen.cycle_times[0]} to {seen.cycle_times[1]}"
        raise CycleReused(cycle=message.cycle, station=message.station, recorded=what, serial=message.serial)


def _covers(message: ResultReport, subject: Subject, seen: Seen) -> bool:
    """Whether the permit of this number is for what was done: a permit for one unit or step covers no other."""
    step = next((s for s in subject.steps.values() if s.id == seen.permit_step_id), None)
    is_step = message.operation is None or step is None or step.operation == message.operation
    return seen.permit_serial == message.serial and is_step


async def _require_understood(
    session: Session, message: ResultReport, subject: Subject, seen: Seen, progress: Progress
) -> StepPlan:
    """Find the step, or list all that keeps the report from being understood: it stays with its sender then."""
    errors: list[dict[str, Any]] = []
    if seen.station_id is None:
        errors.append({"at": "station", "read": message.station, "expected": "a station of the plant"})
    if subject.unit is None and subject.lot is None:
        errors.append({"at": "serial", "read": message.serial, "expected": "a unit or lot that is known"})
    if message.tool and seen.station_id and _tool_id(message, seen) is None:
        errors.append({"at": "tool", "read": message.tool, "expected": f"a tool of station {message.station}"})
    parts = await part_ids(session, {component.part for component in message.components})
    errors += [
        {"at": f"components.{i + 1}.part", "read": component.part, "expected": "a part that is known"}
        for i, component in enumerate(message.components)
        if component.part not in parts
    ]
    step = progress.step
    if step is None and not errors:
        has = f"operations {', '.join(subject.steps)}" if subject.plan else "no route"
        expected = f"a station of its route; {message.serial} has {has}"
        errors.append({"at": "station", "read": message.station, "expected": expected})
    if step is not None:
        errors += misunderstandings(step, message.values)
        errors += misunderstood_curves(step, [(c.characteristic, c.ordinal) for c in message.curves])
    if subject.unit is None and (message.components or message.lots or message.removals):
        errors.append({"at": "serial", "read": message.serial, "expected": "a unit: parts can't be fitted into a lot"})
    if errors or step is None:
        raise Malformed(f"Report {message.cycle} of station {message.station}", errors)
    return step


async def _first_heard(session: Session, message: ResultReport, known: Mapping[str, UnitRow]) -> Mapping[str, UnitRow]:
    unknown = {c.serial: c.part for c in message.components if c.serial not in known}
    if not unknown:
        return {}
    ids = await part_ids(session, set(unknown.values()))
    return await units.record_first_heard(session, [(serial, ids[part]) for serial, part in unknown.items()])


def _inherited(fitting: Fitting, seen: Seen, known: Mapping[str, UnitRow], lots: Mapping[str, LotRow]) -> list[int]:
    """The open holds on what was fitted or used up: the unit is held by each of them from now on."""
    units_by_id = {unit.id: unit for unit in known.values()}
    lots_by_id = {lot.id: lot for lot in lots.values()}
    found: dict[int, None] = {}
    for fit in fitting.fits:
        unit = units_by_id.get(fit.child_id) if fit.child_id is not None else None
        lot = lots_by_id.get(fit.lot_id) if fit.lot_id is not None else None
        found |= {hold.id: None for hold in holds_on(seen, unit=unit, lot=lot)}
    return list(found)


async def _advance(
    session: Session, subject: Subject, seen: Seen, progress: Progress, verdict: str, *, is_clean: bool
) -> str:
    """Move the unit (and its order) or the lot on; its state afterwards."""
    assert progress.step is not None  # noqa: S101
    is_complete = progress.after(progress.step, passed=verdict == "passed").is_complete()
    if subject.unit is None:
        assert subject.lot is not None  # noqa: S101
        event = LotEvent.PASS if is_complete and is_clean else LotEvent.FAIL
        return await materials.inspect(session, subject.lot, event)
    unit = subject.unit
    if seen.order_state == "released" and unit.order_id is not None:
        await orders.start(session, unit.order_id)
    state = NEXT_STATE[unit.state, UnitEvent.FINISH if is_complete else UnitEvent.WORK]
    assert state is not None  # noqa: S101 - a result is a fact in every state
    if state != unit.state and unit.order_id is not None:
        if state == UnitState.FINISHED:
            await orders.count_finished(session, unit.order_id, unit.part_id)
        elif unit.state == UnitState.FINISHED:
            await orders.count_unfinished(session, unit.order_id, unit.part_id)
    return state


def _to_record(
    session: Session,
    message: ResultReport,
    subject: Subject,
    seen: Seen,
    step: StepPlan,
    answer: ReportAnswer,
    verdicts: Judgement,
) -> dict[str, Any]:
    return {
        "station_id": seen.station_id,
        "cycle": message.cycle,
        "asker": message.asker,
        "unit_id": subject.unit_id,
        "lot_id": subject.lot_id,
        "step_id": step.id,
        "permit_id": seen.permit_id,
        "tool_id": _tool_id(message, seen),
        "verdict": answer.verdict,
        "station_verdict": message.verdict,
        "answer": answer.model_dump_json(),
        "program_revision": message.program_revision,
        "operator": message.operator,
        "second_operator": message.second_operator,
        "waivers": answer.waivers,
        "report_verdicts": json.dumps(verdicts.verdicts),
        "report_digest": session.digest,
        "started_at": message.started_at,
        "ended_at": message.ended_at,
        # never before its station says that it ended, nor in time to come: clocks count from it
        "heard_at": min(session.at, max(message.heard_at, message.ended_at)) if message.heard_at else None,
        "versions": [finding.version for finding in verdicts.broken],
        "codes": [finding.code.value for finding in verdicts.broken],
        "facts": [json.dumps({**finding.facts, "detail": finding.detail}) for finding in verdicts.broken],
    }


def _tool_id(message: ResultReport, seen: Seen) -> int | None:
    return next((id_ for id_, code, _ in seen.tools if code == message.tool), None)


def drawn_curves(message: ResultReport) -> dict[str, set[int]]:
    """The curves that came, by characteristic: their ordinals."""
    drawn: defaultdict[str, set[int]] = defaultdict(set)
    for curve in message.curves:
        drawn[curve.characteristic].add(curve.ordinal)
    return drawn


def _curves(message: ResultReport, step: StepPlan) -> list[measurements.CurveToRecord]:
    ids = {c.name: c.id for c in step.characteristics}
    return [measurements.CurveToRecord(ids[c.characteristic], c.ordinal, c.x, c.y) for c in message.curves]
