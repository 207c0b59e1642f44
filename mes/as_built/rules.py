"""How complete a record is: what a plan asks for, what of it is known, and a name for every gap. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Literal

from mes.products.rules import ProductPlan, StepPlan

Kind = Literal["component", "origin", "document", "step", "value"]


@dataclass(frozen=True, slots=True)
class Missing:
    """A gap of one unit: `count` things of a kind."""

    kind: Kind
    text: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Checked:
    """How many things of a kind a plan asks for, and the gaps among them."""

    kind: Kind
    asked: int
    missing: Sequence[Missing] = ()


def components_asked(plan: ProductPlan) -> int:
    """How many components a revision has traced: each position of serialised ones, and each lot-traced item once."""
    return sum(int(item.quantity) if item.trace == "serial" else item.trace == "lot" for item in plan.bom)


def check_steps(plan: ProductPlan, last: Mapping[str, str]) -> Checked:
    """Look for steps that every unit must pass. `last`: operation -> passed, failed or void, of those reported."""
    main = [step for step in plan.steps.values() if step.is_main]
    missing = []
    for step in main:
        states = {last.get(operation) for operation in (step.operation, *alternatives(plan, step))}
        if not states & {"passed", "failed"}:
            why = "made void by a rework and not repeated" if "void" in states else "not reported"
            missing.append(Missing("step", f"step {step.operation} {step.name}: {why}"))
    return Checked("step", len(main), missing)


def check_values(plan: ProductPlan, counts: Mapping[str, Mapping[str, int]]) -> Checked:
    """Look for values and curves. `counts`: operation -> characteristic -> how many the last cycle of the step has.

    A step that was not reported lacks all that it measures, under its own name.
    """
    asked, missing = 0, []
    for step in plan.steps.values():
        if not step.is_main:
            continue
        done = next((one for one in (step.operation, *alternatives(plan, step)) if one in counts), None)
        measured = plan.steps[done or step.operation]
        named = f"step {measured.operation} {measured.name}"
        known = counts.get(measured.operation, {})
        asked += sum(c.count for c in measured.characteristics)
        bare = [(c, c.count - known.get(c.name, 0)) for c in measured.characteristics if known.get(c.name, 0) < c.count]
        if done is None and bare:
            text = f"{named}: nothing of what it measures"
            missing.append(Missing("value", text, sum(lacking for _, lacking in bare)))
            continue
        for c, lacking in bare:
            what = "curves" if c.kind == "curve" else "values"
            missing.append(Missing("value", f"{named}: {lacking} of {c.count} {what} of {c.name} missing", lacking))
    return Checked("value", asked, missing)


def alternatives(plan: ProductPlan, step: StepPlan) -> list[str]:
    """The operations that may be done instead of a step."""
    return [o for o, other in plan.steps.items() if other.conditions.instead_of == step.operation]


def add_up(checked: Iterable[Checked]) -> list[tuple[str, int, int, float]]:
    """Kind, asked, known and percent known: of all, then of each kind that anything is asked of."""
    asked: defaultdict[str, int] = defaultdict(int)
    known: defaultdict[str, int] = defaultdict(int)
    for one in checked:
        lacking = sum(gap.count for gap in one.missing)
        for kind in ("all", one.kind):
            asked[kind] += one.asked
            known[kind] += one.asked - lacking
    return [(kind, count, known[kind], percent(known[kind], count)) for kind, count in asked.items() if count]


def percent(known: int, asked: int) -> float:
    """A share in percent, rounded down to a tenth: 100 is said of all alone."""
    return floor(1000 * known / asked) / 10 if asked else 100.0
