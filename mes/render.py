"""Shows answers in a terminal: trees, tables, histories."""

from collections import defaultdict
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.tree import Tree

from mes.errors import MesError
from mes.execution.messages import WhyAnswer
from mes.genealogy.messages import Trace, TreeNode, WhereUsed
from mes.quality.messages import HoldAnswer
from mes.records.messages import History, LineNow, RefusalRecord

_VERDICT = {"passed": "[green]passed[/]", "failed": "[red]FAILED[/]"}


def show_error(console: Console, error: MesError) -> None:
    """Show an error, with everything that was wrong."""
    console.print(f"[bold red]{error.title}:[/] {error}", highlight=False)
    for found in getattr(error, "errors", []):
        console.print(f"  [bold]{found.get('at')}[/]: read {found.get('read')!r}, expected {found.get('expected')}")


def show_trace(trace: Trace) -> RenderableType:
    """Draw the tree; a part's units of one lot stand in one line with their positions."""
    tree = Tree(_label(trace.tree) + f"  [dim]as of {trace.as_of:%Y-%m-%d %H:%M:%S}Z[/]")
    for place in trace.places:
        until = f"until {place.removed_at:%Y-%m-%d %H:%M}" if place.removed_at else "now"
        tree.add(f"[cyan]in {place.parent}[/] at {place.position}, {place.installed_at:%Y-%m-%d %H:%M} {until}")
    _branch(tree, trace.tree)
    return tree


def _branch(tree: Tree, node: TreeNode) -> None:
    for gap in node.gaps:
        tree.add(f"[bold red]gap:[/] {gap}")
    leaves: defaultdict[tuple[str, str | None], list[TreeNode]] = defaultdict(list)
    for inner in node.inside:
        if inner.inside or inner.gaps or inner.serial is None:
            _branch(tree.add(_label(inner)), inner)
        else:
            leaves[inner.part, inner.lot].append(inner)
    for (part, lot), group in leaves.items():
        branch = tree.add(f"[bold]{part}[/] x{len(group)} of lot {lot or '[red]unknown[/]'}")
        group.sort(key=lambda inner: inner.position or 0)
        for start in range(0, len(group), 7):
            shown = "  ".join(f"[dim]{inner.position}[/] {inner.serial}" for inner in group[start : start + 7])
            branch.add(shown)


def _label(node: TreeNode) -> str:
    place = f" at {node.position}" if node.position else ""
    if node.serial is None:
        return f"[bold]{node.part}[/] {node.quantity:g} of lot {node.lot} ({node.supplier}, {node.supplier_lot})"
    return f"[bold]{node.part}[/] {node.serial}{place}" + (f" [{node.state}]" if node.state else "")


def show_where_used(used: WhereUsed) -> RenderableType:
    """List the packs that contain anything of a lot."""
    table = Table(title=f"{len(used.packs)} packs contain lot {used.lot}; {used.loose} units of it are loose")
    for heading in ("pack", "part", "state", "quantity"):
        table.add_column(heading, justify="right" if heading == "quantity" else "left")
    for user in used.packs:
        table.add_row(user.serial, user.part, user.state, f"{user.quantity:g}")
    return table


def show_history(history: History) -> RenderableType:
    """List all that is recorded of a unit."""
    origin = f"order {history.order}, revision {history.revision}" if history.order else f"lot {history.lot}"
    table = Table(title=f"{history.serial}: {history.part}, {history.state}, {origin}")
    for heading in ("when", "what", "where", "verdict", "notes"):
        table.add_column(heading)
    rows: list[tuple[Any, ...]] = []
    for cycle in history.cycles:
        notes = [f"{cycle.failure_count} values out of limits"] if cycle.failure_count else []
        notes += [finding["text"] for finding in cycle.findings]
        verdict = _VERDICT[cycle.verdict]
        rows.append((cycle.reported_at, f"{cycle.operation} {cycle.name}", cycle.station, verdict, "\n".join(notes)))
    rows += [(r.asked_at, "refused", r.station, "[yellow]no[/]", _reasons(r)) for r in history.refusals]
    rows += [
        (d.decided_at, f"{d.decision.replace('_', ' ')} {d.operation or ''}", d.decided_by, "", d.reason)
        for d in history.dispositions
    ]
    rows += [(w.starts_at, f"waiver {w.waiver}", w.approved_by, "", f"{w.rule}: {w.reason}") for w in history.waivers]
    rows += [(p.installed_at, f"fitted in {p.parent}", f"position {p.position}", "", "") for p in history.places]
    rows += [(p.removed_at, f"taken out of {p.parent}", "", "", "") for p in history.places if p.removed_at]
    rows += [(h.opened_at, "hold", h.opened_by, "", f"{h.reason} (stops {_stops(h)})") for h in history.holds]
    rows += [(h.released_at, "released", h.released_by, "", h.release_reason) for h in history.holds if h.released_at]
    for at, *rest in sorted(rows, key=lambda row: row[0]):
        table.add_row(f"{at:%Y-%m-%d %H:%M:%S}", *map(str, rest))
    return table


def _reasons(refusal: RefusalRecord) -> str:
    said = [(reason.replace("_", " "), refusal.details.get(reason)) for reason in refusal.reasons]
    return "\n".join(f"{reason}: {detail}" if detail else reason for reason, detail in said)


def _stops(hold: HoldAnswer) -> str:
    return ", ".join(hold.stops) + (f" from {hold.at_operation} on" if hold.at_operation else "")


def show_why(why: WhyAnswer) -> RenderableType:
    """Say whether a station would be permitted, and if not, why, what clears it and who may."""
    answer = "[green]would be granted[/]" if why.granted else "[red]would be refused[/]"
    step = f" for step {why.operation}" if why.operation else ""
    head = f"{why.serial} at {why.station}{step}: {answer}. What can be done with it now: {why.next_step}."
    table = Table(box=None, pad_edge=False)
    for heading in ("why not", "what clears it", "who may"):
        table.add_column(heading)
    for refusal in why.refusals:
        table.add_row(refusal.text, refusal.clears, ", ".join(refusal.who) or "nobody")
    kept = [verdict.rule.replace("_", " ") for verdict in why.verdicts if verdict.verdict == "kept"]
    waived = [verdict.rule.replace("_", " ") for verdict in why.verdicts if verdict.verdict == "waived"]
    notes = f"[dim]Asked and kept: {', '.join(kept) or 'none'}.[/]"
    if waived:
        notes += f"\n[yellow]Waived: {', '.join(waived)} (waivers {', '.join(map(str, why.waivers))}).[/]"
    return Group(head, *([table] if why.refusals else []), notes)


def show_line(line: LineNow) -> RenderableType:
    """Show the line as it is now."""
    finished = ", ".join(f"{count} {part}" for part, count in sorted(line.finished.items())) or "nothing yet"
    # narrow and low: the whole line fits a terminal of 80 columns and 24 lines
    table = Table(title=f"Finished: {finished}    open holds: {line.open_holds}", box=None, padding=(0, 1))
    for heading in ("station", "", "link", "unit", "last", "ok", "nok", "no"):
        table.add_column(heading, justify="right" if heading in {"ok", "nok", "no"} else "left", no_wrap=True)
    table.columns[1].max_width = 13
    for s in line.stations:
        link = {"connected": "[green]up[/]", "none": "[dim]-[/]"}.get(s.link, f"[red]{s.link.upper()}[/]")
        verdict = _VERDICT.get(s.last_verdict or "", "")
        counts = (str(s.passed), str(s.failed), str(s.refused))
        table.add_row(s.station, s.name, link, s.serial or "", verdict, *counts)
    return table
