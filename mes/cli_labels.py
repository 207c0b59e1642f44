"""The commands `mes labels`: print one, look at one, and see what became of them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mes.actor import Actor
from mes.db import Database
from mes.labels.messages import JobAnswer, Kind, LabelRequest, LabelSubject, State

Work = Callable[[Database], Awaitable[Any]]
Subject = Annotated[str, typer.Argument(help="Serial of a unit, or SSCC of a crate.")]
OfCrate = Annotated[bool, typer.Option("--crate", help="The subject is a crate.")]


def labels(with_database: Callable[[Work], Any], operator: Callable[[], Actor]) -> typer.Typer:
    """Make the commands; how the plant's database is found and who asks is the caller's."""
    app = typer.Typer(help="Labels of packs and crates.", no_args_is_help=True)

    @app.command("print")
    def print_label(
        subject: Subject,
        printer: Annotated[str, typer.Option(help="Name of the printer.")],
        reason: Annotated[str | None, typer.Option(help="Why it is printed again.")] = None,
        crate: OfCrate = False,
    ) -> None:
        """Print a label; it waits until its printer has taken it."""
        from mes.labels.service import print_label as act

        message = LabelRequest(kind=_kind(crate), subject=subject, printer=printer, reason=reason)
        job = with_database(lambda database: database.transact(act, message, operator()))
        typer.echo(f"Label {job.job}: copy {job.copy_number} of {job.subject} waits for {job.printer}.")

    @app.command()
    def preview(subject: Subject, file: Annotated[Path, typer.Argument()], crate: OfCrate = False) -> None:
        """Write a picture of a label, .png or .svg."""
        message = LabelSubject(kind=_kind(crate), subject=subject)
        file.write_bytes(with_database(lambda database: _picture(database, message, file.suffix)))

    @app.command()
    def jobs(
        state: Annotated[State | None, typer.Option(help="queued or printed; else both.")] = None,
    ) -> None:
        """List labels asked for, the newest first, with what went wrong last."""
        Console().print(_table(with_database(lambda database: _jobs(database, state))))

    return app


def _kind(is_crate: bool) -> Kind:
    return "crate" if is_crate else "nameplate"


async def _picture(database: Database, message: LabelSubject, suffix: str) -> bytes:
    from mes.labels.designs import design
    from mes.labels.preview import draw

    async with database.reading() as session:
        layout = (await design(session, message)).layout
    return draw(layout, "svg" if suffix == ".svg" else "png")


async def _jobs(database: Database, state: State | None) -> list[JobAnswer]:
    from mes.labels.queries import jobs

    async with database.reading() as session:
        return await jobs(session, state=state)


def _table(jobs: list[JobAnswer]) -> Table:
    table = Table("job", "printer", "label", "copy", "state", "asked for", "tries", "last error")
    for job in jobs:
        asked = f"{job.queued_at:%Y-%m-%d %H:%M} {job.queued_by}"
        told = (job.job, job.printer, job.subject, job.copy_number, job.state, asked, job.tries, job.last_error or "")
        table.add_row(*(str(value) for value in told))
    return table
