"""What the simulated stations must know of products: routes, limits and what is fitted where, read from their files."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Characteristic:
    """What a step measures."""

    name: str
    kind: str = "number"
    count: int = 1
    lower: float | None = None
    upper: float | None = None
    expected: Any = None

    def accepts(self, value: Any) -> bool:
        """Judge as a station's own program does."""
        if self.expected is not None:
            return bool(value == self.expected)
        if self.kind != "number":
            return value is not None
        above = self.lower is None or value >= self.lower
        return above and (self.upper is None or value <= self.upper)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A line of the bill of material."""

    part: str
    quantity: float
    groups: int = 1


@dataclass(frozen=True)
class Product:
    """A part with a route of its own."""

    part: str
    steps: dict[str, list[Characteristic]] = field(default_factory=dict)
    bom: dict[str, list[Fitted]] = field(default_factory=dict)


@dataclass(frozen=True)
class Products:
    """All products of the files read."""

    by_part: dict[str, Product]

    def module_of(self, pack: str) -> Product | None:
        """The product that is built first and goes into the pack."""
        fitted = (line.part for lines in self.by_part[pack].bom.values() for line in lines)
        return next((self.by_part[part] for part in fitted if part in self.by_part), None)

    def route(self, pack: str) -> list[tuple[str, Product]]:
        """The operations of a pack's module, then the pack's own."""
        module = self.module_of(pack)
        first = [(operation, module) for operation in module.steps] if module else []
        return [*first, *((operation, self.by_part[pack]) for operation in self.by_part[pack].steps)]

    @cached_property
    def receiving(self) -> Product | None:
        """The product whose lots are received at operation 010."""
        return next((product for product in self.by_part.values() if "010" in product.steps), None)

    def characteristics_at(self, operation: str) -> dict[str, Characteristic]:
        """Every characteristic that some product has at an operation; the largest count of each."""
        found: dict[str, Characteristic] = {}
        for product in self.by_part.values():
            for one in product.steps.get(operation, ()):
                if one.name not in found or found[one.name].count < one.count:
                    found[one.name] = one
        return found


def load_products(paths: list[Path]) -> Products:
    """Read product files."""
    by_part: dict[str, Product] = {}
    for path in paths:
        for read in (yaml.safe_load(path.read_text("utf-8")) or {}).get("products", ()):
            product = Product(read["part"])
            for step in read.get("route", ()):
                product.steps[step["operation"]] = [_characteristic(one) for one in step.get("characteristics", ())]
            for line in read.get("bom", ()):
                fitted = Fitted(line["part"], line["quantity"], line.get("groups", 1))
                product.bom.setdefault(line["operation"], []).append(fitted)
            by_part[product.part] = product
    return Products(by_part)


def _characteristic(read: dict[str, Any]) -> Characteristic:
    return Characteristic(
        name=read["name"],
        kind=read.get("kind", "number"),
        count=read.get("count", 1),
        lower=read.get("min"),
        upper=read.get("max"),
        expected=read.get("expected"),
    )
