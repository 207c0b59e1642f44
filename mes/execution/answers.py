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
    Verdict,
)
from mes.execution.rules import Said
from mes.measurements.rules import Judged, expectation
from mes.products.rules import ProductPlan, StepPlan

SHOWN_FAILURES = 100


def permit(
    message: PermitRequest, plan: ProductPlan | None, step: StepPlan | None, said: Sequence[Said]
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
        refusals=[Refusal(code=s.code, text=s.text, clears=s.clears) for s in said],
    )


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
    message: ResultReport, step: StepPlan, verdict: Verdict, judged: Judged, said: Sequence[Said], state: str
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
        findings=[Finding(code=s.code, text=s.text, clears=s.clears) for s in said],
        unit_state=state,
    )
