"""The command `mes record`: the as-built record of a unit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from mes.commands import AsJson, Commands, show
from mes.db import Database

if TYPE_CHECKING:
    from mes.as_built.messages import AsBuiltRecord


def add_record(cli: typer.Typer, use: Commands) -> None:
    """Add `mes record`."""

    @cli.command()
    def record(
        serial: Annotated[str, typer.Argument(help="Serial of a cell, module or pack.")],
        pdf: Annotated[Path | None, typer.Option(help="Write it as a PDF, with its curves drawn.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Show the as-built record of a unit: how complete it is, what isn't known, every step; seals are verified.

        --json: all of it. --pdf FILE: all of it, to print or to keep.
        """
        from mes import clock
        from mes.as_built.paper import print_record
        from mes.as_built.service import as_built, with_seals

        if pdf is not None and as_json:
            raise typer.BadParameter("choose one of --json and --pdf")

        async def work(database: Database) -> Any:
            if pdf is not None:
                return await print_record(database, serial, clock.now())
            async with database.reading() as session:
                known = await as_built(session, serial)
            return await with_seals(database, known)

        answer = use.with_database(work)
        if pdf is not None:
            pdf.write_bytes(answer)
            typer.echo(f"As-built record of {serial}: {pdf}, {len(answer):,} bytes.")
            return
        show(answer, show_record, as_json)


def show_record(record: "AsBuiltRecord") -> RenderableType:
    """What isn't known first, then a line for each step of each unit."""
    whole = record.shares[0]
    said = [f"[bold]{record.part} {record.serial}[/]: {whole.known} of {whole.asked} known, {whole.known_pct} %"]
    said += [f"[bold red]not known:[/] {gap.serial}: {gap.text}" for gap in record.gaps]
    said += [f"[bold red]on hold:[/] {hold.reason}" for hold in record.holds if hold.released_at is None]
    if record.seals:
        fits = f"{record.seals.rows} rows are as they were sealed, {record.seals.unsealed} are not sealed yet"
        said.append(fits if record.seals.fits else f"[bold red]doesn't fit its seals:[/] {record.seals.misfit}")
    table = Table("unit", "step", "state", "attempts", "values", "last at")
    for unit in record.units:
        for step in unit.steps:
            last = step.attempts[-1] if step.attempts else None
            values = sum(len(one.values) - one.missing for one in last.values) if last else 0
            table.add_row(
                unit.serial,
                f"{step.operation} {step.name}",
                step.state.replace("_", " "),
                str(len(step.attempts)),
                str(values),
                f"{last.reported_at:%Y-%m-%d %H:%M:%S}" if last else "",
            )
    return Group(*said, table)
