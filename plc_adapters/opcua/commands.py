"""The commands `mes opcua`: certificates, and looking at servers: what is there, how it is mapped, what is missing."""

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from plc_adapters.mapping import LineMap, StationMap
    from plc_adapters.opcua.explore import Found, Seen
    from plc_adapters.opcua.pki import Access, Pki

opcua = typer.Typer(help="OPC UA servers: trust them, look at them, map and check stations.", no_args_is_help=True)
PkiFolder = Annotated[Path, typer.Option("--pki", help="The gateway's folder of certificates.", envvar="MES_PKI")]
Secrets = Annotated[Path | None, typer.Option(help="Folder with STATION.password, mode 600.")]
Thumbprint = Annotated[str, typer.Argument(help="Thumbprint, or its first digits, as `certificates` shows it.")]
Endpoint = Annotated[str, typer.Argument(help="opc.tcp://HOST:PORT")]
Station = Annotated[str, typer.Option(help="The station's code; its password is STATION.password in --secrets.")]
Plain = Annotated[bool, typer.Option("--plain", help="Speak in plain text, where the server can't encrypt.")]
User = Annotated[str | None, typer.Option(help="Log in as this user.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DEFAULT = Path("pki")


@opcua.command()
def certificates(pki: PkiFolder = _DEFAULT, as_json: AsJson = False) -> None:
    """List the own certificate (made if there is none), those trusted and those refused."""
    folder = _pki(pki)
    if not any(one.kind == "own" for one in folder.listed()):
        folder.renew()
    listed = folder.listed()
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in listed]))
        return
    for one in listed:
        typer.echo(f"{one.kind:8}  {one.thumbprint}  to {one.expires} ({one.days_left} days)  {one.subject}  {one.uri}")


@opcua.command()
def trust(thumbprint: Thumbprint, pki: PkiFolder = _DEFAULT) -> None:
    """Trust a server that was refused, from the next try on. Compare the thumbprint in the PLC first."""
    _pki(pki).trust(thumbprint)
    typer.echo(f"{thumbprint} is trusted.")


@opcua.command()
def distrust(thumbprint: Thumbprint, pki: PkiFolder = _DEFAULT) -> None:
    """Trust a server no more, from its next connection on."""
    _pki(pki).distrust(thumbprint)
    typer.echo(f"{thumbprint} is not trusted any more; a connection that stands ends with the gateway's next restart.")


@opcua.command()
def renew(pki: PkiFolder = _DEFAULT) -> None:
    """Make the gateway's certificate anew, with the same key; PLCs must then trust the new one."""
    from plc_adapters.opcua.pki import thumbprint

    certificate = _pki(pki).renew()
    typer.echo(f"New certificate {thumbprint(certificate)}, valid to {certificate.not_valid_after_utc:%Y-%m-%d}.")
    typer.echo(
        f"Give {pki / 'own' / 'certificate.der'} to each PLC to trust; the gateway uses it when it next connects."
    )


@opcua.command()
def browse(
    endpoint: Endpoint,
    station: Station = "browse",
    pki: PkiFolder = _DEFAULT,
    secrets: Secrets = None,
    user: User = None,
    plain: Plain = False,
    most: Annotated[int, typer.Option(help="Nodes at most.", min=1, max=100_000)] = 2_000,
) -> None:
    """Show what a server has: node ids, names, types, values, access (r, w)."""
    seen = _run(_seen(_station(endpoint, station, user, plain), _access(pki, secrets), most))
    namespace = ""
    for one in seen.found:
        if one.namespace != namespace:
            namespace = one.namespace
            typer.echo(f"namespace {namespace}")
        typer.echo("  " * len(one.path) + _described(one))
    if not seen.whole:
        typer.echo(f"That is not all: it ends at {most} nodes or 12 levels; --most shows more.", err=True)


@opcua.command("map")
def map_station(
    endpoint: Endpoint,
    station: Annotated[str, typer.Option(help="The station's code in the plant's files.")],
    namespace: Annotated[str | None, typer.Option(help="URI; else the one with the most variables.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the mapping here; never over a file.")] = None,
    pki: PkiFolder = _DEFAULT,
    secrets: Secrets = None,
    user: User = None,
    plain: Plain = False,
) -> None:
    """Propose the mapping file of an unknown server, with comments on what is uncertain or missing."""
    from plc_adapters.opcua.proposing import main_namespace, mapping_text, propose

    if out is not None and out.exists():
        _fail(f"{out} is there already; name another file.")
    seen = _run(_seen(_station(endpoint, station, user, plain), _access(pki, secrets), 20_000))
    uri = namespace or main_namespace(seen.found)
    found = [one for one in seen.found if one.namespace == uri and one.shape is not None]
    if uri is None or not found:
        have = sorted({one.namespace for one in seen.found if one.shape is not None})
        _fail(f"Read no variable in namespace {uri}, expected some; the server has variables in: {have or 'none'}.")
    proposal = propose(found)
    text = mapping_text(endpoint, station, str(uri), proposal, plain=plain, user=user)
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, "utf-8")
    unsure = sum(bool(one.doubts) for one in proposal.matches.values())
    typer.echo(
        f"{len(proposal.matches)} words found, {unsure} of them unsure; {len(proposal.missing)} missing"
        f"{': ' + ', '.join(proposal.missing) if proposal.missing else ''}; {len(proposal.values)} arrays of values.",
        err=True,
    )


@opcua.command()
def check(
    map_file: Annotated[Path, typer.Option("--map", help="The mapping file.")],
    station: Annotated[list[str] | None, typer.Option(help="Only this station; may be given again.")] = None,
    pki: PkiFolder = _DEFAULT,
    secrets: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Go through every station's list: reachable, trusted, encrypted, words, heartbeat. Exit 1 if one is missing."""
    from plc_adapters.opcua.checking import check_station

    line = _line(map_file)
    chosen = [one for one in line.stations if not station or one.code in station]
    if not chosen:
        _fail(f"Read --station {station}, expected some of {', '.join(one.code for one in line.stations)}.")
    access = _access(pki, secrets)

    async def every() -> list[Any]:
        return [point for one in chosen for point in await check_station(one, access)]

    points = _run(every())
    if as_json:
        typer.echo(json.dumps([asdict(point) for point in points]))
    else:
        for point in points:
            typer.echo(f"{'ok     ' if point.ok else 'MISSING'}  {point.station}  {point.name}  {point.text}")
        typer.echo(
            f"{sum(point.ok for point in points)} of {len(points)} points are right. What a word means can't be seen"
            " from here: run one unit, and watch which counter rises at its request and which at its result.",
            err=True,
        )
    raise typer.Exit(0 if all(point.ok for point in points) else 1)


def _pki(folder: Path) -> "Pki":
    from plc_adapters.opcua.pki import Pki

    return Pki(folder)


def _access(pki: Path, secrets: Path | None) -> "Access":
    from plc_adapters.opcua.pki import Access

    return Access(_pki(pki), secrets)


def _line(path: Path) -> "LineMap":
    from mes.errors import Malformed
    from plc_adapters.mapping import load_map

    try:
        return load_map(path)
    except Malformed as error:
        wrong = [f"{one['at']}: read {one['read']}, expected {one['expected']}" for one in error.errors]
        _fail("\n  ".join([str(error), *wrong]))


def _station(endpoint: str, code: str, user: str | None, plain: bool) -> "StationMap":
    from pydantic import ValidationError

    from plc_adapters.mapping import StationMap, described

    try:
        return StationMap(
            code=code, endpoint=endpoint, namespace="?", user=user, security="none" if plain else "encrypted"
        )
    except ValidationError as error:
        _fail("; ".join(f"{one['at']}: read {one['read']}, expected {one['expected']}" for one in described(error)))


async def _seen(station: "StationMap", access: "Access", most: int) -> "Seen":
    from plc_adapters.opcua.connection import connected
    from plc_adapters.opcua.explore import explore

    async with connected(station, access) as client:
        return await explore(client, most)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    from plc_adapters.opcua.connection import GONE
    from plc_adapters.port import LinkLost

    try:
        return asyncio.run(work)
    except LinkLost as error:
        _fail(str(error.facts.get("reason")))
    except GONE as error:
        _fail(f"The link broke while it was looked at: {type(error).__name__} {error}")


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)


def _described(one: "Found") -> str:
    if one.shape is None:
        return f"{one.name}  {one.node}"
    access = ("r" if one.shape.readable else "-") + ("w" if one.shape.writable else "-")
    value = repr(one.shape.value) if one.shape.bad is None else one.shape.bad
    return f"{one.name}  {one.node}  {one.shape.said}  {access}  {value if len(value) <= 60 else value[:57] + '...'}"
