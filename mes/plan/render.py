"""Draws a plan for a terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mes.plan.messages import Change, Detail, PlanAnswer

MAX_DETAILS = 30
_MARKS = {"add": ("+", "green"), "change": ("~", "yellow"), "new revision": ("^", "cyan")}


def render(answer: PlanAnswer) -> RenderableType:
    """Draw what changes, thing by thing, and a line that counts it all."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for change in answer.changed:
        mark, style = _MARKS[change.action]
        revision = f" {change.revision}" if change.revision else ""
        heading = Text(f"{change.action}{revision if change.action == 'new revision' else ''}", style=style)
        table.add_row(Text(mark, style=style), Text(change.kind), Text(change.name, style="bold"), heading)
        for line in _details(change):
            table.add_row("", "", "", line)
    return Group(table, Text(_summary(answer)))


def _details(change: Change) -> list[Text]:
    shown = [_detail(detail) for detail in change.details[:MAX_DETAILS]]
    rest = len(change.details) - MAX_DETAILS
    return [*shown, Text(f"and {rest} more")] if rest > 0 else shown


def _detail(detail: Detail) -> Text:
    if detail.old is None:
        return Text(f"{detail.field}: {detail.new}")
    return Text(f"{detail.field}: {detail.old} -> {'nothing' if detail.new is None else detail.new}")


def _summary(answer: PlanAnswer) -> str:
    counts = {
        "to add": sum(change.action == "add" for change in answer.changes),
        "to change": sum(change.action == "change" for change in answer.changes),
        "new revisions": sum(change.action == "new revision" for change in answer.changes),
        "unchanged": sum(change.action == "none" for change in answer.changes),
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items()) + "."
