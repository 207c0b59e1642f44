"""Puts the station door's answers into words."""

from collections.abc import Sequence

from mes.execution.messages import (
    ExpectedCharacteristic,
    ExpectedComponent,
    Failure,
    Finding,
    PermitAnswer,
    PermitRequest,
    RecipeAnswer,
    Refusal,
    ReportAnswer,
    ResultReport,
    RuleVerdict,
    Verdict,
    WhyAnswer,
)
from mes.execution.rules import Judgement
from mes.execution.rules.progress import Progress
from mes.execution.rules.words import REVIEWED, WORDS, Reason, Said
from mes.measurements.rules import Judged, expectation
from mes.products.rules import ProductPlan, StepPlan

SHOWN_FAILURES = 100


def permit(
    message: PermitRequest,
    plan: ProductPlan | None,
    step: StepPlan | None,
    said: Sequence[Said],
    waivers: Sequence[int] = (),
) -> PermitAnswer:
    """Word the answer to "may I?"."""
    granted = not said and step is not None
    recipe = None
    if granted and step and step.recipe:
        recipe = RecipeAnswer(name=step.recipe.name, digest=step.recipe.digest, parameters=step.recipe.parameters)
    return PermitAnswer(
        granted=granted,
        station=message.station,
        cycle=message.cycle,
        serial=message.serial,
        operation=step.operation if step else None,
        part=plan.part if plan else None,
        recipe=recipe,
        components=_components(step) if granted and step else [],
        characteristics=_characteristics(step) if granted and step else [],
        refusals=refusals(said),
        waivers=list(waivers),
    )


def why(message: PermitRequest, progress: Progress, judgement: Judgement, facts: dict[str, str]) -> WhyAnswer:
    """Word the answer to "why?"."""
    verdicts = [
        RuleVerdict(rule=Reason(rule), version=version, verdict=verdict)
        for rule, (version, verdict) in judgement.verdicts.items()
    ]
    return WhyAnswer(
        station=message.station,
        serial=message.serial,
        granted=not judgement.broken,
        operation=progress.step.operation if progress.step else None,
        next_step=progress.next_step(),
        refusals=refusals(judgement.broken),
        waivers=judgement.waived,
        verdicts=verdicts,
        facts=facts,
    )


def refusals(said: Sequence[Said]) -> list[Refusal]:
    """Word the reasons against."""
    return [Refusal(code=s.code, text=s.text, clears=s.clears, who=list(WORDS[s.code].who)) for s in said]


def _components(step: StepPlan) -> list[ExpectedComponent]:
    return [
        ExpectedComponent(
            part=item.part,
            trace=item.trace,
            quantity=item.quantity,
            unit_of_measure=item.unit_of_measure,
            groups=item.groups,
        )
        for item in step.components
    ]


def _characteristics(step: StepPlan) -> list[ExpectedCharacteristic]:
    return [
        ExpectedCharacteristic(
            name=c.name, kind=c.kind, unit=c.unit, count=c.count, lower=c.lower, upper=c.upper, expected=c.expected
        )
        for c in step.characteristics
    ]


def report(
    message: ResultReport,
    step: StepPlan,
    verdict: Verdict,
    judged: Judged,
    said: Sequence[Said],
    waivers: Sequence[int],
    state: str,
) -> ReportAnswer:
    """Word the answer to "this happened"; at most 100 failures are listed, all are counted."""
    return ReportAnswer(
        station=message.station,
        cycle=message.cycle,
        serial=message.serial,
        operation=step.operation,
        verdict=verdict,
        station_verdict=message.verdict,
        failures=[
            Failure(
                characteristic=f.characteristic.name,
                index=f.index,
                value=f.value,
                expected=expectation(f.characteristic),
            )
            for f in judged.failures[:SHOWN_FAILURES]
        ],
        failure_count=len(judged.failures),
        findings=[Finding(code=s.code, text=s.found, clears=REVIEWED) for s in said],
        waivers=list(waivers),
        unit_state=state,
    )
