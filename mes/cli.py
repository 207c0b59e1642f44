"""The command `mes`."""

import asyncio
import getpass
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mes import cli_cells, log
from mes.actor import Actor, Role
from mes.cli_common import add_common
from mes.cli_drill import add_drill
from mes.cli_events import events
from mes.cli_find import add_find
from mes.cli_labels import labels
from mes.cli_orders import orders
from mes.cli_record import add_record
from mes.cli_seal import add_verify, seal
from mes.cli_spc import add_gauge, spc
from mes.commands import Commands
from mes.db import Database, open_database
from mes.embedded_postgres import EmbeddedPostgresError
from mes.errors import MesError
from mes.plantdb import plant_database
from mes.render import show_error, show_history, show_trace, show_where_used, show_why
from mes.settings import get_settings

cli = typer.Typer(
    help="The MES of a battery pack plant.\n\nCommands work on the database that MES_DATABASE_URL names, or else on "
    "the demo's in the data folder. `mes COMMAND --help` explains each.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="Keys: by which people and machines are known.", no_args_is_help=True)
cli.add_typer(keys, name="keys")
T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a picture.")]
Files = Annotated[list[Path], typer.Argument(help="YAML files; several are read as one.", exists=True, dir_okay=False)]
errors_to = Console(stderr=True)


def main() -> None:
    """Run the command; an error is a sentence, and exit status 1."""
    try:
        cli()
    except (MesError, EmbeddedPostgresError) as error:
        if isinstance(error, MesError):
            show_error(errors_to, error)
        else:
            errors_to.print(f"[bold red]Database:[/] {error}", highlight=False)
        sys.exit(1)
    except (ValidationError, SettingsError) as error:
        errors_to.print(f"[bold red]Settings (MES_...):[/] {error}", highlight=False, markup=False)
        sys.exit(2)
    except OSError as error:
        errors_to.print(f"[bold red]{type(error).__name__}:[/] {error}", highlight=False)
        sys.exit(1)


def operator() -> Actor:
    """Return who runs the command: the operating system's user, with all rights, as they hold the database's."""
    return Actor(f"cli:{getpass.getuser()}", Role.ADMIN)


def with_database(work: Callable[[Database], Awaitable[T]], *, create: bool = False) -> T:
    """Run work on the plant's database."""
    settings = get_settings()
    log.configure("text", "warning")

    async def run(url: str) -> T:
        database = open_database(settings, url)
        try:
            return await work(database)
        finally:
            await database.close()

    with plant_database(settings, create=create) as url:
        return asyncio.run(run(url))


def show(answer: BaseModel, as_json: bool, picture: Callable[[Any], Any]) -> None:
    """Print an answer, as JSON or as a picture."""
    if as_json:
        typer.echo(answer.model_dump_json())
    else:
        Console().print(picture(answer))


@cli.command()
def plan(files: Files, as_json: AsJson = False) -> None:
    """Show what applying these files would change. Nothing is changed."""
    from mes.plan.render import render
    from mes.plan.service import plan_files

    show(with_database(lambda database: plan_files(database, files)), as_json, render)


@cli.command()
def apply(files: Files, as_json: AsJson = False) -> None:
    """Apply these files: sites, parts, products. A changed product becomes a new revision; nothing is ever deleted."""
    from mes.plan.render import render
    from mes.plan.service import apply_files

    show(with_database(lambda database: apply_files(database, files, operator())), as_json, render)


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the plant's files, for editors."""
    from mes.plan.messages import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@cli.command()
def migrate() -> None:
    """Bring the database to the newest schema, as its owner (MES_OWNER_DATABASE_URL)."""
    from mes.migrate import migrate as run

    settings = get_settings()
    if settings.owner_database_url is not None:
        asyncio.run(run(settings.owner_database_url.get_secret_value()))
    else:
        with plant_database(settings, create=True) as url:
            asyncio.run(run(url))
    typer.echo("The database has the newest schema.")


@cli.command()
def serve(
    workers: Annotated[int, typer.Option(help="Processes; one or two per core of the server.", min=1, max=64)] = 1,
) -> None:
    """Serve the station door, the API and the pages at MES_HOST:MES_PORT."""
    from mes.serve import serve as run

    settings = get_settings()
    with plant_database(settings) as url:
        os.environ["MES_DATABASE_URL"] = url  # the workers read it, the one in this process too
        get_settings.cache_clear()
        run(settings, workers)


@cli.command()
def demo(
    packs: Annotated[int | None, typer.Option(help="Build so many, print a JSON line each, end.", min=1)] = None,
    speed: Annotated[float, typer.Option(help="How much faster than real time stations work.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="The same seed builds the same packs.")] = 1,
) -> None:
    """Run the demo plant: database, MES, simulated line, gateway. Ctrl-C stops it."""
    from mes.demo import run_demo

    settings = get_settings()
    log.configure("text", "warning")
    with plant_database(settings, create=True) as url:
        raise typer.Exit(run_demo(settings, url, packs=packs, speed=speed, seed=seed))


@cli.command()
def receive(
    file: Annotated[Path, typer.Argument(help="The supplier's per-unit file, CSV or Excel.", exists=True)],
    lot: Annotated[str, typer.Option(help="The plant's own number for the lot.")],
    part: Annotated[str, typer.Option(help="Part number.")],
    supplier: Annotated[str, typer.Option(help="Who delivered it.")],
    supplier_lot: Annotated[str, typer.Option(help="The supplier's number for it.")],
    country: Annotated[str, typer.Option(help="Country of origin, two letters.")],
    quantity: Annotated[int | None, typer.Option(help="Announced quantity; refused if the file differs.")] = None,
    document: Annotated[
        list[str] | None, typer.Option(help="KIND=FILE, as in un383_test_summary=un383.pdf; may be given again.")
    ] = None,
) -> None:
    """Receive a lot of a serialised part with the file of its units: whole, or refused with every bad row named."""
    from mes.cells.service import read_receipt, receive_units

    receipt = {"lot": lot, "part": part, "supplier": supplier, "supplier_lot": supplier_lot, "country": country}
    documents = [cli_cells.document(said) for said in document or []]
    content = file.read_bytes()
    lines = max(content.count(b"\n") - 1, 1)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=errors_to) as progress:
        task = progress.add_task("reading", total=lines)

        async def work(database: Database) -> Any:
            whole = receipt | {"quantity": quantity, "documents": documents}
            message = await read_receipt(
                database, whole, content, file.name, lambda row: progress.update(task, completed=row)
            )
            progress.update(task, description="storing", total=None)
            return await database.transact(receive_units, message, operator())

        answer = with_database(work)
        progress.update(task, description="stored", total=answer.units, completed=answer.units)
    typer.echo(f"Lot {answer.lot}: {answer.units} units received, {answer.state}.")


@cli.command()
def trace(
    serial: Annotated[str, typer.Argument(help="Serial of a cell, module or pack.")],
    as_of: Annotated[datetime | None, typer.Option(help="As it was at this moment, UTC.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is inside a unit, now or as of a time, and where it is itself. Gaps are named."""
    from datetime import UTC

    from mes.genealogy.trace import trace as read

    moment = as_of.replace(tzinfo=UTC) if as_of and as_of.tzinfo is None else as_of

    async def work(database: Database) -> Any:
        async with database.reading() as session:
            return await read(session, serial, moment)

    show(with_database(work), as_json, show_trace)


@cli.command("where-used")
def where_used(lot: Annotated[str, typer.Argument(help="The plant's lot number.")], as_json: AsJson = False) -> None:
    """Show which packs contain anything of a lot."""
    from mes.genealogy.trace import where_used as read

    async def work(database: Database) -> Any:
        async with database.reading() as session:
            return await read(session, lot)

    show(with_database(work), as_json, show_where_used)


@cli.command()
def history(serial: Annotated[str, typer.Argument(help="Serial of a unit.")], as_json: AsJson = False) -> None:
    """Show all that is recorded of a unit: cycles, refusals, places, holds."""
    from mes.records.queries import history as read

    async def work(database: Database) -> Any:
        async with database.reading() as session:
            return await read(session, serial)

    show(with_database(work), as_json, show_history)


@cli.command()
def curve(
    serial: Annotated[str, typer.Argument(help="Serial of a unit.")],
    operation: Annotated[str, typer.Argument(help="The operation it was recorded at.")],
    file: Annotated[Path, typer.Option("--out", help="Where to draw it: .png or .svg.")],
    characteristic: Annotated[str | None, typer.Option(help="Which curve; the first, if not given.")] = None,
    ordinal: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Which joint; the first, if not given.")
    ] = None,
) -> None:
    """Draw the newest curve of a unit's step over its windows and the last 50 good ones."""
    from mes.records.curve_picture import draw_curve
    from mes.records.curves import newest_curve

    kind = file.suffix.lstrip(".").lower()
    if kind not in ("png", "svg"):
        raise typer.BadParameter("expected a name that ends in .png or .svg", param_hint="--out")

    async def work(database: Database) -> Any:
        async with database.reading() as session:
            return await newest_curve(session, serial, operation, characteristic, ordinal)

    seen = with_database(work)
    file.write_bytes(draw_curve(seen, kind))
    typer.echo(f"{seen.record.characteristic} {seen.record.ordinal}, attempt {seen.record.attempt}: {file}")


@cli.command()
def why(
    serial: Annotated[str, typer.Argument(help="Serial of a unit, or number of a lot.")],
    station: Annotated[str, typer.Argument(help="Code of the station.")],
    operator: Annotated[str | None, typer.Option(help="Who would work.")] = None,
    second_operator: Annotated[str | None, typer.Option(help="Who would work with them.")] = None,
    lot: Annotated[list[str] | None, typer.Option(help="A lot that would be used up; may be given again.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask, without effect, whether a station would be permitted: if not, why, what clears it, and who may."""
    from mes.execution.messages import WhyRequest
    from mes.execution.permits import explain_permit

    asked = {"station": station, "serial": serial, "operator": operator, "second_operator": second_operator}
    message = WhyRequest(**asked, lots=lot or [])

    async def work(database: Database) -> Any:
        async with database.reading() as session:
            return await explain_permit(session, message.as_request())

    show(with_database(work), as_json, show_why)


@cli.command()
def scan(code: Annotated[str, typer.Argument(help="What the scanner delivered; ^] and <GS> stand for GS.")]) -> None:
    """Show what a scanned code says, and whether it is known here."""
    from mes.records.scans import explain_scan

    async def work(database: Database) -> Any:
        async with database.reading() as session:
            return await explain_scan(session, code)

    typer.echo(with_database(work).model_dump_json(indent=2, exclude_none=True))


@cli.command()
def check() -> None:
    """Look for what must never be: orphans in the genealogy, balances that don't add up, orders miscounted."""
    from mes.records.audit import audit

    async def work(database: Database) -> Any:
        async with database.reading() as session:
            return await audit(session)

    found = with_database(work)
    for law, count in found.items():
        typer.echo(f"{'BROKEN' if count else 'holds '}  {law}" + (f": {count} rows" if count else ""))
    raise typer.Exit(1 if any(found.values()) else 0)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="Who or what holds it.")],
    role: Annotated[Role, typer.Option(help="What it may do.")],
    file: Annotated[Path, typer.Option(help="Where to write it (mode 600); it is shown nowhere else.")],
    expires_in_h: Annotated[float | None, typer.Option(help="Hours until it ends; never, if not given.")] = None,
) -> None:
    """Make a key and write it to a file."""
    from mes.people.messages import KeyRequest
    from mes.people.service import create_key as act

    message = KeyRequest(name=name, role=role, expires_in_h=expires_in_h)
    answer = with_database(lambda database: database.transact(act, message, operator()))
    write_secret(file, answer.key)
    typer.echo(f"Key of {name} ({role}) written to {file}.")


@keys.command("revoke")
def revoke_key(name: Annotated[str, typer.Option(help="Whose keys.")]) -> None:
    """Revoke every key of a name."""
    from mes.people.messages import KeyName
    from mes.people.service import revoke_key as act

    answer = with_database(lambda database: database.transact(act, KeyName(name=name), operator()))
    typer.echo(f"{answer.revoked} keys of {name} revoked.")


def write_secret(path: Path, secret: str) -> None:
    """Write a secret that only this user can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(secret + "\n")


def _add_benches() -> None:
    from mes.bench.command import bench

    cli.add_typer(bench, name="bench")


_add_benches()
cli.add_typer(labels(with_database, operator), name="labels")
_use = Commands(with_database, operator)
for _name in ("cells", "kits", "deliveries", "lots"):
    cli.add_typer(getattr(cli_cells, _name)(_use), name=_name)
cli.add_typer(orders(_use), name="orders")
cli.add_typer(events(_use), name="events")
cli.add_typer(spc(_use), name="spc")
add_gauge(cli)
add_common(cli, _use)
add_record(cli, _use)
add_find(cli, _use)
add_drill(cli, _use)
cli.add_typer(seal(_use), name="seal")
add_verify(cli, _use)


def _add_plugins() -> None:
    """Add the commands that other packages bring under `mes.commands`; a broken one is a warning."""
    for point in entry_points(group="mes.commands"):
        try:
            cli.add_typer(point.load(), name=point.name)
        except Exception as error:  # noqa: BLE001  whatever it is, the MES's own commands work on
            errors_to.print(f"[yellow]mes {point.name} is missing:[/] {point.value}: {error!r}", highlight=False)


_add_plugins()

if __name__ == "__main__":
    main()
