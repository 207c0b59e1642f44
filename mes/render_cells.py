"""Shows lots, deliveries, gradings and kits in a terminal."""

from rich.console import Group, RenderableType
from rich.table import Column, Table

from mes.cells.messages import GradingAnswer
from mes.kits.messages import GoalAnswer, KitAnswer, KitContent, MatchAnswer
from mes.materials.messages import DeliveryAnswer, LotAnswer
from mes.quality.messages import LotState


def show_lot(lot: LotAnswer) -> RenderableType:
    """A lot in a few lines."""
    lines = [f"[bold]{lot.lot}[/] {lot.part}, {lot.state}: {lot.left:g} of {lot.quantity:g} left"]
    lines.append(f"{lot.supplier}, lot {lot.supplier_lot}, {lot.country}, received {lot.received_at:%Y-%m-%d %H:%M}")
    lines += [f"  {one.kind.replace('_', ' ')}: {one.file_name}  [dim]{one.digest[:16]}[/]" for one in lot.documents]
    return "\n".join(lines)


def show_lot_state(answer: LotState) -> str:
    """What a lot is after a decision."""
    return f"[bold]{answer.lot}[/] is {answer.state}: disposition {answer.disposition}"


def show_delivery(answer: DeliveryAnswer) -> RenderableType:
    """A delivery: cartons and lots."""
    state = f"closed {answer.closed_at:%Y-%m-%d %H:%M}" if answer.closed_at else "open"
    count = f"{answer.arrived} of {answer.arrived + answer.awaited} cartons are here"
    table = Table("part", "supplier's lot", "announced", "arrived", "received")
    for lot in answer.lots:
        table.add_row(lot.part, lot.supplier_lot, f"{lot.announced:g}", f"{lot.arrived:g}", f"{lot.received:g}")
    parts: list[RenderableType] = [f"[bold]{answer.delivery}[/] of {answer.supplier}, {state}: {count}", table]
    if answer.missing:
        parts.append(f"[yellow]{'missing' if answer.closed_at else 'awaited'}:[/] {', '.join(answer.missing)}")
    if answer.damaged:
        parts.append(f"[red]damaged:[/] {', '.join(answer.damaged)}")
    return Group(*parts)


def show_grading(answer: GradingAnswer) -> RenderableType:
    """A lot's grades, and why cells have none."""
    head = f"[bold]{answer.lot}[/] {answer.part}, {answer.state}: {answer.graded} of {answer.cells} cells graded"
    table = Table("grade", "cells")
    for grade, count in sorted(answer.grades.items()):
        table.add_row(grade, str(count))
    reasons = Table("no grade, for", "cells")
    for reason, count in answer.reasons.items():
        reasons.add_row(reason, str(count))
    parts: list[RenderableType] = [head, table]
    parts += [reasons] if answer.reasons else []
    parts += [f"[bold red]flag:[/] {flag}" for flag in answer.flags]
    if answer.sample:
        sample = answer.sample
        parts.append(
            f"sample: {sample.measured} measured, {sample.size} asked; {sample.bad} bad, {sample.accepts} allowed"
        )
    parts += [f"  {cell.serial}: {'; '.join(cell.reasons)}" for cell in answer.shown[:10]]
    return Group(*parts)


def show_matching(answer: MatchAnswer) -> RenderableType:
    """The kits made, and what each goal came to beside the best it could have come to alone."""
    parts: list[RenderableType] = [f"{len(answer.kits)} kits for {answer.part} from a pool of {answer.pool} cells"]
    parts += [_kits(answer.kits), _goals(answer.goals)] if answer.kits else []
    parts += [f"left: {count} cells, {why}" for why, count in answer.left.items()]
    parts += [f"[yellow]{note}[/]" for note in answer.notes]
    return Group(*parts)


def show_kit(answer: KitContent) -> RenderableType:
    """A kit's cells, a line for each group."""
    table = Table("group", "cells by position")
    groups: dict[int, list[str]] = {}
    for cell in answer.cells:
        groups.setdefault(cell.group, []).append(f"[dim]{cell.position}[/] {cell.serial}")
    for group, cells in groups.items():
        table.add_row(str(group), "  ".join(cells))
    return Group(_kits([answer.kit]), table)


def _kits(kits: list[KitAnswer]) -> Table:
    table = Table(
        Column("kit", no_wrap=True),
        Column("for", no_wrap=True),
        "state",
        "lots",
        "cartons",
        "between groups %",
        "capacity in a group %",
        "ACIR in a group %",
    )
    for kit in kits:
        acir = "" if kit.acir_spread_pct is None else f"{kit.acir_spread_pct:.2f}"
        spreads = (f"{kit.group_spread_pct:.4f}", f"{kit.capacity_spread_pct:.2f}", acir)
        table.add_row(kit.kit, kit.unit or "stock", kit.state, ", ".join(kit.lots), str(kit.cartons), *spreads)
    return table


def _goals(goals: list[GoalAnswer]) -> Table:
    table = Table("goal", "came to", "best alone")
    for goal in goals:
        table.add_row(goal.name, f"{goal.value:.4g} {goal.unit}", f"{goal.best_alone:.4g} {goal.unit}")
    return table
