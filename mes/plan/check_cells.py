"""Checks how a product's cells are tested, graded and matched."""

from collections.abc import Collection, Iterator, Mapping

from mes.plan.check_bom import Part
from mes.plan.problem import Problem, check_limits, twice
from mes.products.cell_rules import IncomingSpec, MatchingSpec
from mes.products.messages import ProductSpec

_CERTIFIED = ("ocv_v", "acir_mohm", "capacity_ah")


def check_cells(at: str, product: ProductSpec, parts: Mapping[str, Part], broken: Collection[str]) -> Iterator[Problem]:
    """Find what is wrong in `incoming`, `matching`, and the steps that ask for a kit."""
    part = parts.get(product.part)
    if product.incoming is not None:
        if part is not None and (part.trace != "serial" or part.serial_pattern is not None):
            expected = f"none: {product.part} isn't received with a serial for each piece"
            yield Problem(f"{at}/incoming", "a mapping", expected)
        yield from _check_incoming(f"{at}/incoming", product.incoming)
    if product.matching is not None:
        yield from _check_matching(f"{at}/matching", product, product.matching, broken)
    for index, step in enumerate(product.route):
        fitted = {item.part for item in product.bom if item.operation == step.operation}
        if step.from_kit and (product.matching is None or product.matching.part not in fitted):
            expected = "true only where this operation fits the part that `matching` names"
            yield Problem(f"{at}/route/{index}/from_kit", "true", expected)


def _check_incoming(at: str, spec: IncomingSpec) -> Iterator[Problem]:
    yield from twice(f"{at}/readings/{{}}/name", [reading.name for reading in spec.readings], "each reading once")
    for index, reading in enumerate(spec.readings):
        yield from check_limits(f"{at}/readings/{index}", reading)
        if reading.gauge_error is not None and reading.name not in _CERTIFIED:
            expected = f"none: a certificate says {', '.join(_CERTIFIED)} alone"
            yield Problem(f"{at}/readings/{index}/gauge_error", f"{reading.gauge_error:g}", expected)
        if reading.is_sampled and spec.sampling is None:
            yield Problem(f"{at}/readings/{index}/is_sampled", "true", "a `sampling` plan beside the readings")
    if spec.sampling is not None and not any(reading.is_sampled for reading in spec.readings):
        yield Problem(f"{at}/sampling", "a mapping", "a reading with is_sampled: true, or no sampling")
    k_value = spec.k_value
    if k_value is not None and k_value.min_h > k_value.max_h:
        yield Problem(f"{at}/k_value/min_h", f"{k_value.min_h:g}", f"at most max_h, {k_value.max_h:g}")


def _check_matching(at: str, product: ProductSpec, spec: MatchingSpec, broken: Collection[str]) -> Iterator[Problem]:
    items = [item for item in product.bom if item.part == spec.part]
    if not items and spec.part not in broken:
        expected = f"a component of {product.part}: {', '.join(item.part for item in product.bom) or 'it has none'}"
        yield Problem(f"{at}/part", spec.part, expected)
    elif len(items) > 1:
        yield Problem(f"{at}/part", spec.part, "a component that one operation fits: its positions are the kit's")
    elif any(item.quantity <= item.groups for item in items):
        yield Problem(f"{at}/part", spec.part, "a component in groups of two or more: `groups` of the bill of material")
    yield from twice(f"{at}/grades/{{}}", spec.grades, "each grade once")
