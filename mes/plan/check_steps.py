"""Checks a product's route: its steps, what they follow, measure and ask for, which mend or replace others."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from mes.plan.check_charts import check_chart
from mes.plan.problem import Problem, check_limits, loops, reached, twice
from mes.products.messages import CharacteristicSpec, ClockSpec, ProductSpec, StepSpec


def check_route(at: str, product: ProductSpec, broken: Collection[str]) -> Iterator[Problem]:
    """Find what is wrong in the steps of a product."""
    route = Route(product, broken)
    yield from _check_recipes(at, product, broken)
    yield from twice(f"{at}/route/{{}}/operation", route.operations, "each operation once in a route")
    for index, step in enumerate(product.route):
        here = f"{at}/route/{index}"
        yield from _check_after(here, step, route)
        yield from _check_conditions(here, step, route)
        yield from _check_characteristics(here, step)
    for loop in loops(route.follows):
        here = f"{at}/route/{route.operations.index(loop[0])}/after"
        expected = f"operations that come before {loop[0]}; this goes round: {' after '.join(loop)}"
        yield Problem(here, ", ".join(route.follows[loop[0]]), expected)


@dataclass(frozen=True)
class Route:
    """A route as its steps refer to each other."""

    product: ProductSpec
    broken: Collection[str]

    @cached_property
    def operations(self) -> list[str]:
        """The operations in the order of the work."""
        return [step.operation for step in self.product.route]

    @cached_property
    def steps(self) -> dict[str, StepSpec]:
        """The steps by operation."""
        return {step.operation: step for step in self.product.route}

    @cached_property
    def follows(self) -> dict[str, list[str]]:
        """What must have passed before each operation, defaults filled in."""
        return dict(zip(self.operations, self.product.predecessors(), strict=True))

    def before(self, step: StepSpec) -> list[str]:
        """Operations from whose end a clock of the step can run: what leads to it, what replaces or mends these."""
        leads = {o: [*self.follows[o], *self.steps[o].rework_of] for o in self.steps}
        found = reached(leads[step.operation], leads)
        found |= {o for o, other in self.steps.items() if other.instead_of in found}
        found |= {other.instead_of for o, other in self.steps.items() if o in found and other.instead_of}
        found |= {o for o, other in self.steps.items() if not found.union([step.operation]).isdisjoint(other.rework_of)}
        return [o for o in self.operations if o in found and o != step.operation]

    def check_names(self, at: str, names: Sequence[str], owner: StepSpec) -> Iterator[Problem]:
        """Find names that aren't operations of this route, are the step's own, or stand there twice."""
        yield from twice(f"{at}/{{}}", names, "each operation once")
        for index, name in enumerate(names):
            yield from self.check_name(f"{at}/{index}", name, owner)

    def check_name(self, at: str, name: str, owner: StepSpec) -> Iterator[Problem]:
        """Find a name that isn't an operation of this route, or is the step's own."""
        if name not in self.steps and name not in self.broken:
            yield Problem(at, name, f"an operation of this route: {', '.join(self.operations)}")
        elif name == owner.operation:
            yield Problem(at, name, "another operation than its own")

    def others(self, names: Sequence[str], owner: StepSpec) -> Iterator[tuple[int, StepSpec]]:
        """The other steps of these names, with their indices, as far as they are known."""
        for index, name in enumerate(names):
            if name in self.steps and name != owner.operation:
                yield index, self.steps[name]


def _check_recipes(at: str, product: ProductSpec, broken: Collection[str]) -> Iterator[Problem]:
    names = [recipe.name for recipe in product.recipes]
    yield from twice(f"{at}/recipes/{{}}/name", names, "each recipe once")
    used = {step.recipe for step in product.route}
    for index, name in enumerate(names):
        if name not in used and not broken:
            yield Problem(f"{at}/recipes/{index}/name", name, "a recipe that a step of the route works with")
    for index, step in enumerate(product.route):
        if step.recipe and step.recipe not in names and step.recipe not in broken:
            expected = f"one of this product's recipes: {', '.join(names) or 'it has none'}"
            yield Problem(f"{at}/route/{index}/recipe", step.recipe, expected)


def _check_after(at: str, step: StepSpec, route: Route) -> Iterator[Problem]:
    names = step.after or []
    yield from twice(f"{at}/after/{{}}", names, "each operation once")
    for n, name in enumerate(names):
        if name not in route.steps and name not in route.broken:
            yield Problem(f"{at}/after/{n}", name, f"an operation of this route: {', '.join(route.operations)}")
    for n, other in route.others(names, step):
        if other.rework_of and not step.rework_of:
            expected = f"a step that is no rework: {other.operation} is done to units alone that failed"
            yield Problem(f"{at}/after/{n}", other.operation, expected)
        late = reached([other.operation], route.follows).intersection(step.rework_of)
        if late:
            expected = f"an operation that comes before {', '.join(sorted(late))}, which has failed when this is done"
            yield Problem(f"{at}/after/{n}", other.operation, expected)


def _check_conditions(at: str, step: StepSpec, route: Route) -> Iterator[Problem]:
    if step.reads_back and step.recipe is None:
        yield Problem(f"{at}/reads_back", "true", "a recipe of this step to compare with, or no reads_back")
    for index, clock in enumerate(step.clocks):
        yield from _check_clock(f"{at}/clocks/{index}", clock, step, route)
    if step.instead_of is not None:
        yield from _check_replaced(f"{at}/instead_of", step.instead_of, step, route)
    yield from route.check_names(f"{at}/rework_of", step.rework_of, step)
    for n, other in route.others(step.rework_of, step):
        if other.rework_of:
            yield Problem(f"{at}/rework_of/{n}", other.operation, f"a step that is no rework; {other.operation} is one")
    for field, names in (("repeats", step.repeats), ("refits", step.refits)):
        if names and not step.rework_of:
            yield Problem(f"{at}/{field}", ", ".join(names), "none: only a step with rework_of has it")
        else:
            yield from route.check_names(f"{at}/{field}", names, step)


def _check_clock(at: str, clock: ClockSpec, step: StepSpec, route: Route) -> Iterator[Problem]:
    before = route.before(step)
    if clock.after not in before and clock.after not in route.broken:
        expected = f"an operation that comes before {step.operation}: {', '.join(before) or 'there is none'}"
        yield Problem(f"{at}/after", clock.after, expected)
    if clock.at_least_min is None and clock.at_most_min is None:
        yield Problem(at, "neither", "at_least_min, at_most_min or both")
    elif clock.at_least_min is not None and clock.at_most_min is not None and clock.at_least_min > clock.at_most_min:
        yield Problem(f"{at}/at_least_min", f"{clock.at_least_min:g}", f"at most at_most_min, {clock.at_most_min:g}")


def _check_replaced(at: str, name: str, step: StepSpec, route: Route) -> Iterator[Problem]:
    yield from route.check_name(at, name, step)
    for _, other in route.others([name], step):
        if other.instead_of is not None:
            yield Problem(at, name, f"a step that replaces none itself; {name} is there instead of {other.instead_of}")
        elif bool(other.rework_of) != bool(step.rework_of):
            kind = "a rework step, as this is one" if step.rework_of else f"a step that is no rework; {name} is one"
            yield Problem(at, name, kind)


def _check_characteristics(at: str, step: StepSpec) -> Iterator[Problem]:
    names = [characteristic.name for characteristic in step.characteristics]
    yield from twice(f"{at}/characteristics/{{}}/name", names, "each characteristic once in a step")
    for index, characteristic in enumerate(step.characteristics):
        yield from _check_characteristic(f"{at}/characteristics/{index}", characteristic)
        if characteristic.spc is not None:
            yield from check_chart(f"{at}/characteristics/{index}/spc", characteristic, characteristic.spc)


def _check_characteristic(at: str, spec: CharacteristicSpec) -> Iterator[Problem]:
    if spec.kind == "number":
        yield from check_limits(at, spec)
    else:
        for limit, value in (("min", spec.min), ("max", spec.max)):
            if value is not None:
                yield Problem(f"{at}/{limit}", f"{value:g}", f"no {limit}: a {spec.kind} has none, only a number has")
    kinds = {"boolean": bool, "text": str}
    if spec.expected is not None and not isinstance(spec.expected, kinds.get(spec.kind, type(None))):
        read = str(spec.expected).lower() if isinstance(spec.expected, bool) else spec.expected
        sentences = {
            "boolean": "true or false",
            "text": "a text in quotes",
            "number": "min and max: a number has limits; or kind: boolean or text",
            "curve": "none: a curve has no expected value",
        }
        yield Problem(f"{at}/expected", read, sentences[spec.kind])
