"""The command `mes find`: a question to the record, answered as a table, JSON or CSV."""

import csv
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from mes.commands import AsJson, Commands, show
from mes.db import Database

if TYPE_CHECKING:
    from mes.find.messages import Found

SHOWN = 40


def add_find(cli: typer.Typer, use: Commands) -> None:
    """Add `mes find`."""

    @cli.command()
    def find(
        question: Annotated[str, typer.Argument(help="What is looked for; put it in quotes.")],
        as_of: Annotated[datetime | None, typer.Option(help="As it was at this moment, UTC.")] = None,
        limit: Annotated[int, typer.Option(help="Units listed in JSON and CSV; counts are of all.", min=0)] = 100_000,
        as_csv: Annotated[bool, typer.Option("--csv", help="Print every unit as CSV.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Find the units that a question fits, and whatever contains them: where they are, on what ground.

        \b
        lot = L-7 or carton = B-12
        station = GC1-070 and tool = W2 and not operator = anna
        at 2026-11-20T06:00Z..2026-11-20T14:00Z and value weld_pull_n below 90
        passed (station = GC1-070 and program = 3) and not passed (operation = 120)

        Of units: serial, part, order, lot (with what was split off it, and where it was used up), carton, date_code,
        supplier. Of cycles: station, operation, tool, program, operator, verdict, article (what was done under a first
        article), at FROM..UNTIL, value NAME below, above, outside A..B, inside A..B. `=` or `in (a, b)`; and, or, not,
        brackets. What stands within one passed (...) is said of one and the same cycle.
        """
        from mes.find.service import find as ask

        moment = as_of.replace(tzinfo=UTC) if as_of and as_of.tzinfo is None else as_of

        async def work(database: Database) -> Any:
            async with database.reading() as session:
                return await ask(session, question, moment, limit)

        found = use.with_database(work)
        if as_csv:
            out = csv.writer(sys.stdout)
            out.writerow(("serial", "part", "basis", "place", "crate", "shipped_to"))
            out.writerows((u.serial, u.part, u.basis, u.place, u.crate, u.shipped_to) for u in found.units)
            return
        show(found, show_found, as_json)


def show_found(found: "Found") -> RenderableType:
    """Counts by place, then the first units."""
    of = f" as of {found.as_of:%Y-%m-%d %H:%M} UTC" if found.as_of else ""
    counts = ", ".join(f"{count} {place}" for place, count in found.places.items()) or "nothing"
    table = Table("serial", "part", "basis", "where it is", title=f"{found.question}{of}")
    for unit in found.units[:SHOWN]:
        where = " ".join(filter(None, (unit.place, unit.crate, f"to {unit.shipped_to}" if unit.shipped_to else None)))
        table.add_row(unit.serial, unit.part, unit.basis, where)
    more = [f"and {found.affected - SHOWN} more: --csv lists them"] if found.affected > SHOWN else []
    lots = [f"lots: {', '.join(found.lots[:20])}"] if found.lots else []
    return Group(f"{found.affected} units are affected: {counts}", *found.gaps, *lots, table, *more)
