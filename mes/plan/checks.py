"""Checks what a plant's files say against each other and against what is stored: one problem for each thing wrong."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mes.plan.messages import PlantFiles
from mes.plant.messages import SiteSpec
from mes.products.messages import BomItemSpec, CharacteristicSpec, NumberColumnSpec, PartSpec, ProductSpec, StepSpec


class Problem(NamedTuple):
    """Something wrong at a JSON pointer [RFC 6901] into the message."""

    at: str
    read: str
    expected: str


@dataclass(frozen=True, slots=True)
class KnownPart:
    """A part as it is stored. A used one stands in a bill of material, a lot, a revision or an order."""

    trace: str
    unit: str
    serial_pattern: str | None
    is_used: bool = False


@dataclass(frozen=True, slots=True)
class KnownProduct:
    """The newest revision of a product as it is stored."""

    components: tuple[str, ...]
    steps: int


@dataclass(frozen=True)
class Known:
    """What is stored already; `broken` names what the files give but couldn't be understood."""

    parts: Mapping[str, KnownPart] = field(default_factory=dict)
    products: Mapping[str, KnownProduct] = field(default_factory=dict)
    broken: Collection[str] = ()


def check(files: PlantFiles, known: Known) -> list[Problem]:
    """Find everything that is wrong, in the order sites, parts, products."""
    traces = {number: part.trace for number, part in known.parts.items()}
    traces |= {part.number: part.trace for part in files.parts}
    return [
        *_check_sites(files.sites),
        *_check_parts(files, known),
        *_twice("/products/{}/part", [product.part for product in files.products], "each product once"),
        *(
            problem
            for index, product in enumerate(files.products)
            for problem in _check_product(f"/products/{index}", product, traces, known.broken)
        ),
        *_check_made(files, known),
        *_check_loops(files, known),
    ]


def _twice(at: str, names: Sequence[str], expected: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield Problem(at.format(index), name, expected)
        seen.add(name)


def _check_sites(sites: Sequence[SiteSpec]) -> Iterator[Problem]:
    codes: Counter[tuple[str, str]] = Counter()

    def once(kind: str, at: str, code: str) -> Iterator[Problem]:
        codes[kind, code] += 1
        if codes[kind, code] > 1:
            yield Problem(f"{at}/code", code, f"a code that no other {kind} has")

    for s, site in enumerate(sites):
        yield from once("site", f"/sites/{s}", site.code)
        for n, line in enumerate(site.lines):
            yield from once("line", f"/sites/{s}/lines/{n}", line.code)
            for m, station in enumerate(line.stations):
                at = f"/sites/{s}/lines/{n}/stations/{m}"
                yield from once("station", at, station.code)
                yield from _twice(f"{at}/operations/{{}}", station.operations, "each operation once")
                for t, tool in enumerate(station.tools):
                    yield from once("tool", f"{at}/tools/{t}", tool.code)


def _check_parts(files: PlantFiles, known: Known) -> Iterator[Problem]:
    yield from _twice("/parts/{}/number", [part.number for part in files.parts], "each part number once")
    for index, part in enumerate(files.parts):
        at = f"/parts/{index}"
        before = known.parts.get(part.number)
        if before and before.is_used and part.trace != before.trace:
            expected = f"{before.trace}: {part.number} is used already, and its pieces were traced so"
            yield Problem(f"{at}/trace", part.trace, expected)
        if before and before.is_used and part.unit != before.unit:
            expected = f"{before.unit}: {part.number} is used already, and its quantities were counted so"
            yield Problem(f"{at}/unit", part.unit, expected)
        if part.serial_pattern and part.trace != "serial":
            yield Problem(f"{at}/serial_pattern", part.serial_pattern, "none: only parts with trace: serial have one")
        yield from _check_receiving(at, part)


def _check_receiving(at: str, part: PartSpec) -> Iterator[Problem]:
    if part.receiving is None:
        return
    if part.trace != "serial":
        yield Problem(f"{at}/receiving", "a mapping", "none: only parts with trace: serial are received by a file")
    columns = part.receiving.columns()
    headings = Counter(column.column for column in columns.values())
    for name, column in columns.items():
        if headings[column.column] > 1:
            yield Problem(f"{at}/receiving/{name}/column", column.column, "a column for each field")
        if isinstance(column, NumberColumnSpec):
            yield from _check_limits(f"{at}/receiving/{name}", column)


def _check_limits(at: str, spec: NumberColumnSpec | CharacteristicSpec) -> Iterator[Problem]:
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        yield Problem(f"{at}/min", f"{spec.min:g}", f"at most max, {spec.max:g}")


def _check_product(at: str, product: ProductSpec, traces: Mapping[str, str], broken: Collection[str]) -> list[Problem]:
    def unknown(name: str) -> bool:
        return name not in traces and name not in broken

    problems = [
        *_check_recipes(at, product, broken),
        *_check_route(at, product, broken),
        *_check_bom(at, product, traces, unknown, broken),
    ]
    if unknown(product.part):
        problems.append(Problem(f"{at}/part", product.part, "the number of a part in the files or already stored"))
    elif traces.get(product.part) == "none":
        problems.append(Problem(f"{at}/part", product.part, "a part with trace: serial or lot"))
    return problems


def _check_recipes(at: str, product: ProductSpec, broken: Collection[str]) -> Iterator[Problem]:
    names = [recipe.name for recipe in product.recipes]
    yield from _twice(f"{at}/recipes/{{}}/name", names, "each recipe once")
    used = {step.recipe for step in product.route}
    for index, name in enumerate(names):
        if name not in used and not broken:
            yield Problem(f"{at}/recipes/{index}/name", name, "a recipe that a step of the route works with")
    for index, step in enumerate(product.route):
        if step.recipe and step.recipe not in names and step.recipe not in broken:
            expected = f"one of this product's recipes: {', '.join(names) or 'it has none'}"
            yield Problem(f"{at}/route/{index}/recipe", step.recipe, expected)


def _check_route(at: str, product: ProductSpec, broken: Collection[str]) -> Iterator[Problem]:
    operations = [step.operation for step in product.route]
    yield from _twice(f"{at}/route/{{}}/operation", operations, "each operation once in a route")
    for index, step in enumerate(product.route):
        here = f"{at}/route/{index}"
        yield from _twice(f"{here}/after/{{}}", step.after or [], "each operation once")
        for n, before in enumerate(step.after or []):
            if before not in operations and before not in broken:
                expected = f"an operation of this route: {', '.join(operations)}"
                yield Problem(f"{here}/after/{n}", before, expected)
        yield from _check_characteristics(here, step)
    follows = {step.operation: before for step, before in zip(product.route, product.predecessors(), strict=True)}
    for loop in _loops(follows):
        here = f"{at}/route/{operations.index(loop[0])}/after"
        expected = f"operations that come before {loop[0]}; this goes round: {' after '.join(loop)}"
        yield Problem(here, ", ".join(follows[loop[0]]), expected)


def _check_characteristics(at: str, step: StepSpec) -> Iterator[Problem]:
    names = [characteristic.name for characteristic in step.characteristics]
    yield from _twice(f"{at}/characteristics/{{}}/name", names, "each characteristic once in a step")
    for index, characteristic in enumerate(step.characteristics):
        yield from _check_characteristic(f"{at}/characteristics/{index}", characteristic)


def _check_characteristic(at: str, spec: CharacteristicSpec) -> Iterator[Problem]:
    if spec.kind == "number":
        yield from _check_limits(at, spec)
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


def _check_bom(
    at: str,
    product: ProductSpec,
    traces: Mapping[str, str],
    unknown: Callable[[str], bool],
    broken: Collection[str],
) -> Iterator[Problem]:
    operations = [step.operation for step in product.route]
    pairs = Counter((item.part, item.operation) for item in product.bom)
    for index, item in enumerate(product.bom):
        here = f"{at}/bom/{index}"
        if unknown(item.part):
            yield Problem(f"{here}/part", item.part, "the number of a part in the files or already stored")
        if item.operation not in operations and item.operation not in broken:
            expected = f"an operation of this product's route: {', '.join(operations)}"
            yield Problem(f"{here}/operation", item.operation, expected)
        if pairs[item.part, item.operation] > 1:
            yield Problem(f"{here}/part", item.part, f"each part once at operation {item.operation}: add them up")
        yield from _check_quantity(here, item, traces.get(item.part))


def _check_quantity(at: str, item: BomItemSpec, trace: str | None) -> Iterator[Problem]:
    if round(item.quantity, 6) != item.quantity:
        yield Problem(f"{at}/quantity", f"{item.quantity!r}", "at most 6 decimals")
    if trace == "serial":
        if item.quantity != int(item.quantity):
            yield Problem(f"{at}/quantity", f"{item.quantity:g}", f"a whole number: {item.part} is traced by serial")
        elif item.quantity > 10_000:
            yield Problem(f"{at}/quantity", f"{item.quantity:g}", "at most 10000 positions")
        elif item.quantity % item.groups:
            expected = f"a divisor of the quantity {item.quantity:g}: groups are equal"
            yield Problem(f"{at}/groups", str(item.groups), expected)
    elif trace is not None and item.groups != 1:
        yield Problem(
            f"{at}/groups", str(item.groups), f"none: {item.part} is not traced by serial, so has no positions"
        )


def _check_made(files: PlantFiles, known: Known) -> Iterator[Problem]:
    """What is made here needs serial numbers: a product with a bill of material, or a route of several steps."""
    parts = {number: (part.trace, part.serial_pattern) for number, part in known.parts.items()}
    parts |= {part.number: (part.trace, part.serial_pattern) for part in files.parts}
    made = {number for number, product in known.products.items() if product.components or product.steps > 1}
    named = {product.part: f"/products/{index}" for index, product in enumerate(files.products)}
    made = (made - named.keys()) | {product.part for product in files.products if product.bom or len(product.route) > 1}
    at = {part.number: f"/parts/{index}" for index, part in enumerate(files.parts)}
    for number in sorted(made & parts.keys() & (at.keys() | named.keys())):
        trace, pattern = parts[number]
        if trace == "lot" and number in named and any(p.bom for p in files.products if p.part == number):
            yield Problem(f"{named[number]}/bom", "a list", f"none: {number} is traced by lot, so it isn't made here")
        elif trace == "serial" and pattern is None:
            expected = f"a serial_pattern of part {number}, since it is made here"
            yield Problem(at.get(number, named.get(number, "")), number, expected)


def _check_loops(files: PlantFiles, known: Known) -> Iterator[Problem]:
    components = {number: product.components for number, product in known.products.items()}
    components |= {product.part: tuple(item.part for item in product.bom) for product in files.products}
    at = {product.part: index for index, product in enumerate(files.products)}
    for loop in _loops(components, [product.part for product in files.products]):
        index = at[loop[0]]
        n = next(n for n, item in enumerate(files.products[index].bom) if item.part == loop[1])
        expected = f"a part that isn't made of {loop[0]}; this goes round: {' needs '.join(loop)}"
        yield Problem(f"/products/{index}/bom/{n}/part", loop[1], expected)


def _loops(edges: Mapping[str, Sequence[str]], starts: Iterable[str] | None = None) -> Iterator[list[str]]:
    """Find ways from a node back to itself, [start, ..., start], one for each set of nodes."""
    found: set[frozenset[str]] = set()
    for start in edges if starts is None else starts:
        loop = _loop(start, edges)
        if loop and frozenset(loop) not in found:
            found.add(frozenset(loop))
            yield loop


def _loop(start: str, edges: Mapping[str, Sequence[str]]) -> list[str]:
    came: dict[str, str] = {}
    queue = [start]
    for node in queue:
        for following in edges.get(node, ()):
            if following == start:
                way = [start, node]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            if following not in came:
                came[following] = node
                queue.append(following)
    return []
