"""The act behind *may I?*"""

import json

from sqlalchemy import BigInteger, Boolean, Text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import Session
from mes.execution import answers, rules
from mes.execution.messages import PermitAnswer, PermitRequest
from mes.execution.queries import Seen, lock_named
from mes.execution.rules import Reason, Said
from mes.execution.subject import CycleReused, Subject, find_subject, route_facts, see_subject
from mes.products.rules import StepPlan, find_step
from mes.statement import Clause

_ANSWER = Clause(
    """
    answered AS (
        INSERT INTO permit (station_id, cycle, asker, serial, unit_id, lot_id, step_id, granted, refusals, facts,
                            rules_version, operator, asked_at)
        VALUES (:station_id, :cycle, :asker, :serial, :unit_id, :lot_id, :step_id, :granted, :refusals,
                CAST(:facts AS jsonb), :rules_version, :operator, :at))
    """,
    {
        **dict.fromkeys(("station_id", "unit_id", "lot_id", "step_id", "rules_version"), BigInteger()),
        "granted": Boolean(),
        "refusals": ARRAY(Text),
    },
)


async def request_permit(session: Session, message: PermitRequest) -> PermitAnswer:
    """*May I?* Answers yes, with the recipe and what is expected, or no with all reasons; a repeat the same again."""
    found_units, found_lots = await lock_named(session, [message.serial], [message.serial])
    subject = await find_subject(session, message.serial, found_units, found_lots)
    seen = await see_subject(session, message, subject, found_units, found_lots)
    if seen.permit_id is not None:
        return await _repeat_permit(session, message, seen, subject)
    step = find_step(subject.plan, seen.operations) if subject.plan else None
    said = _reasons_against(message, subject, seen, step)
    if seen.station_id is None:  # nothing to store an answer under: the journal keeps it
        return answers.permit(message, subject.plan, None, said)
    session.write_last(
        _ANSWER,
        station_id=seen.station_id,
        cycle=message.cycle,
        asker=message.asker,
        serial=message.serial,
        unit_id=subject.unit_id,
        lot_id=subject.lot_id,
        step_id=step.id if step else None,
        granted=not said,
        refusals=[reason.code.value for reason in said],
        facts=json.dumps(dict(said[0].facts) if said else {}),
        rules_version=rules.VERSION,
        operator=message.operator,
    )
    session.tell("permit", station=message.station, serial=message.serial, granted=not said)
    return answers.permit(message, subject.plan, step, said)


async def _repeat_permit(session: Session, message: PermitRequest, seen: Seen, subject: Subject) -> PermitAnswer:
    if seen.permit_serial != message.serial:
        raise CycleReused(
            cycle=message.cycle, station=message.station, recorded=seen.permit_serial, serial=message.serial
        )
    session.repeated()
    said = [Said(Reason(code), seen.permit_facts) for code in seen.permit_refusals]
    steps = subject.plan.steps.values() if subject.plan else ()
    step = next((s for s in steps if s.id == seen.permit_step_id), None)
    return answers.permit(message, subject.plan, step, said)


def _reasons_against(message: PermitRequest, subject: Subject, seen: Seen, step: StepPlan | None) -> list[Said]:
    if seen.station_id is None:
        return [Said(Reason.STATION_UNKNOWN, {"station": message.station})]
    if subject.unit is None and subject.lot is None:
        return [Said(Reason.UNIT_UNKNOWN, {"serial": message.serial})]
    return rules.refusals(route_facts(message, subject, seen, step))
