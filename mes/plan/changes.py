"""Compares what the files want with what is stored, field by field."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mes.plan.messages import Action, Change, Detail, PlantFiles
from mes.products.messages import (
    CONDITIONS,
    BomItemSpec,
    CharacteristicSpec,
    ClockSpec,
    PartSpec,
    ProductSpec,
    StepSpec,
)

Kind = Literal["site", "line", "station", "tool", "part", "product"]
Fields = dict[str, str | None]  # a field's name and its value as text
CHECKS = ("known_good_h", "known_bad_h", "daily_h")
Things = dict[tuple[Kind, str], Fields]  # (kind, code) -> its fields


def wanted_plant(files: PlantFiles) -> Things:
    """What the files say of sites, lines, stations and tools."""
    things: Things = {}
    for site in files.sites:
        things["site", site.code] = {"name": site.name, "timezone": site.timezone}
        for line in site.lines:
            shifts = said(line.shift_starts)
            things["line", line.code] = {"name": line.name, "site": site.code, "shift_starts": shifts}
            for ordinal, station in enumerate(line.stations, 1):
                things["station", station.code] = {
                    "name": station.name,
                    "line": line.code,
                    "ordinal": str(ordinal),
                    "operations": said(station.operations),
                    **{check: said(getattr(station, check)) for check in CHECKS},
                }
                for tool in station.tools:
                    due = tool.calibration_due.isoformat() if tool.calibration_due else None
                    fields: Fields = {"name": tool.name, "station": station.code, "calibration_due": due}
                    things["tool", tool.code] = fields
    return things


def said(value: str | float | Sequence[str] | None) -> str | None:
    """Say a value so that different ones differ; none, false, 0 and an empty list say nothing."""
    if not value:
        return None
    if value is True:
        return "true"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value) if isinstance(value, str | int) else ", ".join(value)


def wanted_parts(files: PlantFiles) -> Things:
    """What the files say of parts; a receiving field that isn't named is left as it is."""
    return {("part", part.number): _part_fields(part) for part in files.parts}


def _part_fields(part: PartSpec) -> Fields:
    fields: Fields = {
        "name": part.name,
        "trace": part.trace,
        "unit": part.unit,
        "serial_pattern": part.serial_pattern,
        "pot_life_min": said(part.pot_life_min),
        "fefo": said(part.fefo),
    }
    columns = part.receiving.columns() if part.receiving else {}
    for field, column in columns.items():
        limits = (getattr(column, "min", None), getattr(column, "max", None))
        fields[f"receiving {field}"] = receiving_text(column.column, *limits)
    return fields


def receiving_text(heading: str, lower: float | None, upper: float | None) -> str:
    """Say how a field is read."""
    return f"{heading}{_limits(lower, upper)}"


def compare(wanted: Things, stored: Things) -> list[Change]:
    """Say for each thing the files name what becomes of it."""
    return [_compare(kind, name, fields, stored.get((kind, name))) for (kind, name), fields in wanted.items()]


def _compare(kind: Kind, name: str, fields: Fields, before: Mapping[str, str | None] | None) -> Change:
    details = differences(before or {}, fields | {key: None for key in before or {} if key not in fields})
    if kind == "part":  # what the files don't name of a part's receiving isn't deleted
        details = [d for d in details if d.new is not None or not d.field.startswith("receiving ")]
    action: Action = "add" if before is None else ("change" if details else "none")
    return Change(kind=kind, name=name, action=action, details=details)


def compare_product(wanted: ProductSpec, stored: ProductSpec | None, newest: int) -> Change:
    """Say what becomes of a product: `newest` is its newest revision's number, 0 where it has none."""
    if stored is None:
        return Change(kind="product", name=wanted.part, action="add", revision=newest + 1, details=_outline(wanted))
    if wanted.digest() == stored.digest():
        return Change(kind="product", name=wanted.part, action="none", revision=newest)
    details = differences(product_fields(stored), product_fields(wanted))
    return Change(kind="product", name=wanted.part, action="new revision", revision=newest + 1, details=details)


def _outline(product: ProductSpec) -> list[Detail]:
    values = sum(c.count for step in product.route for c in step.characteristics)
    counts = {"steps": len(product.route), "components": len(product.bom), "values per piece": values}
    return [Detail(field=field, old=None, new=str(count)) for field, count in counts.items()]


def differences(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> list[Detail]:
    """List the fields that differ, in the order they are to have."""
    return [
        Detail(field=field, old=before.get(field), new=after.get(field))
        for field in dict.fromkeys([*after, *before])
        if before.get(field) != after.get(field)
    ]


def product_fields(product: ProductSpec) -> Fields:
    """Say a product field by field, so that two revisions can be compared by a reader."""
    fields: Fields = {}
    for kind in ("incoming", "matching"):
        spec = getattr(product, kind)
        fields |= _flat(kind, spec.model_dump(mode="json", exclude_defaults=True)) if spec else {}
    for item in product.bom:
        fields[f"bom {item.operation} {item.part}"] = _item_text(item)
    for recipe in product.recipes:
        for name, value in recipe.parameters.items():
            fields[f"recipe {recipe.name} {name}"] = str(value)
    fields["route"] = " ".join(step.operation for step in product.route)
    for step, before in zip(product.route, product.predecessors(), strict=True):
        fields[f"{step.operation} name"] = step.name
        fields[f"{step.operation} after"] = ", ".join(before) or None
        fields[f"{step.operation} recipe"] = step.recipe
        # the word keeps them apart from a characteristic called attempts or program
        fields |= {f"{step.operation} condition {name}": text for name, text in _conditions(step).items()}
        names = [c.name for c in step.characteristics]
        fields[f"{step.operation} order of values"] = ", ".join(names) or None
        for characteristic in step.characteristics:
            fields[f"{step.operation} {characteristic.name}"] = _characteristic_text(characteristic)
    return fields


def _flat(name: str, value: Any) -> Fields:
    """Say what is nested field by field; a list's items by their names."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in _flat(f"{name} {key}", inner).items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        named = {item["name"]: {key: v for key, v in item.items() if key != "name"} for item in value}
        return {name: ", ".join(named)} | _flat(name, named)
    return {name: ", ".join(value) if isinstance(value, list) else str(value)}


def _item_text(item: BomItemSpec) -> str:
    groups = f" in {item.groups} groups" if item.groups > 1 else ""
    alternates = f", or {', '.join(item.alternates)}" if item.alternates else ""
    return f"{said(item.quantity)}{groups}{alternates}"


def _conditions(step: StepSpec) -> Fields:
    fields = {name: said(getattr(step, name)) for name in CONDITIONS if name != "clocks"}
    return {"clocks": "; ".join(_clock_text(clock) for clock in step.clocks) or None, **fields}


def _clock_text(clock: ClockSpec) -> str:
    return f"after {clock.after}{_limits(clock.at_least_min, clock.at_most_min)} min"


def _characteristic_text(characteristic: CharacteristicSpec) -> str:
    times = f"{characteristic.count} x " if characteristic.count > 1 else ""
    unit = f" {characteristic.unit}" if characteristic.unit else ""
    expected = characteristic.expected
    said = str(expected).lower() if isinstance(expected, bool) else expected
    only = f", {said}" if said is not None else ""
    return f"{times}{characteristic.kind}{unit}{_limits(characteristic.min, characteristic.max)}{only}"


def _limits(lower: float | None, upper: float | None) -> str:
    if lower is None and upper is None:
        return ""
    if lower is None:
        return f", at most {upper!r}"
    if upper is None:
        return f", at least {lower!r}"
    return f", {lower!r} to {upper!r}"
