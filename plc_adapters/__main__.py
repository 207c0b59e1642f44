"""The gateway's command line: serve the stations of a mapping file, check such a file, look after dead letters."""

import asyncio
import gc
import os
import signal
from pathlib import Path
from typing import Annotated

import stamina.instrumentation
import typer
import uvloop
from pydantic import SecretStr

from mes.errors import Malformed, MesError
from mes.log import configure
from mes.settings import get_settings
from plc_adapters import metrics
from plc_adapters.dead_letters import DeadLetters, read_letter, report_of
from plc_adapters.door import HttpDoor, NotUnderstood
from plc_adapters.gateway import run_gateway
from plc_adapters.mapping import LineMap, load_map
from plc_adapters.opcua.pki import Access, Pki
from plc_adapters.spool import Spool

cli = typer.Typer(
    help="Carry what PLCs ask and report to the MES's station door, and its answers back.\n\n"
    "The environment names the MES: MES_URL (e.g. http://127.0.0.1:8000) and MES_KEY, or MES_KEY_FILE with the key "
    "in its first line. Without a subcommand the stations of --map are served until SIGTERM.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Map = Annotated[Path | None, typer.Option("--map", help="The mapping file: stations, endpoints, names of words.")]
Folder = Annotated[Path, typer.Option("--dead-letters", help="Where results go that the MES can't understand.")]
SpoolFile = Annotated[Path, typer.Option("--spool", help="What waits for the MES while it is away, on this disk.")]
SpoolMb = Annotated[
    float, typer.Option(help="How large the spool may grow; full, stations are no longer answered.", min=1)
]
PkiFolder = Annotated[
    Path,
    typer.Option("--pki", help="The gateway's certificate and key, and which servers it trusts.", envvar="MES_PKI"),
]
Secrets = Annotated[
    Path | None, typer.Option("--secrets", help="Folder with STATION.password for stations that have a user, mode 600.")
]
PortBase = Annotated[
    int | None, typer.Option(help="Move the mapping's endpoints so that the lowest port is this one.", min=1)
]
MetricsPort = Annotated[int | None, typer.Option(help="Serve Prometheus numbers at this port of 127.0.0.1.", min=1)]


@cli.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    map_file: Map = None,
    dead_letters: Folder = Path("dead-letters"),
    spool: SpoolFile = Path("spool.sqlite"),
    spool_mb: SpoolMb = 512,
    pki: PkiFolder = Path("pki"),
    secrets: Secrets = None,
    port_base: PortBase = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Serve the stations when no subcommand is named."""
    if context.invoked_subcommand is None:
        run(map_file, dead_letters, spool, spool_mb, pki, secrets, port_base, metrics_port)


@cli.command()
def run(
    map_file: Map = None,
    dead_letters: Folder = Path("dead-letters"),
    spool: SpoolFile = Path("spool.sqlite"),
    spool_mb: SpoolMb = 512,
    pki: PkiFolder = Path("pki"),
    secrets: Secrets = None,
    port_base: PortBase = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Serve every station of --map until SIGTERM or SIGINT."""
    line = _line(map_file, port_base)
    url, key = _mes()
    _configure_logs()
    if metrics_port is not None:
        metrics.publish(metrics_port)
    access = Access(Pki(pki), secrets)
    gc.freeze()  # what was loaded stays: looking through it again and again would keep the stations waiting
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_stopped(line, (url, key), dead_letters, (spool, spool_mb), access))


@cli.command("check-map")
def check_map(
    map_file: Annotated[Path, typer.Option("--map", help="The mapping file to check.")],
    port_base: PortBase = None,
) -> None:
    """Say all that is wrong with a mapping file, or list what it names."""
    line = _line(map_file, port_base)
    for station in line.stations:
        words, values, curves = len(station.word_nodes), len(station.values), sum(station.curves.values())
        typer.echo(f"{station.code}  {station.endpoint}  {words} words, {values} arrays of values, {curves} curves")


@cli.command("dead-letters")
def dead_letters_command(
    dead_letters: Folder = Path("dead-letters"),
    send: Annotated[
        list[Path] | None, typer.Option(help="Send this letter's report again; may be given several times.")
    ] = None,
) -> None:
    """List the dead letters, or send mended ones: edit the file's `report`, then --send FILE.

    A letter that the MES takes moves to the folder `sent`; one that it doesn't stays, and the reason is shown.
    """
    if not send:
        for path in DeadLetters(dead_letters).paths():
            letter = read_letter(path)
            typer.echo(f"{path}  {letter.station}  {letter.cycle}  {letter.written_at}  {letter.problem['detail']}")
            for error in letter.problem.get("errors", ()):
                typer.echo(f"    {error.get('at')}: read {error.get('read')}, expected {error.get('expected')}")
        return
    url, key = _mes()
    _configure_logs()
    raise typer.Exit(asyncio.run(_send(send, dead_letters, url, key)))


@cli.command("spool")
def spool_command(
    spool: SpoolFile = Path("spool.sqlite"),
    export: Annotated[Path | None, typer.Option(help="Write every entry here, a line of JSON each.")] = None,
) -> None:
    """Show what waits for the MES: results, and permits answered without it; the gateway may run meanwhile."""
    if not spool.exists():
        raise typer.BadParameter(f"there is no spool at {spool}")
    kept = Spool(spool)
    try:
        if export is not None:
            export.write_text("".join(f"{line}\n" for line in kept.export()), "utf-8")
        for entry in kept.waiting:
            typer.echo(
                f"{entry.id:>6}  {entry.kind:6}  {entry.station}  {entry.cycle}  {', '.join(sorted(entry.units)[:3])}"
            )
        typer.echo(f"{len(kept.waiting)} wait for the MES, {spool.stat().st_size / 2**20:.1f} MB", err=True)
    finally:
        kept.close()


async def _send(paths: list[Path], folder: Path, url: str, key: SecretStr) -> int:
    letters, failed = DeadLetters(folder), 0
    async with HttpDoor(url, key) as door:
        for path in paths:
            try:
                answer = await door.report(report_of(path))
            except (NotUnderstood, Malformed) as error:
                failed += 1
                typer.echo(f"{path}: {error}", err=True)
                for one in getattr(error, "errors", ()) or getattr(getattr(error, "problem", None), "errors", ()):
                    typer.echo(f"    {one.get('at')}: read {one.get('read')}, expected {one.get('expected')}", err=True)
                continue
            typer.echo(f"{path}: {answer.serial} {answer.verdict}, moved to {letters.sent(path)}")
    return 1 if failed else 0


async def _until_stopped(
    line: LineMap, mes: tuple[str, SecretStr], letters: Path, spool: tuple[Path, float], access: Access
) -> None:
    serving = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lambda: serving and serving.cancel())
    kept = Spool(*spool)
    try:
        await run_gateway(line, *mes, letters, kept, access)
    except asyncio.CancelledError:
        typer.echo("gateway stopped", err=True)
    finally:
        kept.close()


def _line(map_file: Path | None, port_base: int | None) -> LineMap:
    if map_file is None:
        raise typer.BadParameter("name the mapping file: --map FILE.yaml")
    try:
        line = load_map(map_file)
    except OSError as error:
        raise typer.BadParameter(str(error)) from error
    except Malformed as error:
        typer.echo(str(error), err=True)
        for one in error.errors:
            typer.echo(f"  {one['at']}: read {one['read']}, expected {one['expected']}", err=True)
        raise typer.Exit(2) from error
    return line if port_base is None else line.from_port(port_base)


def _mes() -> tuple[str, SecretStr]:
    url, key, key_file = (os.environ.get(name, "") for name in ("MES_URL", "MES_KEY", "MES_KEY_FILE"))
    if not url:
        raise typer.BadParameter("set MES_URL, e.g. http://127.0.0.1:8000")
    if not key and key_file:
        try:
            key = Path(key_file).read_text("utf-8").partition("\n")[0].strip()
        except OSError as error:
            raise typer.BadParameter(f"MES_KEY_FILE: {error}") from error
    if not key:
        raise typer.BadParameter("set MES_KEY, or MES_KEY_FILE to a file with the key")
    return url, SecretStr(key)


def _configure_logs() -> None:
    settings = get_settings()
    configure(settings.log_format, settings.log_level)
    # The door logs once gone and once back; a line for every try in between helps nobody.
    stamina.instrumentation.set_on_retry_hooks(())


if __name__ == "__main__":
    try:
        cli(prog_name="python -m plc_adapters")
    except MesError as failure:
        typer.echo(str(failure), err=True)
        raise SystemExit(1) from failure
