"""The commands `mes bench NAME`."""

import json
from collections.abc import Mapping
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn
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


@bench.command()
def match(
    seeds: Annotated[int, typer.Option(help="Pools of each size; medians are shown.", min=1)] = 20,
    as_json: AsJson = False,
) -> None:
    """Match cells of capacity N(15.15 Ah, 0.8 %) and ACIR N(2.2 mOhm, 3 %) into 16s7p kits; needs no server.

    one: 112 cells for one kit; pool: 1,008 for nine; large: 10,000 for 89. One lot, cartons of 160. The rules' own
    limits hold (ACIR 8 % in a group, 0.3 % between group sums) but for capacity in a group: these cells aren't graded.
    A pool whose kits can't keep the limits counts as kits_made_pct below 100. random, sorted: spread between group
    sums of the same cells at random, and in blocks by capacity.
    """
    from mes.bench.match import SIZES, measure_match

    measured = {size: measure_match(size, seeds) for size in SIZES}
    if as_json:
        typer.echo(json.dumps({f"{size}_{name}": v for size, run in measured.items() for name, v in run.items()}))
        return
    for size, run in measured.items():
        typer.echo(
            f"{size:6}{SIZES[size][0]:>6,} cells: {run['group_spread_pct']:.4f} % between groups "
            f"(random {run['random_group_spread_pct']:.2f} %, sorted {run['sorted_group_spread_pct']:.2f} %), "
            f"ACIR {run['acir_spread_pct']:.2f} % in a group, {run['cartons_per_kit']:.1f} cartons per kit, "
            f"{run['kits_made_pct']:.0f} % of {SIZES[size][1]} made, {run['seconds']:.2f} s"
        )


@bench.command()
def common(
    incidents: Annotated[int, typer.Option(help="Incidents with a cause planted in them.", min=1)] = 200,
    without: Annotated[int, typer.Option(help="Incidents without any.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """Play incidents of 12 suspects among 1,012 packs and rank what they share; needs no server.

    found_first_pct: how often a planted cause (a lot, station, tool, program, person, shift, or a tail of a value, that
    1.5 to 25 % of all units have, 90 % of the suspects because of it) is the first that is said. silent_pct: how often
    nothing is said to stand out where there is no cause.
    """
    from mes.bench.incidents import measure_common

    goals = {"found_first_pct": "at least 95", "silent_pct": "at least 90"}
    show("What suspects share", measure_common(incidents, without), goals, as_json)


@bench.command()
def contain(
    units: Annotated[int, typer.Option(help="Units that the question fits when it is asked.", min=16)] = 10_000,
    meanwhile: Annotated[int, typer.Option(help="Units that are reported beside it.", min=16)] = 3_000,
    workers: Annotated[int, typer.Option(help="The MES's processes.", min=1)] = 2,
    as_json: AsJson = False,
) -> None:
    """Hold whatever passed a station, by a question, while 16 stations report more of it.

    longest_wait_ms: of any report beside it. slipped: units that passed and aren't held, whether they were reported
    before, while, or after it was asked.
    """
    from mes.bench.contain import measure_containment

    with Progress(SpinnerColumn(), *Progress.get_default_columns(), console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=3)
        figures = measure_containment(
            units, meanwhile, workers, lambda done, doing: progress.update(task, completed=done, description=doing)
        )
    goals = {"longest_wait_ms": "at most 1,000", "slipped": "0"}
    show("Containment under load", figures, goals, as_json)


@bench.command()
def gateway(
    stations: Annotated[list[int] | None, typer.Option(help="Stations, e.g. 50; may be given several times.")] = None,
    pace_s: Annotated[float, typer.Option(help="Seconds between a station's requests.", min=0.1)] = 5,
    seconds: Annotated[float, typer.Option(help="Seconds of a round, beside its start.", min=1)] = 30,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are shown.", min=1)] = 3,
    handshakes: Annotated[
        int, typer.Option(help="Handshakes, as fast as they go, over which memory is watched.")
    ] = 5000,
    soak: Annotated[bool, typer.Option("--soak", help="100,000 handshakes instead.")] = False,
    security: Annotated[str, typer.Option(help="Of the links of both: encrypted or none.")] = "encrypted",
    workers: Annotated[int, typer.Option(help="The MES's processes.", min=1)] = 2,
    as_json: AsJson = False,
) -> None:
    """Time PLCs' permits, from raising the counter to seeing the answer, through OPC UA, gateway, MES and back.

    echo: the same PLCs and links, answered at once by a bare OPC UA client without payload, gateway or MES, in turn
    with the gateway. A handshake is a permit and a result of 60 values. PLCs publish every 50 ms, to both.
    """
    from mes.bench.gateway import Load, figures_of, measure_gateway, soak_of

    loads = [Load(count, pace_s, max(1, round(seconds / pace_s))) for count in stations or (10, 50, 200)]
    soaking = soak_of(100_000 if soak else handshakes, max(load.stations for load in loads))
    measured = measure_gateway(loads, rounds, soaking, security, workers)
    figures = {"pace_s": pace_s, **figures_of(measured)}
    goals = {"p99_over_echo_ms_50": "<= 25", "soak_growth_mb": "0", "wrong": "0"}
    show(f"gateway, {rounds} rounds of {seconds:g} s, links {security}", figures, goals, as_json)


@bench.command("import")
def import_(
    cells: Annotated[int, typer.Option(help="Cells in the file.", min=1000, max=2_000_000)] = 1_000_000,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are shown.", min=1)] = 3,
    as_json: AsJson = False,
) -> None:
    """Receive a supplier's file of cells: read, judged and stored whole, in a process of its own.

    ratio_to_copy: rows a second against PostgreSQL's own COPY of ready files, ids and all, with the same columns into
    the same tables, in turn, same server, same run.
    """
    from mes.bench.imports import measure_import

    with Progress(SpinnerColumn(), *Progress.get_default_columns(), console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=2 * rounds)

        def show_step(done: int, doing: str) -> None:
            progress.update(task, completed=done, description=doing)

        measured = measure_import(cells, rounds, show_step)
        show_step(2 * rounds, "measured")
    figures = {
        "ratio_to_copy": median(m.rows_per_s / m.copy_rows_per_s for m in measured),
        "rows_per_s": median(m.rows_per_s for m in measured),
        "copy_rows_per_s": median(m.copy_rows_per_s for m in measured),
        "peak_memory_mb": max(m.peak_memory_mb for m in measured),
    }
    goals = {"ratio_to_copy": ">= 0.5", "peak_memory_mb": "< 500"}
    show(f"import, {rounds} rounds of {cells:,} cells", figures, goals, as_json)


@bench.command()
def seal(
    reports: Annotated[int, typer.Option(help="Reports a round.", min=16)] = 2000,
    rounds: Annotated[int, typer.Option(help="Rounds each way; medians are shown.", min=1)] = 3,
    workers: Annotated[int, typer.Option(help="The MES's processes.", min=1)] = 2,
    as_json: AsJson = False,
) -> None:
    """Drive reports as `station` does, with the sealer at work and without it in turn; then verify all of it.

    ratio_to_unsealed: reports a second with the sealer against those without, same server, same run. A round's clock
    starts under load, so that the sealer is as far behind then as at the end.
    """
    from mes.bench.seal import measure_seals

    with Progress(SpinnerColumn(), *Progress.get_default_columns(), console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=2 * rounds)
        measured = measure_seals(
            reports, rounds, workers, lambda done, doing: progress.update(task, completed=done, description=doing)
        )
    figures = {
        "ratio_to_unsealed": median(a.per_s / b.per_s for a, b in zip(measured.sealed, measured.unsealed, strict=True)),
        "reports_per_s": median(m.per_s for m in measured.sealed),
        "unsealed_reports_per_s": median(m.per_s for m in measured.unsealed),
        "report_p99_ms": median(m.percentile_ms(99) for m in measured.sealed),
        "unsealed_report_p99_ms": median(m.percentile_ms(99) for m in measured.unsealed),
        "seals": float(measured.seals),
        "rows_verified": float(measured.verdict.rows),
        "verify_rows_per_s": measured.verdict.rows / measured.verify_s,
        "fits": float(measured.verdict.misfit is None),
    }
    goals = {"ratio_to_unsealed": ">= 0.84", "fits": "1"}
    show(f"seals, {rounds} rounds of {reports} reports, {workers} worker(s)", figures, goals, as_json)
    raise typer.Exit(0 if figures["fits"] else 1)


@bench.command()
def trace(
    packs: Annotated[int, typer.Option(help="Packs of the history.", min=100, max=1_000_000)] = 10_000,
    cells: Annotated[int, typer.Option(help="Cells of a pack, in eight modules.", min=8, max=1000)] = 112,
    asked: Annotated[int, typer.Option(help="Questions of each kind; medians are shown.", min=3)] = 50,
    as_json: AsJson = False,
) -> None:
    """Write a history of packs and ask of it, each time of another pack or lot, up to the answer's JSON.

    Five hundred packs a day; cells in lots of 10,000; of every hundredth module a cell was replaced; a result of 14
    values for each module, of 4 for each pack. as_built: the tree of a pack. record: its as-built record. where_used:
    all packs and modules that contain a lot. sideways: which modules passed one of two welders in 7 days with a value
    outside limits, and what they are in.
    """
    from mes.bench.trace import measure_trace

    with Progress(SpinnerColumn(), *Progress.get_default_columns(), console=Console(stderr=True)) as progress:
        task = progress.add_task("writing packs", total=packs)
        figures = measure_trace(packs, cells, asked, lambda done: progress.update(task, completed=done))
    goals = {"as_built_p50_ms": "<= 50", "where_used_lot_ms": "<= 50"}
    show(f"trace of {packs:,} packs of {cells} cells", figures, goals, as_json)
