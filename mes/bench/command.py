"""The commands `mes bench NAME`."""

import json
from collections.abc import Mapping
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

bench = typer.Typer(
    help="Measure, each on a server and database of its own, started for it and thrown away: never on a plant's. "
    "Compare ratios within one run; the figures are medians of the rounds.",
    no_args_is_help=True,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object with the figures.")]


def show(title: str, figures: Mapping[str, float], goals: Mapping[str, str], as_json: bool) -> None:
    """Print figures as a table beside their goals, or as JSON."""
    if as_json:
        typer.echo(json.dumps(dict(figures)))
        return
    table = Table(title=title)
    table.add_column("figure")
    table.add_column("measured", justify="right")
    table.add_column("goal")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.3g}" if value < 100 else f"{value:,.0f}", goals.get(name, ""))
    Console().print(table)


@bench.command()
def station(
    reports: Annotated[int, typer.Option(help="Reports a round.", min=16)] = 3000,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are shown.", min=1)] = 5,
    workers: Annotated[int, typer.Option(help="The MES's processes.", min=1)] = 2,
    as_json: AsJson = False,
) -> None:
    """Drive permits and reports (60 values, 8 components) over HTTP with 16 connections.

    ratio_to_sql: reports a second against one prepared call of hand-written SQL that checks and writes the same, 16
    connections, same server, same run (mes/bench/by_hand.py).
    """
    from mes.bench.station import measure_station

    measured = measure_station(reports, rounds, workers)
    figures = {
        "ratio_to_sql": median(m.reports.per_s / m.by_hand.per_s for m in measured),
        "reports_per_s": median(m.reports.per_s for m in measured),
        "report_p50_ms": median(m.reports.percentile_ms(50) for m in measured),
        "report_p99_ms": median(m.reports.percentile_ms(99) for m in measured),
        "permits_per_s": median(m.permits.per_s for m in measured),
        "permit_p50_ms": median(m.permits.percentile_ms(50) for m in measured),
        "permit_p99_ms": median(m.permits.percentile_ms(99) for m in measured),
        "cpu_ms_per_report": median(m.cpu_ms_per_report for m in measured),
        "sql_by_hand_per_s": median(m.by_hand.per_s for m in measured),
    }
    goals = {"ratio_to_sql": ">= 0.4", "report_p99_ms": "<= 50"}
    show(f"station door, {rounds} rounds of {reports} reports, {workers} worker(s)", figures, goals, as_json)


@bench.command()
def pack(
    packs: Annotated[int, typer.Option(help="Packs of the single stream; each of many builds two.", min=1)] = 4,
    streams: Annotated[int, typer.Option(help="Streams at once.", min=1, max=64)] = 8,
    workers: Annotated[int, typer.Option(help="The MES's processes.", min=1)] = 2,
    as_json: AsJson = False,
) -> None:
    """Build GC48-105 packs through the API, one permit and one report a station, every check on.

    Afterwards every lot balance, order count, part, position and value is compared with what was sent; `exact` is 1
    when nothing differs, and the exit status is 1 otherwise.
    """
    from mes.bench.pack import measure_packs

    single, many = measure_packs(packs, streams, workers)
    figures = {
        "seconds_per_pack": single.seconds / single.packs,
        "cpu_s_per_pack": single.cpu_s / single.packs,
        "requests_per_pack": single.requests / single.packs,
        "streams": float(streams),
        "streams_seconds_per_pack": many.seconds / many.packs,
        "streams_cpu_s_per_pack": many.cpu_s / many.packs,
        "exact": float(not single.wrong and not many.wrong),
    }
    goals = {"cpu_s_per_pack": "<= 0.3", "requests_per_pack": "<= 45", "exact": "1"}
    show(f"packs, {workers} worker(s)", figures, goals, as_json)
    for wrong in (*single.wrong, *many.wrong):
        typer.echo(wrong, err=True)
    raise typer.Exit(0 if figures["exact"] else 1)
