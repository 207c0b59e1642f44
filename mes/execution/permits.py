"""The act behind *may I?*, and the same question without effect."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mes import clock
from mes.cycles.service import ANSWER
from mes.db import ReadSession, Session
from mes.execution import answers, rules
from mes.execution.fitting import compare_request
from mes.execution.messages import OfflineAnswer, OfflinePermit, PermitAnswer, PermitRequest, WhyAnswer
from mes.execution.queries import Named, find_named, lock_named
from mes.execution.rules import Judgement
from mes.execution.rules.progress import Progress
from mes.execution.rules.words import Reason, Said
from mes.execution.seen import Seen
from mes.execution.subject import CycleReused, Subject, find_subject, gather, named_by, progress_of, see_subject
from mes.products.rules import StepPlan
from mes.quality import service as quality
from mes.quality.service import NewHold


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with all that was found out about it."""

    subject: Subject
    seen: Seen
    progress: Progress
    judgement: Judgement
    facts: dict[str, str]


async def request_permit(session: Session, message: PermitRequest) -> PermitAnswer:
    """*May I?* Answers yes, with the recipe and what is expected, or no with all reasons; a repeat the same again."""
    named = await lock_named(session, *named_by(message))
    asked = await _ask(session, message, named, session.at)
    subject, seen, step = asked.subject, asked.seen, asked.progress.step
    if seen.permit_id is not None:
        return _repeat_permit(session, message, asked)
    said = asked.judgement.broken
    if seen.station_id is None:  # nothing to store an answer under: the journal keeps it
        return answers.permit(message, subject.plan, None, said)
    _store(session, message, asked, [reason.code for reason in said], asked.judgement.details)
    session.tell("permit", **_named(message, step), granted=not said, refusals=[reason.code for reason in said])
    return answers.permit(message, subject.plan, step, said, asked.judgement.waived)


async def record_offline_permit(session: Session, message: OfflinePermit) -> OfflineAnswer:
    """Record what a gateway answered while the MES was away, and judge it again as of then.

    A permit that should not have been given stays on record as given, since the work was done under it; its unit is
    held. A repeat has no second effect.
    """
    request, asked_at = message.request, min(message.asked_at, session.at)
    asked = await _ask(session, request, await lock_named(session, *named_by(request)), asked_at, is_past=True)
    subject, seen = asked.subject, asked.seen
    if seen.permit_id is not None and seen.permit_serial != request.serial:
        raise CycleReused(
            cycle=request.cycle, station=request.station, recorded=seen.permit_serial, serial=request.serial
        )
    broken = asked.judgement.broken if message.granted else []
    answer = OfflineAnswer(
        station=request.station, cycle=request.cycle, serial=request.serial, contradictions=answers.refusals(broken)
    )
    why = " ".join(reason.text for reason in broken) or f"The MES had refused cycle {request.cycle}."
    what = f"Permitted without the MES as cycle {request.cycle} at {request.station}, by facts of then: "
    hold = NewHold((what + why)[:2000])
    is_refused = seen.permit_id is not None and not seen.permit_granted
    is_held = any(one.reason.startswith(what) and one.unit_id == subject.unit_id for one in seen.holds)
    if seen.permit_id is not None and not (message.granted and is_refused and not is_held):
        if message.granted or is_refused:
            session.repeated()
        return answer  # refused, though the record has a permit that its gateway never heard of: the journal says so
    if seen.permit_id is None and seen.station_id is not None:
        details = asked.judgement.details | {code.value: said for code, said in message.details.items()}
        _store(session, request, asked, message.refusals, details, (asked_at, message.facts_at or asked_at))
    if message.granted and (broken or is_refused):
        await _hold(session, subject, seen, hold)
    told = _named(request, asked.progress.step)
    session.tell("permit", **told, granted=message.granted, refusals=message.refusals, offline=True)
    return answer


def _store(
    session: Session,
    message: PermitRequest,
    asked: _Asked,
    refusals: Sequence[Reason],
    details: Mapping[str, str],
    offline: tuple[datetime, datetime] | None = None,
) -> None:
    """Store an answer; `offline`: when a gateway gave it without the MES, and by facts of when."""
    subject, step = asked.subject, asked.progress.step
    kept = asked.facts | ({"offline": ",".join(refusals)} if offline else {})
    session.write_last(
        ANSWER,
        station_id=asked.seen.station_id,
        cycle=message.cycle,
        asker=message.asker,
        serial=message.serial,
        unit_id=subject.unit_id,
        lot_id=subject.lot_id,
        step_id=step.id if step else None,
        granted=not refusals,
        refusals=[reason.value for reason in refusals],
        verdicts=json.dumps(asked.judgement.verdicts),
        facts=json.dumps(kept | {"details": details}),
        waivers=asked.judgement.waived,
        operator=message.operator,
        second_operator=message.second_operator,
        asked_at=offline[0] if offline else session.at,
        facts_at=offline[1] if offline else None,
    )


def _named(message: PermitRequest, step: StepPlan | None) -> dict[str, str | None]:
    return {
        "station": message.station,
        "serial": message.serial,
        "cycle": message.cycle,
        "operation": step.operation if step else None,
    }


async def _hold(session: Session, subject: Subject, seen: Seen, hold: NewHold) -> None:
    if subject.unit is not None:
        await quality.hold_upward(
            session, subject.unit.id, subject.unit.serial, None, [], hold, is_inside=bool(seen.above)
        )
    elif subject.lot is not None:
        await quality.hold_lot(session, subject.lot.id, subject.lot.number, None, [], hold)


async def explain_permit(session: ReadSession, message: PermitRequest) -> WhyAnswer:
    """Would it be refused, why, what clears it, and who may? Asked without effect."""
    asked = await _ask(session, message, await find_named(session, *named_by(message)), clock.now())
    return answers.why(message, asked.progress, asked.judgement, asked.facts)


async def _ask(
    session: ReadSession, message: PermitRequest, named: Named, at: datetime, *, is_past: bool = False
) -> _Asked:
    known, lots = named
    subject = await find_subject(session, message.serial, known, lots)
    seen = await see_subject(session, message, subject, known, lots, at)
    progress = progress_of(message, subject, seen)
    if seen.station_id is None or (subject.unit is None and subject.lot is None):
        unknown = Reason.UNIT_UNKNOWN if seen.station_id else Reason.STATION_UNKNOWN
        names = {"station": message.station, "serial": message.serial}
        judgement = Judgement(broken=[Said(unknown, 1, "", names)], verdicts={unknown.value: (1, "broken")})
        return _Asked(subject, seen, progress, judgement, names)
    parts = compare_request(message, progress, subject, seen, known, lots, at)
    facts = await gather(session, message, subject, seen, progress, parts, at)
    if is_past:  # what was opened since stops what is asked since
        facts = replace(facts, holds=[hold for hold in facts.holds if hold.opened_at <= at])
    return _Asked(subject, seen, progress, rules.judge(facts, seen.waivers), dict(facts.text))


def _repeat_permit(session: Session, message: PermitRequest, asked: _Asked) -> PermitAnswer:
    seen, subject = asked.seen, asked.subject
    if seen.permit_serial != message.serial:
        raise CycleReused(
            cycle=message.cycle, station=message.station, recorded=seen.permit_serial, serial=message.serial
        )
    session.repeated()
    details = seen.permit_facts.get("details", {})
    broken = {code: version for code, (version, word) in seen.permit_verdicts.items() if word == "broken"}
    if (offline := seen.permit_facts.get("offline")) is not None:
        # what its gateway said stands; the verdicts are what the MES would have said
        broken = {code: broken.get(code, 1) for code in offline.split(",") if code}
    said = [
        Said(code, broken[code], details.get(code, ""), seen.permit_facts) for code in Reason if code.value in broken
    ]
    step = next((s for s in subject.steps.values() if s.id == seen.permit_step_id), None)
    return answers.permit(message, subject.plan, step, said, seen.permit_waivers)
