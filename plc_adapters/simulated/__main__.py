"""The simulated line's command line."""

import asyncio
import signal
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from mes import clock
from mes.errors import Malformed
from mes.log import configure
from mes.settings import get_settings
from plc_adapters.mapping import LineMap, load_map
from plc_adapters.opcua.pki import Own, Pki
from plc_adapters.simulated.line import Setup, first_tools, run_line, with_free_ports
from plc_adapters.simulated.process import Process, rates_with
from plc_adapters.simulated.products import load_products

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_HERE = Path(str(files("plc_adapters.simulated")))
_DEMO = Path(str(files("mes"))) / "demo_plant"

PortBase = Annotated[
    int | None, typer.Option(help="Lowest port, instead of the mapping's; 0: free ones, see --resolved.", min=0)
]
LinePki = Annotated[Path, typer.Option(help="Folder of the line's certificate and key; made at the first start.")]
TrustedBy = Annotated[
    Path | None, typer.Option(help="Put the line's certificate among those that this gateway's --pki folder trusts.")
]


@cli.command()
def main(
    *,
    jobs: Annotated[Path, typer.Option(help="The jobs, a JSON object a line; the file is followed as it grows.")],
    map_file: Annotated[Path, typer.Option("--map", help="The stations and their ports.")] = _HERE / "gc1.yaml",
    products: Annotated[
        list[Path] | None, typer.Option(help="Product files with routes and bills of material; the demo plant's.")
    ] = None,
    site: Annotated[
        list[Path] | None, typer.Option(help="Plant files, for the tools' codes; the demo plant's.")
    ] = None,
    speed: Annotated[float, typer.Option(help="Times real time.", min=0.1, max=100_000)] = 100,
    seed: Annotated[int, typer.Option(help="The same seed measures the same values.")] = 1,
    faults: Annotated[
        str, typer.Option(help='Defect rates: "none", or e.g. "leak=0.2,flash=0" over the plant\'s own.')
    ] = "",
    port_base: PortBase = None,
    resolved: Annotated[
        Path | None, typer.Option(help="Write the mapping with the real ports here, once every station answers.")
    ] = None,
    pki: LinePki = Path("line-pki"),
    trusted_by: TrustedBy = None,
    finished: Annotated[
        Path | None, typer.Option(help="Append a JSON line for each finished unit here; standard output else.")
    ] = None,
) -> None:
    """Play the stations of a mapping file as OPC UA servers, and build what the jobs say.

    A job is {"kind": "pack", "product", "pack", "module", "cells": [{"serial", "ocv_v", "acir_mohm", "capacity_ah",
    "lot"}, ...] in order of position, "serials": {part: serial}, "lots": {part: lot}} or {"kind": "lot", "lot"}.
    """
    try:
        line = _at(load_map(map_file), port_base)
        rates = rates_with(faults)
    except (Malformed, ValueError) as error:
        raise typer.BadParameter("\n".join([str(error), *map(str, getattr(error, "errors", ()))])) from error
    settings = get_settings()
    configure(settings.log_format, settings.log_level)
    setup = Setup(
        line=line,
        products=load_products(products or sorted(_DEMO.glob("gc48-*.yaml"))),
        process=Process(seed, rates),
        tools=first_tools(site or [_DEMO / "site.yaml"]),
        speed=speed,
        # Counters begin again with every start: the epoch says so.
        epoch=int(clock.now().timestamp()),
        identity=_identity(line, pki, trusted_by),
    )
    asyncio.run(_until_stopped(setup, jobs, finished, resolved))


def _identity(line: LineMap, folder: Path, trusted_by: Path | None) -> Own | None:
    if all(station.security == "none" for station in line.stations):
        return None
    own = Pki(folder, "Simulated line").own()
    if trusted_by is not None:
        Pki(trusted_by).add_trusted(own.certificate)
    return own


def _at(line: LineMap, port_base: int | None) -> LineMap:
    if port_base is None:
        return line
    return with_free_ports(line) if port_base == 0 else line.from_port(port_base)


async def _until_stopped(setup: Setup, jobs: Path, finished: Path | None, resolved: Path | None) -> None:
    playing = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lambda: playing and playing.cancel())
    try:
        await run_line(setup, jobs, finished, resolved)
    except asyncio.CancelledError:
        typer.echo("line stopped", err=True)


if __name__ == "__main__":
    cli(prog_name="python -m plc_adapters.simulated")
