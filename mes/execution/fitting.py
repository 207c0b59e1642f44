"""Compares what a report says was fitted, used up and taken out with what is recorded: which edges to add and close,
and what it breaks. Pure: no I/O."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from mes.execution.messages import Component, ResultReport
from mes.execution.queries import Seen
from mes.execution.rules import FindingCode
from mes.genealogy.service import Fit
from mes.materials.queries import LotRow
from mes.products.rules import BomItemPlan, StepPlan
from mes.units.queries import UnitRow
from mes.units.rules import State


@dataclass(slots=True)
class Fitting:
    """What a report changes in the genealogy, and what it breaks."""

    fits: list[Fit] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    used: dict[int, Decimal] = field(default_factory=dict)
    broken: defaultdict[FindingCode, list[str]] = field(default_factory=lambda: defaultdict(list))


def compare(
    report: ResultReport, step: StepPlan, seen: Seen, units: Mapping[str, UnitRow], lots: Mapping[str, LotRow]
) -> Fitting:
    """Work out the edges of one report. `units` and `lots` are those it names, locked."""
    fitting = Fitting()
    bom = {item.part: item for item in step.components}
    taken = {(f.part_id, f.position) for f in seen.fitted if f.child_id is not None}
    inside = {f.child_id: (f.part_id, f.position) for f in seen.fitted if f.child_id is not None}
    for serial in report.removals:
        unit = units.get(serial)
        if unit is None or unit.id not in inside or unit.id in fitting.removed:
            fitting.broken[FindingCode.REMOVAL_UNKNOWN].append(serial)
        else:
            fitting.removed.append(unit.id)
            taken.discard(inside[unit.id])
    # a unit can't be fitted into what is inside it: the tree would have no end
    elsewhere = {child for child in seen.elsewhere if child not in fitting.removed} | seen.above
    placed: set[int] = {units[report.serial].id} if report.serial in units else set()
    for component in report.components:
        _place(fitting, component, units[component.serial], bom.get(component.part), taken, elsewhere | placed)
        placed.add(units[component.serial].id)
    _use_lots(fitting, report, bom, lots)
    if report.verdict == "passed":
        _look_for_gaps(fitting, step, seen, taken)
    return fitting


def _place(
    fitting: Fitting,
    component: Component,
    unit: UnitRow,
    item: BomItemPlan | None,
    taken: set[tuple[int, int | None]],
    elsewhere: set[int],
) -> None:
    named = f"{component.part} {component.serial} at {component.position}"
    broken = fitting.broken
    if unit.id in elsewhere:
        broken[FindingCode.COMPONENT_ELSEWHERE].append(named)
        return
    if (unit.part_id, component.position) in taken:
        broken[FindingCode.POSITION_TAKEN].append(named)
        return
    if item is None or item.part_id != unit.part_id or component.position > item.quantity:
        broken[FindingCode.COMPONENT_WRONG].append(named)
    if unit.state in {State.ISSUED, State.IN_PROCESS}:
        broken[FindingCode.COMPONENT_UNFINISHED].append(named)
    if unit.lot_id is None and unit.order_id is None:
        broken[FindingCode.COMPONENT_UNKNOWN].append(named)
    taken.add((unit.part_id, component.position))
    fitting.fits.append(Fit(unit.part_id, unit.id, unit.lot_id, component.position, Decimal(1)))


def _use_lots(
    fitting: Fitting, report: ResultReport, bom: Mapping[str, BomItemPlan], lots: Mapping[str, LotRow]
) -> None:
    by_part_id = {item.part_id: item for item in bom.values()}
    for consumed in report.lots:
        lot = lots.get(consumed.lot)
        if lot is None:
            fitting.broken[FindingCode.LOT_UNKNOWN].append(consumed.lot)
            continue
        item = by_part_id.get(lot.part_id)
        if item is None or item.trace != "lot":
            fitting.broken[FindingCode.LOT_WRONG].append(consumed.lot)
        fitting.used[lot.id] = fitting.used.get(lot.id, Decimal(0)) + consumed.quantity
        fitting.fits.append(Fit(lot.part_id, None, lot.id, None, consumed.quantity))
    by_id = {lot.id: lot for lot in lots.values()}
    for lot_id, quantity in fitting.used.items():
        if quantity > by_id[lot_id].quantity_left:
            left = max(by_id[lot_id].quantity_left, Decimal(0)).normalize()
            fitting.broken[FindingCode.LOT_OVERDRAWN].append(f"{by_id[lot_id].number} ({quantity} of {left:f})")
    touched = {fit.lot_id for fit in fitting.fits}
    fitting.broken[FindingCode.LOT_NOT_RELEASED] += [
        lot.number for lot in lots.values() if lot.id in touched and lot.state != "released"
    ]


def _look_for_gaps(fitting: Fitting, step: StepPlan, seen: Seen, taken: set[tuple[int, int | None]]) -> None:
    used: defaultdict[int, Decimal] = defaultdict(Decimal)
    for edge in seen.fitted:
        if edge.child_id is None:
            used[edge.part_id] += edge.quantity
    for fit in fitting.fits:
        if fit.child_id is None:
            used[fit.part_id] += fit.quantity
    for item in step.components:
        if item.trace == "serial":
            gaps = [p for p in range(1, int(item.quantity) + 1) if (item.part_id, p) not in taken]
            if gaps:
                shown = ", ".join(map(str, gaps[:10])) + (" ..." if len(gaps) > 10 else "")
                fitting.broken[FindingCode.COMPONENT_MISSING].append(f"{item.part} at {shown}")
        elif item.trace == "lot" and float(used[item.part_id]) < item.quantity * 0.9:
            fitting.broken[FindingCode.COMPONENT_MISSING].append(
                f"{item.part}: {float(used[item.part_id]):g} of {item.quantity:g} {item.unit_of_measure}"
            )
