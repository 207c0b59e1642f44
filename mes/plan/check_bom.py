"""Checks a product's bill of material: parts and their alternates, operations, quantities and positions."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

from mes.plan.problem import Problem
from mes.products.messages import BomItemSpec, ProductSpec

A_PART = "the number of a part in the files or already stored"


class Part(Protocol):
    """What is asked of a part, in the files or stored: how it is traced and counted."""

    @property
    def trace(self) -> str:
        """How its pieces are traced."""
        ...

    @property
    def unit(self) -> str:
        """What it is counted in."""
        ...

    @property
    def serial_pattern(self) -> str | None:
        """How serials are issued for it; None: it isn't made here."""
        ...


def check_bom(at: str, product: ProductSpec, parts: Mapping[str, Part], broken: Collection[str]) -> Iterator[Problem]:
    """Find what is wrong in the components of a product. `parts`: all that are known, by number."""
    operations = [step.operation for step in product.route]
    pairs = Counter((item.part, item.operation) for item in product.bom)
    for index, item in enumerate(product.bom):
        here = f"{at}/bom/{index}"
        if item.part not in parts and item.part not in broken:
            yield Problem(f"{here}/part", item.part, A_PART)
        if item.operation not in operations and item.operation not in broken:
            expected = f"an operation of this product's route: {', '.join(operations)}"
            yield Problem(f"{here}/operation", item.operation, expected)
        if pairs[item.part, item.operation] > 1:
            yield Problem(f"{here}/part", item.part, f"each part once at operation {item.operation}: add them up")
        if item.part in parts:
            yield from _check_quantity(here, item, parts[item.part].trace)
    yield from _check_alternates(at, product, parts, broken)
    yield from _check_places(at, product, parts)


def _check_quantity(at: str, item: BomItemSpec, trace: str) -> Iterator[Problem]:
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
    elif item.groups != 1:
        expected = f"none: {item.part} is not traced by serial, so has no positions"
        yield Problem(f"{at}/groups", str(item.groups), expected)


def _check_alternates(
    at: str, product: ProductSpec, parts: Mapping[str, Part], broken: Collection[str]
) -> Iterator[Problem]:
    taken: defaultdict[str, set[str]] = defaultdict(set)  # operation -> alternates of the components before
    for index, item in enumerate(product.bom):
        seen: set[str] = set()
        for n, number in enumerate(item.alternates):
            expected = _not_alternate(number, item, product, parts, broken)
            if expected is None and number in seen:
                expected = "each alternate once"
            elif expected is None and number in taken[item.operation]:
                expected = f"an alternate of one component alone at operation {item.operation}"
            seen.add(number)
            if expected is not None:
                yield Problem(f"{at}/bom/{index}/alternates/{n}", number, expected)
        taken[item.operation] |= seen


def _not_alternate(
    number: str, item: BomItemSpec, product: ProductSpec, parts: Mapping[str, Part], broken: Collection[str]
) -> str | None:
    """What is expected instead of this part as an alternate of a component; None: it is right."""
    if number == item.part:
        return f"another part than {number} itself"
    if any(number == other.part for other in product.bom):
        return f"a part that is no component of {product.part} itself"
    if number not in parts:
        return None if number in broken else A_PART
    own, other = parts.get(item.part), parts[number]
    if own is not None and own.trace != other.trace:
        return f"a part with trace: {own.trace}, as {item.part} has; {number} has {other.trace}"
    if own is not None and own.unit != other.unit:
        return f"a part counted in {own.unit}, as {item.part} is; {number} is counted in {other.unit}"
    return None


def _check_places(at: str, product: ProductSpec, parts: Mapping[str, Part]) -> Iterator[Problem]:
    """A part's positions are numbered within its parent, so at two operations they would collide."""
    own = {item.part for item in product.bom}
    stands: dict[str, str] = {}
    for index, item in enumerate(product.bom):
        here = f"{at}/bom/{index}"
        alternates = [(f"{here}/alternates/{n}", a) for n, a in enumerate(item.alternates) if a not in own]
        for pointer, number in [(f"{here}/part", item.part), *alternates]:
            if number not in parts or parts[number].trace != "serial":
                continue
            first = stands.setdefault(number, item.operation)
            if first != item.operation:
                expected = f"each serial-traced part at one operation; {number} stands at {first} already"
                yield Problem(pointer, number, expected)
