"""The command `mes common`: what suspect units share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from mes.commands import AsJson, Commands, show
from mes.db import Database

if TYPE_CHECKING:
    from mes.commonality.messages import CommonalityAnswer


def add_common(cli: typer.Typer, use: Commands) -> None:
    """Add `mes common`."""

    @cli.command()
    def common(
        serials: Annotated[
            list[str] | None, typer.Argument(help="Serials of units of one part that went wrong.")
        ] = None,
        file: Annotated[Path | None, typer.Option(help="A file with more serials, a line each.")] = None,
        comparables: Annotated[int, typer.Option(help="Good units to compare with.", min=50, max=2000)] = 1000,
        as_json: AsJson = False,
    ) -> None:
        """Rank what units that went wrong share: lots, cartons, stations, tools, programs, people, shifts, positions,
        values; each against its share among good units made nearest in time.

        The corrected p is the chance that anything looks so by chance. Below 0.05 it stands out: there a cause is worth
        looking for, and `further` says how many other units have the same.
        """
        from mes.commonality.messages import CommonalityRequest
        from mes.commonality.service import compare

        named = [*(serials or []), *(file.read_text("utf-8").split() if file else [])]
        message = use.read(CommonalityRequest, serials=named, comparables=comparables)

        async def work(database: Database) -> Any:
            async with database.reading() as session:
                return await compare(session, message)

        show(use.with_database(work), show_common, as_json)


def show_common(answer: "CommonalityAnswer") -> RenderableType:
    """A table of what is shared, and one line that says what it comes to."""
    title = f"{answer.suspects} suspects of {answer.part} against {answer.comparables} good units"
    table = Table("shared", "suspects", "good units", "p", "corrected p", "further", title=title)
    for one in answer.shared:
        names = "\n".join(f"{factor.kind}: {factor.name}" for factor in one.factors[:6])
        more = f"\nand {len(one.factors) - 6} more, in the same units" if len(one.factors) > 6 else ""
        table.add_row(
            names + more,
            f"{one.suspects} ({one.suspects_pct:.0f} %)",
            f"{one.comparables} ({one.comparables_pct:.1f} %)",
            f"{one.p:.2g}",
            f"{one.corrected_p:.2g}",
            "" if one.further is None else str(one.further),
            style="bold" if one.stands_out else "dim",
        )
    said = "What is bold stands out." if answer.stands_out else "Nothing stands out: chance alone may share as much."
    return Group(table, said, *answer.gaps)
