"""What a cell's readings come to: its grade, or why it has none. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median

from mes.products.cell_rules import IncomingSpec, KValueSpec, ReadingSpec

CERTIFIED = ("ocv_v", "acir_mohm", "capacity_ah")
MEASURED = (*CERTIFIED, "mass_g", "diameter_mm", "height_mm")


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a cell; `values`: of MEASURED, those that were taken."""

    tested_at: datetime
    is_retest: bool
    values: Mapping[str, float]
    temperature_c: float | None = None
    visual_ok: bool | None = None


@dataclass(frozen=True, slots=True)
class CellSeen:
    """What is known of a cell: its readings, oldest first, and what the supplier's certificate says of it."""

    unit_id: int
    serial: str
    readings: Sequence[Reading]
    certified: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Counted:
    """The readings that count, as one: of each value the latest; K in mV/h, or why there is none."""

    values: Mapping[str, float]
    visual_ok: bool | None
    k_mv_h: float | None
    no_k: str
    tested_at: datetime | None


@dataclass(frozen=True, slots=True)
class Graded:
    """A cell's grade, or the reasons why it has none. `values`: what it is matched by, the certificate's where only
    that says it."""

    cell: CellSeen
    grade: str | None
    reasons: tuple[str, ...]
    values: Mapping[str, float]
    k_mv_h: float | None
    tested_at: datetime | None
    disagrees: tuple[str, ...]  # what the certificate says otherwise, beyond gauge error


def count(cell: CellSeen, spec: IncomingSpec) -> Counted:
    """Take the readings that count: the first ones, and those of one re-test after its rest, which replace them."""
    first = [reading for reading in cell.readings if not reading.is_retest]
    rested_at = first[-1].tested_at + timedelta(hours=spec.retest_after_h) if first else None
    again = [r for r in cell.readings if r.is_retest and (rested_at is None or r.tested_at >= rested_at)]
    ends_at = again[0].tested_at + timedelta(hours=spec.k_value.max_h if spec.k_value else 0) if again else None
    again = [reading for reading in again if ends_at is not None and reading.tested_at <= ends_at]
    series = [*first, *again]
    values = {name: value for reading in series for name, value in reading.values.items()}
    looked_at = [reading.visual_ok for reading in series if reading.visual_ok is not None]
    pair = again if sum("ocv_v" in reading.values for reading in again) > 1 else first
    k_mv_h, no_k = k_value(pair, spec.k_value) if spec.k_value else (None, "")
    last = series[-1].tested_at if series else None
    return Counted(values, looked_at[-1] if looked_at else None, k_mv_h, no_k, last)


def k_value(readings: Sequence[Reading], spec: KValueSpec) -> tuple[float | None, str]:
    """K = (OCV1 - OCV2) / (t2 - t1) in mV/h, signed; or None and why. Plant rule 5."""
    voltages = [reading for reading in readings if "ocv_v" in reading.values]
    if len(voltages) < 2:
        return None, "no second OCV reading"
    before = voltages[0]
    why = ""
    for after in voltages[1:]:
        hours = (after.tested_at - before.tested_at).total_seconds() / 3600
        if not spec.min_h <= hours <= spec.max_h:
            why = f"the OCV readings lie {hours:.1f} h apart, {spec.min_h:g} to {spec.max_h:g} h are asked"
        elif before.temperature_c is None or after.temperature_c is None:
            why = "an OCV reading without its temperature"
        elif abs(after.temperature_c - before.temperature_c) > spec.max_difference_c:
            apart = abs(after.temperature_c - before.temperature_c)
            why = f"the OCV readings differ by {apart:.1f} K, at most {spec.max_difference_c:g} K is asked"
        else:
            return round(1000 * (before.values["ocv_v"] - after.values["ocv_v"]) / hours, 9), ""
    return None, why


def medians(counted: Sequence[Counted]) -> dict[str, float]:
    """The lot's median of each value."""
    found: dict[str, list[float]] = {}
    for one in counted:
        for name, value in one.values.items():
            found.setdefault(name, []).append(value)
    return {name: median(values) for name, values in found.items()}


def grade_cell(cell: CellSeen, counted: Counted, middle: Mapping[str, float], spec: IncomingSpec) -> Graded:
    """Judge one cell by its own limits and beside its lot, and give it its grade."""
    reasons = [said for reading in spec.readings for said in _judge(reading, counted.values, middle)]
    if spec.visual and counted.visual_ok is not True:
        reasons.append("visual check failed" if counted.visual_ok is False else "not looked at")
    if spec.k_value is not None:
        if counted.k_mv_h is not None and counted.k_mv_h > spec.k_value.max_mv_h:
            reasons.append(f"K {counted.k_mv_h:.4f} mV/h, at most {spec.k_value.max_mv_h:g}")
        elif counted.k_mv_h is None and (spec.k_value.is_required or counted.no_k != "no second OCV reading"):
            reasons.append(counted.no_k)
    values = {**cell.certified, **counted.values}
    bins = [
        ("C", "capacity_ah", values.get("capacity_ah"), spec.capacity_bin_ah),
        ("R", "acir_mohm", values.get("acir_mohm"), spec.acir_bin_mohm),
        ("K", "second OCV reading", counted.k_mv_h, spec.k_bin_mv_h),
    ]
    reasons += [f"no {name} to grade it by" for _, name, value, width in bins if width and value is None]
    grade = "-".join(f"{letter}{lower_edge(v, width)}" for letter, _, v, width in bins if width and v is not None)
    errors = {reading.name: reading.gauge_error for reading in spec.readings if reading.gauge_error is not None}
    disagrees = tuple(
        name
        for name, error in errors.items()
        if name in counted.values and name in cell.certified and _apart(counted.values, cell.certified, name) > error
    )
    tested_at = counted.tested_at
    if reasons:
        return Graded(cell, None, tuple(dict.fromkeys(reasons)), values, counted.k_mv_h, tested_at, disagrees)
    return Graded(cell, grade or "A", (), values, counted.k_mv_h, tested_at, disagrees)


def _apart(one: Mapping[str, float], other: Mapping[str, float], name: str) -> float:
    return round(abs(one[name] - other[name]), 9)


def lower_edge(value: float, width: float) -> str:
    """Name a bin by its lower edge, with the width's decimals: 15.17 in bins of 0.1 is 15.1."""
    exponent = Decimal(repr(width)).normalize().as_tuple().exponent
    decimals = max(0, -int(exponent))
    return f"{math.floor(round(value / width, 9)) * width:.{decimals}f}"


def fails(reading: ReadingSpec, value: float) -> bool:
    """Whether a value lies outside the reading's own limits."""
    return (reading.min is not None and value < reading.min) or (reading.max is not None and value > reading.max)


def _judge(reading: ReadingSpec, values: Mapping[str, float], middle: Mapping[str, float]) -> Iterator[str]:
    name, value = reading.name, values.get(reading.name)
    if value is None:
        if not reading.is_sampled:
            yield f"no {name}"
        return
    if fails(reading, value):
        least = "" if reading.min is None else f"at least {reading.min:g}"
        most = "" if reading.max is None else f"at most {reading.max:g}"
        yield f"{name} {value:g}, {' and '.join(filter(None, (least, most)))}"
    apart, beside = round(abs(value - middle[name]), 9), f"from the lot's median {middle[name]:g}, at most"
    if reading.from_median is not None and apart > reading.from_median:
        yield f"{name} {value:g} lies {apart:.4g} {beside} {reading.from_median:g}"
    if reading.from_median_pct is not None and 100 * apart > reading.from_median_pct * abs(middle[name]):
        share = 100 * apart / abs(middle[name]) if middle[name] else math.inf
        yield f"{name} {value:g} lies {share:.1f} % {beside} {reading.from_median_pct:g} %"
