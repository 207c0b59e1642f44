"""Tells a unit's history for reading: each cycle, refusal and decision with what it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mes.products.rules import CharacteristicPlan, ProductPlan
from mes.quality.messages import DispositionRecord
from mes.records.messages import CycleRecord, History, RefusalRecord
from mes.web.rendering import number

Value = float | str


@dataclass(frozen=True, slots=True)
class Measured:
    """What a cycle measured of one characteristic: its values in short, and what passes. `count` leaves out missing."""

    name: str
    count: int
    missing: int
    values: str
    limits: str


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the history: a cycle with its values, a refusal, or a decision about the unit."""

    at: datetime
    cycle: CycleRecord | None = None
    refusal: RefusalRecord | None = None
    decision: DispositionRecord | None = None
    measured: Sequence[Measured] = ()


def events_of(known: History, plan: ProductPlan | None) -> list[Event]:
    """Everything that happened to a unit, in order of time."""
    events = [Event(cycle.reported_at, cycle=cycle, measured=_measured(cycle, plan)) for cycle in known.cycles]
    events += [Event(refusal.asked_at, refusal=refusal) for refusal in known.refusals]
    events += [Event(decision.decided_at, decision=decision) for decision in known.dispositions]
    return sorted(events, key=lambda event: event.at)


def _measured(cycle: CycleRecord, plan: ProductPlan | None) -> list[Measured]:
    step = plan.steps.get(cycle.operation) if plan else None
    planned = {c.name: c for c in step.characteristics} if step else {}
    return [
        Measured(
            name,
            count=len(known),
            missing=len(values) - len(known),
            values=_short(known, planned.get(name)),
            limits=_limits(planned.get(name)),
        )
        for name, values in cycle.values.items()
        if (known := [value for value in values if value is not None])
    ]


def _short(values: Sequence[Value], planned: CharacteristicPlan | None) -> str:
    numbers = [value for value in values if isinstance(value, int | float)]
    unit = f" {planned.unit}" if planned and planned.unit else ""
    if planned and planned.kind == "boolean":
        yes, no = sum(map(bool, numbers)), sum(not value for value in numbers)
        counted = [f"{yes} yes" if yes else "", f"{no} no" if no else ""]
        return ", ".join(filter(None, counted)) if len(numbers) > 1 else "yes" if yes else "no"
    if numbers:
        least, most = min(numbers), max(numbers)
        return f"{number(least)}{unit}" if least == most else f"{number(least)} to {number(most)}{unit}"
    texts = [str(value) for value in values]
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"


def _limits(planned: CharacteristicPlan | None) -> str:
    if planned is None or planned.kind == "boolean":
        return "yes" if planned and planned.lower else ""
    if planned.expected is not None:
        return planned.expected
    lower = None if planned.lower is None else number(planned.lower)
    upper = None if planned.upper is None else number(planned.upper)
    if lower and upper:
        return lower if lower == upper else f"{lower} to {upper}"
    return f"at least {lower}" if lower else f"at most {upper}" if upper else ""
