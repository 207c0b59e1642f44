"""Checks what a plant's files say against each other and against what is stored: one problem for each thing wrong."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mes.plan.check_bom import A_PART, Part, check_bom
from mes.plan.check_cells import check_cells
from mes.plan.check_steps import check_route
from mes.plan.messages import PlantFiles
from mes.plan.problem import Problem, check_limits, loops, twice
from mes.plant.messages import SiteSpec
from mes.products.messages import NumberColumnSpec, PartSpec, ProductSpec


@dataclass(frozen=True, slots=True)
class KnownPart:
    """A part as it is stored. A used one stands in a bill of material, a lot, a revision or an order."""

    trace: str
    unit: str
    serial_pattern: str | None
    is_used: bool = False


@dataclass(frozen=True, slots=True)
class KnownProduct:
    """The newest revision of a product as it is stored; alternates are components too."""

    components: tuple[str, ...]
    steps: int


@dataclass(frozen=True)
class Known:
    """What is stored already; `broken` names what the files give but couldn't be understood.

    `zones`: those of the files' time zones that the database knows; it always knows UTC.
    """

    parts: Mapping[str, KnownPart] = field(default_factory=dict)
    products: Mapping[str, KnownProduct] = field(default_factory=dict)
    broken: Collection[str] = ()
    zones: Collection[str] = ()


def check(files: PlantFiles, known: Known) -> list[Problem]:
    """Find everything that is wrong, in the order sites, parts, products."""
    parts: dict[str, Part] = {**known.parts, **{part.number: part for part in files.parts}}
    return [
        *_check_sites(files.sites),
        *_check_zones(files.sites, known.zones),
        *_check_parts(files, known),
        *twice("/products/{}/part", [product.part for product in files.products], "each product once"),
        *(
            problem
            for index, product in enumerate(files.products)
            for problem in _check_product(f"/products/{index}", product, parts, known.broken)
        ),
        *_check_made(files, known),
        *_check_loops(files, known),
    ]


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
            yield from twice(f"/sites/{s}/lines/{n}/shift_starts/{{}}", line.shift_starts, "each shift once")
            for m, station in enumerate(line.stations):
                at = f"/sites/{s}/lines/{n}/stations/{m}"
                yield from once("station", at, station.code)
                yield from twice(f"{at}/operations/{{}}", station.operations, "each operation once")
                for t, tool in enumerate(station.tools):
                    yield from once("tool", f"{at}/tools/{t}", tool.code)


def _check_zones(sites: Sequence[SiteSpec], zones: Collection[str]) -> Iterator[Problem]:
    for index, site in enumerate(sites):
        if site.timezone != "UTC" and site.timezone not in zones:
            yield Problem(f"/sites/{index}/timezone", site.timezone, "a time zone that the database knows by this name")


def _check_parts(files: PlantFiles, known: Known) -> Iterator[Problem]:
    yield from twice("/parts/{}/number", [part.number for part in files.parts], "each part number once")
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
        if part.pot_life_min and part.trace == "none":
            yield Problem(f"{at}/pot_life_min", f"{part.pot_life_min:g}", "none: only parts with a trace have lots")
        if part.fefo and part.trace != "lot":
            yield Problem(f"{at}/fefo", "true", "none: only lots of parts with trace: lot are used up in an order")
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
            yield from check_limits(f"{at}/receiving/{name}", column)


def _check_product(at: str, product: ProductSpec, parts: Mapping[str, Part], broken: Collection[str]) -> list[Problem]:
    problems = [*check_route(at, product, broken), *check_bom(at, product, parts, broken)]
    problems += check_cells(at, product, parts, broken)
    if product.part in parts and parts[product.part].trace == "none":
        problems.append(Problem(f"{at}/part", product.part, "a part with trace: serial or lot"))
    elif product.part not in parts and product.part not in broken:
        problems.append(Problem(f"{at}/part", product.part, A_PART))
    return problems


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
    places = {product.part: _component_places(f"/products/{p}", product) for p, product in enumerate(files.products)}
    components |= {number: tuple(found) for number, found in places.items()}
    for loop in loops(components, places):
        expected = f"a part that isn't made of {loop[0]}; this goes round: {' needs '.join(loop)}"
        yield Problem(places[loop[0]][loop[1]], loop[1], expected)


def _component_places(at: str, product: ProductSpec) -> dict[str, str]:
    """Where each component, or alternate of one, is named."""
    places: dict[str, str] = {}
    for index, item in enumerate(product.bom):
        places.setdefault(item.part, f"{at}/bom/{index}/part")
        for n, number in enumerate(item.alternates):
            places.setdefault(number, f"{at}/bom/{index}/alternates/{n}")
    return places
