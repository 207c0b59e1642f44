"""The act behind *this happened*."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import BigInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import Session
from mes.errors import Malformed
from mes.execution import answers, rules
from mes.execution.fitting import Fitting, compare
from mes.execution.messages import ReportAnswer, ResultReport, Verdict
from mes.execution.queries import Seen, lock_named, part_ids
from mes.execution.rules import FindingCode, Said, WorkFacts
from mes.execution.subject import CycleReused, Subject, find_subject, route_facts, see_subject
from mes.genealogy import service as genealogy
from mes.materials import service as materials
from mes.materials.queries import LotRow
from mes.materials.rules import Event as LotEvent
from mes.measurements import service as measurements
from mes.measurements.rules import judge, misunderstandings
from mes.orders import service as orders
from mes.products.rules import StepPlan, find_step
from mes.quality import service as quality
from mes.quality.service import NewHold
from mes.statement import Clause, compose
from mes.units import service as units
from mes.units.queries import UnitRow
from mes.units.rules import NEXT as NEXT_STATE
from mes.units.rules import Event as UnitEvent
from mes.units.rules import State as UnitState

RECORD = Clause(
    """
    recorded AS (
        INSERT INTO cycle (id, station_id, cycle, asker, unit_id, lot_id, step_id, permit_id, tool_id, verdict,
                           station_verdict, answer, program_revision, operator, started_at, ended_at, reported_at)
        OVERRIDING SYSTEM VALUE
        VALUES (coalesce(:cycle_id, nextval('cycle_id_seq')), :station_id, :cycle, :asker, :unit_id, :lot_id, :step_id,
                :permit_id, :tool_id, :verdict, :station_verdict, CAST(:answer AS jsonb), :program_revision, :operator,
                :started_at, :ended_at, :at)
        RETURNING id),
    found AS (
        INSERT INTO finding (cycle_id, code, rules_version, facts)
        SELECT recorded.id, f.code, :rules_version, f.facts::jsonb
        FROM recorded, unnest(:codes, :facts) AS f (code, facts))
    """,
    {
        **dict.fromkeys(
            ("cycle_id", "station_id", "unit_id", "lot_id", "permit_id", "tool_id", "rules_version"), BigInteger()
        ),
        "codes": ARRAY(Text),
        "facts": ARRAY(Text),
    },
)
# One statement writes all of a result: each capability brings the clause that writes what is its own.
_WRITE = (RECORD, measurements.RECORD, genealogy.INSTALL, materials.USE_UP, units.MOVE)


async def report_result(session: Session, message: ResultReport) -> ReportAnswer:
    """*This happened.* Records it whole, judges it, and says what it breaks; a repeat gets the same answer again."""
    named = {message.serial, *(c.serial for c in message.components), *message.removals}
    known, lots = await lock_named(session, named, {message.serial, *(used.lot for used in message.lots)})
    subject = await find_subject(session, message.serial, known, lots)
    seen = await see_subject(session, message, subject, known, lots)
    if seen.cycle_answer is not None:
        _require_same(message, seen)
        session.repeated()
        return ReportAnswer.model_validate(seen.cycle_answer)
    if seen.permit_serial != message.serial:  # a permit for one unit covers no other
        seen = replace(seen, permit_id=None, permit_granted=None)
    step = await _require_understood(session, message, subject, seen)
    judged = judge(step, message.values)
    verdict: Verdict = "failed" if judged.failed or message.verdict == "failed" else "passed"
    known |= await _first_heard(session, message, known)
    fitting = compare(message, step, seen, known, lots) if _fits_anything(message, step) else Fitting()
    inherited = _inherited(fitting, seen, known, lots)
    route = route_facts(message, subject, seen, step)
    work = WorkFacts(message.cycle, seen.permit_granted, fitting.broken)
    said = rules.findings(route, work)
    state = await _advance(session, subject, seen, step, verdict, is_clean=not said)
    answer = answers.report(message, step, verdict, judged, said, state)
    cycle_id = None
    if subject.unit and fitting.removed:
        cycle_id = await genealogy.remove(session, subject.unit.id, fitting.removed)
    result = {
        "cycle_id": cycle_id,
        **_to_record(message, subject, seen, step, answer, said),
        **measurements.to_record(judged, _curves(message, step)),
        **genealogy.to_install(subject.unit_id, fitting.fits),
        **materials.to_use_up(fitting.used),
        **units.to_move(subject.unit, UnitState(state) if subject.unit else None),
    }
    if said and subject.unit:
        rows = await session.run(compose(*_WRITE, answer="SELECT id FROM recorded"), **result)
        broken = NewHold(" ".join(finding.text for finding in said)[:2000], None, None)
        await quality.hold_upward(session, subject.unit.id, rows[0]["id"], [*inherited, broken])
    else:
        session.write_last(*_WRITE, **result)
    session.tell("cycle", station=message.station, serial=message.serial, verdict=verdict, state=state)
    return answer


def _require_same(message: ResultReport, seen: Seen) -> None:
    """Let a repeat pass; another result under the same number must not be taken for one, and be lost."""
    recorded = seen.cycle_answer or {}
    sent = (message.serial, message.verdict, message.started_at, message.ended_at)
    if sent != (recorded["serial"], recorded["station_verdict"], *seen.cycle_times):
        what = f"another result of {recorded['serial']}, from {seen.cycle_times[0]} to {seen.cycle_times[1]}"
        raise CycleReused(cycle=message.cycle, station=message.station, recorded=what, serial=message.serial)


async def _require_understood(session: Session, message: ResultReport, subject: Subject, seen: Seen) -> StepPlan:
    """Find the step, or list all that keeps the report from being understood: it stays with its sender then."""
    errors: list[dict[str, Any]] = []
    if seen.station_id is None:
        errors.append({"at": "station", "read": message.station, "expected": "a station of the plant"})
    if subject.unit is None and subject.lot is None:
        errors.append({"at": "serial", "read": message.serial, "expected": "a unit or lot that is known"})
    if message.tool and seen.station_id and seen.tool_id is None:
        errors.append({"at": "tool", "read": message.tool, "expected": f"a tool of station {message.station}"})
    parts = await part_ids(session, {component.part for component in message.components})
    errors += [
        {"at": f"components.{i + 1}.part", "read": component.part, "expected": "a part that is known"}
        for i, component in enumerate(message.components)
        if component.part not in parts
    ]
    step = find_step(subject.plan, seen.operations) if subject.plan else None
    if step is None and not errors:
        has = f"operations {', '.join(subject.plan.steps)}" if subject.plan else "no route"
        expected = f"a station of its route; {message.serial} has {has}"
        errors.append({"at": "station", "read": message.station, "expected": expected})
    if step is not None:
        errors += misunderstandings(step, message.values)
        curves = {c.name for c in step.characteristics if c.kind == "curve"}
        errors += [
            {"at": f"curves.{i + 1}", "read": c.characteristic, "expected": f"one of {', '.join(curves) or 'none'}"}
            for i, c in enumerate(message.curves)
            if c.characteristic not in curves
        ]
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


def _fits_anything(message: ResultReport, step: StepPlan) -> bool:
    return bool(message.components or message.lots or message.removals or step.components)


def _inherited(fitting: Fitting, seen: Seen, known: Mapping[str, UnitRow], lots: Mapping[str, LotRow]) -> list[NewHold]:
    """The holds that come along with what was fitted, noted as a finding too."""
    serials = {unit.id: unit.serial for unit in known.values()}
    numbers = {lot.id: lot.number for lot in lots.values()}
    children = {fit.child_id for fit in fitting.fits if fit.child_id is not None}
    lot_ids = {fit.lot_id for fit in fitting.fits if fit.lot_id is not None}
    held = [hold for hold in seen.holds if hold.unit_id in children or hold.lot_id in lot_ids]
    for hold in held:
        name = serials[hold.unit_id] if hold.unit_id is not None else numbers.get(hold.lot_id or 0, "lot")
        fitting.broken[FindingCode.COMPONENT_ON_HOLD].append(name)
    return [NewHold(hold.reason, hold.id, hold.containment_id) for hold in held]


async def _advance(
    session: Session, subject: Subject, seen: Seen, step: StepPlan, verdict: str, *, is_clean: bool
) -> str:
    """Move the unit (and its order) or the lot on; its state afterwards."""
    assert subject.plan is not None  # noqa: S101
    passed = seen.passed_steps | {step.id} if verdict == "passed" else seen.passed_steps - {step.id}
    is_complete = all(s.id in passed for s in subject.plan.steps.values())
    if subject.unit is None:
        assert subject.lot is not None  # noqa: S101
        event = LotEvent.PASS if is_complete and is_clean else LotEvent.FAIL
        return await materials.inspect(session, subject.lot, event)
    unit = subject.unit
    if seen.order_state == "released" and unit.order_id is not None:
        await orders.start(session, unit.order_id)
    state = NEXT_STATE[unit.state, UnitEvent.FINISH if is_complete else UnitEvent.WORK]
    if state == UnitState.FINISHED and unit.state != state and unit.order_id is not None:
        await orders.count_finished(session, unit.order_id, unit.part_id)
    return state


def _to_record(
    message: ResultReport, subject: Subject, seen: Seen, step: StepPlan, answer: ReportAnswer, said: Sequence[Said]
) -> dict[str, Any]:
    return {
        "station_id": seen.station_id,
        "cycle": message.cycle,
        "asker": message.asker,
        "unit_id": subject.unit_id,
        "lot_id": subject.lot_id,
        "step_id": step.id,
        "permit_id": seen.permit_id,
        "tool_id": seen.tool_id,
        "verdict": answer.verdict,
        "station_verdict": message.verdict,
        "answer": answer.model_dump_json(),
        "program_revision": message.program_revision,
        "operator": message.operator,
        "started_at": message.started_at,
        "ended_at": message.ended_at,
        "rules_version": rules.VERSION,
        "codes": [finding.code.value for finding in said],
        "facts": [json.dumps(dict(finding.facts)) for finding in said],
    }


def _curves(message: ResultReport, step: StepPlan) -> list[measurements.CurveToRecord]:
    ids = {c.name: c.id for c in step.characteristics}
    return [measurements.CurveToRecord(ids[c.characteristic], c.ordinal, c.x, c.y) for c in message.curves]
