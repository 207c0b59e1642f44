"""The commands `mes verify` and `mes seal`: whether the record is as it was written, and proof of it kept elsewhere."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mes.commands import Commands
from mes.db import Database
from mes.errors import Malformed

Out = Annotated[Path | None, typer.Option("--out", help="Where to write it; shown, if not given.")]


def seal(use: Commands) -> typer.Typer:
    """Make `mes seal`."""
    app = typer.Typer(help="Seals of the record: anchors to keep elsewhere, and their key.", no_args_is_help=True)

    @app.command("key")
    def key(out: Out = None) -> None:
        """Give the public key with which others check anchors; its other half is MES_SEAL_KEY."""
        from mes.seal.anchor import get_key, public_pem
        from mes.settings import get_settings

        _give(public_pem(get_key(get_settings().seal_key)), out)

    @app.command("anchor")
    def anchor(out: Out = None) -> None:
        """Give the newest seal, signed. Keep it where no one who has the database can reach it."""
        from mes.seal.anchor import get_key, signed
        from mes.seal.messages import Anchor
        from mes.seal.queries import newest_seal
        from mes.settings import get_settings

        own = get_key(get_settings().seal_key)

        async def work(database: Database) -> Any:
            async with database.reading() as session:
                return await newest_seal(session)

        newest = use.with_database(work)
        if newest is None:
            typer.echo("Nothing is sealed yet: `mes serve` seals once a second.", err=True)
            raise typer.Exit(1)
        made = signed(Anchor(seal=newest.id, at=newest.at, hash=newest.hash.hex()), own)
        _give(made.model_dump_json(indent=2) + "\n", out)

    return app


def add_verify(cli: typer.Typer, use: Commands) -> None:
    """Add `mes verify`."""

    @cli.command()
    def verify(
        unit: Annotated[str | None, typer.Option(help="This unit and everything inside it.")] = None,
        day: Annotated[
            datetime | None, typer.Option(formats=["%Y-%m-%d"], help="What was sealed that day, UTC.")
        ] = None,
        anchor: Annotated[Path | None, typer.Option(exists=True, help="Also check it against this anchor.")] = None,
        public_key: Annotated[
            Path | None, typer.Option(exists=True, help="Of the anchor; MES_SEAL_KEY's, if not given.")
        ] = None,
    ) -> None:
        """Verify that the record is as it was written: every row, or of a unit or a day.

        Exit status 1, and the first row that doesn't fit is named, if any was changed, removed or added.
        """
        from mes.seal.verify import verify_all, verify_day, verify_unit

        if unit and day:
            raise typer.BadParameter("choose one of --unit and --day")
        known = _read_anchor(anchor, public_key) if anchor else None
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
            task = progress.add_task("seals", total=None)

            def on_step(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            async def work(database: Database) -> Any:
                if unit:
                    return await verify_unit(database, unit, known, on_step)
                if day:
                    return await verify_day(database, day.date(), known, on_step)
                return await verify_all(database, known, on_step)

            verdict = use.with_database(work)
        for line in _sentences(verdict, known):
            typer.echo(line)
        raise typer.Exit(1 if verdict.misfit else 0)


def _sentences(verdict: Any, anchor: Any) -> list[str]:
    if verdict.misfit:
        return [f"DOESN'T FIT  {verdict.misfit}", *(f"The journal says: {act}" for act in verdict.acts)]
    newest = verdict.newest
    said = [f"Fits: {verdict.rows:,} rows under {verdict.seals:,} seals."]
    if newest:
        said.append(f"The newest is seal {newest.id} of {newest.at:%Y-%m-%d %H:%M:%S} UTC.")
    if anchor:
        said.append(f"The anchor of {anchor.at:%Y-%m-%d %H:%M:%S} UTC holds: seal {anchor.seal} is in the chain.")
        if newest.id > anchor.seal:
            said.append(f"It doesn't vouch for the {newest.id - anchor.seal:,} seals after it.")
    if verdict.unsealed:
        said.append(f"{verdict.unsealed:,} rows are not sealed yet; a running MES seals them within seconds.")
    return said


def _read_anchor(path: Path, public_key: Path | None) -> Any:
    from mes.http import explain
    from mes.seal.anchor import get_key, read_public_key, require_genuine
    from mes.seal.messages import Anchor
    from mes.settings import get_settings

    try:
        anchor = Anchor.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise Malformed(str(path), explain(error)) from error
    own = read_public_key(public_key) if public_key else get_key(get_settings().seal_key).public_key()
    require_genuine(anchor, own)
    return anchor


def _give(content: str, out: Path | None) -> None:
    if out is None:
        typer.echo(content, nl=False)
    else:
        out.write_text(content)
        typer.echo(f"Written to {out}.")
