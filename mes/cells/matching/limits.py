"""Which hard rules an assignment of cells to positions breaks, in words."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from mes.cells.matching.pool import PoolCell, Rules, Shape, is_value

_ROUNDING = 1e-9


def check(cells: Sequence[PoolCell], shape: Shape, rules: Rules) -> list[str]:
    """Every rule that these cells, in the order of their positions, break as one kit; none: the kit is good.

    ACIR is judged when any of the cells has a value: a kit without one ACIR value is a kit matched by capacity.
    """
    if len(cells) != shape.cells:
        return [f"{len(cells)} cells, {shape.cells} are asked"]
    broken = [f"cell {cell} twice" for cell in _twice([cell.id for cell in cells])]
    broken += _over("models", {cell.model for cell in cells}, 1)
    broken += _over("grades", {cell.grade for cell in cells}, 1 if rules.one_grade else len(cells))
    broken += _over("lots", {cell.lot for cell in cells}, rules.lots_per_kit)
    has_acir = any(is_value(cell.acir_mohm) for cell in cells)
    for position, cell in enumerate(cells, start=1):
        why = unusable(cell, rules, has_acir=has_acir)
        broken += [f"position {position}: {why}"] if why else []
    groups = [cells[at : at + shape.per_group] for at in range(0, shape.cells, shape.per_group)]
    for number, group in enumerate(groups, start=1):
        broken += [f"group {number}: {said}" for said in group_check(group, rules)]
    if all(is_value(cell.capacity_ah) for cell in cells):
        sums = [sum(cell.capacity_ah or 0 for cell in group) for group in groups]
        broken += _too_wide("spread between the groups' capacity", sums, rules.group_spread_pct)
    return broken


def group_check(cells: Sequence[PoolCell], rules: Rules) -> list[str]:
    """Every rule that the cells of one group break among themselves."""
    broken = [*_over("lots", {cell.lot for cell in cells}, rules.lots_per_group)]
    capacities = [cell.capacity_ah or 0 for cell in cells if is_value(cell.capacity_ah)]
    impedances = [cell.acir_mohm or 0 for cell in cells if is_value(cell.acir_mohm)]
    broken += _too_wide("capacity spread", capacities, rules.capacity_spread_pct)
    broken += _too_wide("ACIR spread", impedances, rules.acir_spread_pct)
    return broken


def unusable(cell: PoolCell, rules: Rules, *, has_acir: bool) -> str | None:
    """Say why a cell can be in no kit. `has_acir`: others it would sit beside have an ACIR value."""
    if cell.is_apart:
        return "its carton is damaged or hasn't arrived"
    if rules.grades and cell.grade not in rules.grades:
        return "wrong grade" if cell.grade else "no grade"
    if rules.max_age_d is not None and not cell.age_d <= rules.max_age_d:
        return "too old"
    if not is_value(cell.capacity_ah):
        return "no capacity value"
    if has_acir and not is_value(cell.acir_mohm):
        return "no ACIR value"
    return None


def spread_pct(values: Sequence[float]) -> float:
    """(greatest - least) / mean, in %."""
    return 100 * (max(values) - min(values)) / fmean(values)


def _over(name: str, found: set[object] | set[str] | set[int] | set[str | None], most: int) -> Iterator[str]:
    if len(found) > most:
        yield f"{len(found)} {name}, at most {most} allowed"


def _too_wide(name: str, values: Sequence[float], most: float) -> Iterator[str]:
    if values and (spread := spread_pct(values)) > most + _ROUNDING:
        yield f"{name} {spread:.3g} %, at most {most:g} % is allowed"


def _twice(ids: Sequence[int]) -> list[int]:
    return sorted({one for one in ids if ids.count(one) > 1})
