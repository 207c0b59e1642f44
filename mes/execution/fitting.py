"""Compares what is fitted, used up and taken out with what is recorded: which edges to add and close, and what it
breaks. The same before the work, of what a station is about to do, and after it. Pure: no I/O."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from mes.execution.messages import Component, PermitRequest, Removal, ResultReport
from mes.execution.rules.material import LotUse
from mes.execution.rules.progress import Progress
from mes.execution.rules.route import has_reached
from mes.execution.rules.words import Reason
from mes.execution.seen import LotSeen, OpenHold, Seen
from mes.execution.subject import Subject
from mes.genealogy.service import Fit
from mes.kits.rules import KitSeen, judge_slots, kitted
from mes.materials.queries import LotRow
from mes.products.rules import BomItemPlan, StepPlan
from mes.units.queries import UnitRow
from mes.units.rules import State

ENOUGH = 0.9  # of a lot-traced quantity; less is a gap


@dataclass(slots=True)
class Fitting:
    """What a report changes in the genealogy, and what it breaks. A reason with no names was looked at and kept."""

    fits: list[Fit] = field(default_factory=list)
    removed: list[tuple[UnitRow, Removal]] = field(default_factory=list)
    used: dict[int, Decimal] = field(default_factory=dict)
    kit: KitSeen | None = None  # that cells are fitted from, without those that come out
    from_kit: dict[int, int] = field(default_factory=dict)  # position -> the cell fitted there
    broken: defaultdict[Reason, list[str]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True)
class _Record:
    """What is recorded around a message: its subject, the units and lots it names, what they are in, the step."""

    at: datetime
    subject: Subject
    step: StepPlan | None
    seen: Seen
    progress: Progress
    units: Mapping[str, UnitRow]
    lots: Mapping[str, LotRow]
    bom: Mapping[int, BomItemPlan]  # part id, an alternate's too -> the item it serves

    def is_held(self, *, unit: UnitRow | None = None, lot: LotRow | None = None) -> bool:
        """Whether an open hold stops the use of this unit (or its order's units), or this lot, at this step."""
        return any(
            "consume" in hold.stops
            and (hold.is_behind or has_reached(self.progress, self.seen.operations, hold.at_operation))
            for hold in holds_on(self.seen, unit=unit, lot=lot)
        )


def holds_on(seen: Seen, *, unit: UnitRow | None = None, lot: LotRow | None = None) -> list[OpenHold]:
    """The open holds on a unit itself or its order, or on a lot."""
    return [
        hold
        for hold in seen.holds
        if (unit is not None and hold.unit_id == unit.id)
        or (unit is not None and hold.order_id is not None and hold.order_id == unit.order_id)
        or (lot is not None and hold.lot_id == lot.id)
    ]


def _record(
    at: datetime,
    progress: Progress,
    subject: Subject,
    seen: Seen,
    units: Mapping[str, UnitRow],
    lots: Mapping[str, LotRow],
) -> _Record:
    items = progress.step.components if progress.step else ()
    bom = {item.part_id: item for item in items}
    bom |= {part_id: item for item in items for part_id in item.alternates.values()}
    return _Record(at, subject, progress.step, seen, progress, units, lots, bom)


def compare_request(
    message: PermitRequest,
    progress: Progress,
    subject: Subject,
    seen: Seen,
    units: Mapping[str, UnitRow],
    lots: Mapping[str, LotRow],
    at: datetime,
) -> Mapping[Reason, list[str]]:
    """What is wrong with what a station is about to fit, use up and take out; nothing named, nothing judged."""
    if not (message.components or message.lots or message.removals):
        return {}
    record, fitting = _record(at, progress, subject, seen, units, lots), Fitting()
    taken = _take_out(fitting, record, message.removals)
    _put_in(fitting, record, message.components, taken)
    for number in message.lots:
        if (lot := _judge_lot(fitting, record, number)) is not None and lot.quantity_left <= 0:
            fitting.broken[Reason.LOT_OVERDRAWN].append(f"{number} (nothing left)")
    return fitting.broken


def compare(
    report: ResultReport,
    progress: Progress,
    subject: Subject,
    seen: Seen,
    units: Mapping[str, UnitRow],
    lots: Mapping[str, LotRow],
    at: datetime,
) -> Fitting:
    """Work out the edges of one report. `units` and `lots` are those it names, locked."""
    record, fitting = _record(at, progress, subject, seen, units, lots), Fitting()
    taken = _take_out(fitting, record, report.removals)
    _put_in(fitting, record, report.components, taken)
    for consumed in report.lots:
        if (lot := _judge_lot(fitting, record, consumed.lot)) is not None:
            fitting.used[lot.id] = fitting.used.get(lot.id, Decimal(0)) + consumed.quantity
            item = record.bom.get(lot.part_id)
            slot = item.part_id if item else lot.part_id
            fitting.fits.append(Fit(slot, None, lot.id, None, consumed.quantity))
    by_id = {lot.id: lot for lot in lots.values()}
    for lot_id, quantity in fitting.used.items():
        if quantity > by_id[lot_id].quantity_left:
            left = max(by_id[lot_id].quantity_left, Decimal(0)).normalize()
            fitting.broken[Reason.LOT_OVERDRAWN].append(f"{by_id[lot_id].number} ({quantity} of {left:f})")
    if report.verdict == "passed" and record.step is not None:
        _look_for_gaps(fitting, record.step, seen, taken)
    return fitting


def _take_out(fitting: Fitting, record: _Record, removals: Collection[Removal]) -> set[tuple[int, int | None]]:
    """Note what comes out; the positions that are still taken then."""
    taken = {(f.part_id, f.position) for f in record.seen.fitted if f.child_id is not None}
    inside = {f.child_id: (f.part_id, f.position) for f in record.seen.fitted if f.child_id is not None}
    for removal in removals:
        unit = record.units.get(removal.serial)
        if unit is None or unit.id not in inside or any(unit.id == out.id for out, _ in fitting.removed):
            fitting.broken[Reason.REMOVAL_UNKNOWN].append(removal.serial)
        else:
            slot, position = inside[unit.id]
            if slot not in record.bom:
                fitting.broken[Reason.REMOVAL_WRONG].append(f"{removal.serial} at {position}")
            fitting.removed.append((unit, removal))
            taken.discard((slot, position))
    return taken


def _put_in(
    fitting: Fitting, record: _Record, components: Collection[Component], taken: set[tuple[int, int | None]]
) -> None:
    out = {unit.id for unit, _ in fitting.removed}
    # a unit can't be fitted into what is inside it: the tree would have no end
    elsewhere = {child for child in record.seen.elsewhere if child not in out} | record.seen.above
    if record.subject.unit_id is not None:
        elsewhere.add(record.subject.unit_id)
    for component in components:
        unit = record.units.get(component.serial)
        if unit is None:
            fitting.broken[Reason.COMPONENT_UNKNOWN].append(f"{component.part} {component.serial}")
            continue
        _place(fitting, record, component, unit, taken, elsewhere)
        elsewhere.add(unit.id)
    _judge_kit(fitting, record)


def _judge_kit(fitting: Fitting, record: _Record) -> None:
    """Whether the cells come from the unit's kit, each at its position, and none from the kit of another."""
    plan, step, seen = record.subject.plan, record.step, record.seen
    out = {unit.id for unit, _ in fitting.removed}
    reserved = {unit: kit for unit, kit in seen.reserved.items() if unit not in out}
    fits = {fit.child_id: fit for fit in fitting.fits if fit.child_id is not None}
    wrong = {unit: f"it is reserved in kit {reserved[unit]}" for unit in fits if unit in reserved}
    if plan is not None and plan.matching is not None and step is not None:
        part_id = kitted(plan).part_id
        offered = {f.position: unit for unit, f in fits.items() if f.part_id == part_id and f.position is not None}
        if seen.kit is None and offered and step.conditions.from_kit:
            fitting.broken[Reason.KIT_MISSING].append(f"{len(offered)} cells are to be fitted")
        elif seen.kit is not None and offered:
            left = {position: cell for position, cell in seen.kit.cells.items() if cell.id not in out}
            fitting.kit, fitting.from_kit = replace(seen.kit, cells=left), offered
            cells = {position: seen.offered[unit] for position, unit in offered.items() if unit in seen.offered}
            judged = judge_slots(fitting.kit, cells, reserved, plan)
            wrong = {offered[position]: why for position, why in judged.items()}
    serials = {unit.id: unit.serial for unit in record.units.values()}
    for unit, why in sorted(wrong.items(), key=lambda item: fits[item[0]].position or 0):
        fitting.broken[Reason.NOT_FROM_KIT].append(f"{serials[unit]} at {fits[unit].position}: {why}")


def _place(
    fitting: Fitting,
    record: _Record,
    component: Component,
    unit: UnitRow,
    taken: set[tuple[int, int | None]],
    elsewhere: Collection[int],
) -> None:
    named, broken = f"{component.part} {component.serial} at {component.position}", fitting.broken
    if component.polarity_ok is False:
        broken[Reason.POLARITY_REVERSED].append(named)
    if component.read_position not in {None, component.position}:
        broken[Reason.SLOT_WRONG].append(f"{named}, read at {component.read_position}")
    item = record.bom.get(unit.part_id)
    slot = item.part_id if item else unit.part_id
    if unit.id in elsewhere:
        broken[Reason.COMPONENT_ELSEWHERE].append(named)
        return
    if (slot, component.position) in taken:
        broken[Reason.POSITION_TAKEN].append(named)
        return
    said_part = component.part if item is None else {item.part, *item.alternates}
    if item is None or component.part not in said_part or component.position > item.quantity:
        broken[Reason.COMPONENT_WRONG].append(named)
    pinned = record.seen.revisions.get(unit.part_id)
    if pinned is not None and unit.revision_id != pinned:
        broken[Reason.COMPONENT_REVISION].append(named)
    if unit.state in {State.ISSUED, State.IN_PROCESS}:
        broken[Reason.COMPONENT_UNFINISHED].append(named)
    out = {other.id for other, _ in fitting.removed}
    if unit.state == State.SCRAPPED:
        broken[Reason.COMPONENT_SCRAPPED].append(named)
    elif unit.state == State.REMOVED or unit.id in out:
        broken[Reason.COMPONENT_UNTESTED].append(named)
    if unit.lot_id is None and unit.order_id is None:
        broken[Reason.COMPONENT_UNKNOWN].append(named)
    _judge_origin(fitting, record, unit, named)
    taken.add((slot, component.position))
    fitting.fits.append(Fit(slot, unit.id, unit.lot_id, component.position, Decimal(1)))


def _judge_origin(fitting: Fitting, record: _Record, unit: UnitRow, named: str) -> None:
    """The lot a fitted unit came with: held, released, expired?"""
    lot = next((lot for lot in record.lots.values() if lot.id == unit.lot_id), None)
    if lot is not None:
        if record.is_held(lot=lot):
            _once(fitting, Reason.COMPONENT_ON_HOLD, lot.number)
        _judge_use(fitting, record, lot)
    if record.is_held(unit=unit):
        fitting.broken[Reason.COMPONENT_ON_HOLD].append(named)


def _judge_lot(fitting: Fitting, record: _Record, number: str) -> LotRow | None:
    lot = record.lots.get(number)
    if lot is None:
        fitting.broken[Reason.LOT_UNKNOWN].append(number)
        return None
    item = record.bom.get(lot.part_id)
    if item is None or item.trace != "lot":
        fitting.broken[Reason.LOT_WRONG].append(number)
    if record.is_held(lot=lot):
        _once(fitting, Reason.COMPONENT_ON_HOLD, number)
    _judge_use(fitting, record, lot)
    return lot


def _judge_use(fitting: Fitting, record: _Record, lot: LotRow) -> None:
    seen = record.seen.lots.get(lot.id, LotSeen(None, None, None))
    use = LotUse(lot.number, lot.state, seen.expires_on, seen.unusable_at, seen.earlier)
    for reason, said in use.judge(record.seen.today, record.at):
        _once(fitting, reason, said)


def _once(fitting: Fitting, reason: Reason, name: str) -> None:
    if name not in fitting.broken[reason]:
        fitting.broken[reason].append(name)


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
                fitting.broken[Reason.COMPONENT_MISSING].append(f"{item.part} at {shown}")
        elif item.trace == "lot" and float(used[item.part_id]) < item.quantity * ENOUGH:
            fitting.broken[Reason.COMPONENT_MISSING].append(
                f"{item.part}: {float(used[item.part_id]):g} of {item.quantity:g} {item.unit_of_measure}"
            )
