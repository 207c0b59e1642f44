"""The commands `mes spc`, control charts and their signals, and `mes gauge`, a gauge study of a file."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mes.commands import AsJson, Commands, Why
from mes.db import Database
from mes.errors import Malformed

if TYPE_CHECKING:
    from mes.spc.gauge import GaugeStudy
    from mes.spc.messages import ChartDrawn

Position = Annotated[int | None, typer.Option(help="Line of a chart by position.")]
Last = Annotated[int, typer.Option(help="How many subgroups.", min=2, max=500)]


def spc(use: Commands) -> typer.Typer:
    """Make `mes spc`."""
    app = typer.Typer(help="Control charts, and what they signalled.", no_args_is_help=True)
    _add_looking(app, use)
    _add_deciding(app, use)
    return app


def _add_looking(app: typer.Typer, use: Commands) -> None:
    @app.command("list")
    def list_charts(as_json: AsJson = False) -> None:
        """List the charts, those with open signals first."""
        from mes.spc.queries import charts

        async def work(database: Database) -> Any:
            async with database.reading() as session:
                return await charts(session)

        found = use.with_database(work)
        if as_json:
            typer.echo(json.dumps([one.model_dump(mode="json") for one in found]))
            return
        table = Table("chart", "part", "step", "characteristic", "station", "kind", "limits", "open signals")
        for one in found:
            limits = f"of {one.subgroups} subgroups" if one.set_at else "not set yet"
            where, step = " ".join(filter(None, (one.station, one.tool))), f"{one.operation} {one.step}"
            table.add_row(
                str(one.chart), one.part, step, one.characteristic, where, one.kind, limits, str(one.open_signals)
            )
        Console().print(table)

    @app.command()
    def show(
        chart: int,
        position: Position = None,
        last: Last = 60,
        out: Annotated[Path | None, typer.Option(help="Write its picture, .png or .svg.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Show a chart: limits, capability, the points that break a rule."""
        from mes.spc.picture import draw_chart
        from mes.spc.view import see_chart

        async def work(database: Database) -> Any:
            async with database.reading() as session:
                return await see_chart(session, chart, position, last)

        seen = use.with_database(work)
        if out is not None:
            out.write_bytes(draw_chart(seen, "svg" if out.suffix == ".svg" else "png"))
        typer.echo(seen.model_dump_json() if as_json else _said(seen))


def _add_deciding(app: typer.Typer, use: Commands) -> None:
    @app.command()
    def close(signal: int, reason: Why) -> None:
        """Close a signal: it was looked into, and this was found."""
        from mes.spc.messages import CloseSignal
        from mes.spc.service import close_signal

        use.act(close_signal, CloseSignal, lambda _: f"Signal {signal} is closed.", False, signal=signal, reason=reason)

    @app.command()
    def restart(chart: int, reason: Why) -> None:
        """Let a chart's limits be made anew of what comes: the process was changed."""
        from mes.spc.messages import RestartChart
        from mes.spc.service import restart_chart

        use.act(restart_chart, RestartChart, lambda _: f"Chart {chart} learns anew.", False, chart=chart, reason=reason)


def _said(seen: "ChartDrawn") -> str:
    from mes.spc.picture import describe
    from mes.spc.signals import RULES

    lines = [describe(seen)]
    if seen.points and seen.center is not None:
        point = seen.points[-1]
        limits = f"limits {point.lower:.6g} to {point.upper:.6g}"
        lines.append(f"{len(seen.points)} points; centre {seen.center:.6g}, {limits}")
    if seen.capability:
        indices = {"Cp": seen.capability.cp, "Cpk": seen.capability.cpk}
        indices |= {"Pp": seen.capability.pp, "Ppk": seen.capability.ppk}
        lines.append(
            ", ".join(f"{n} {one.value:.3f} ({one.low:.3f} to {one.high:.3f})" for n, one in indices.items() if one)
        )
        if not seen.capability.is_normal:
            lines.append(f"NOT NORMAL (Anderson-Darling, p = {seen.capability.normality:.3g}): the indices mean little")
    for point in seen.points:
        if point.rules:
            words = "; ".join(RULES[rule].words for rule in point.rules)
            lines.append(f"{point.at:%Y-%m-%d %H:%M} {point.subjects[-1]} {point.value:.6g}: {words}")
    return "\n".join(lines)


def add_gauge(cli: typer.Typer) -> None:
    """Add `mes gauge`."""

    @cli.command()
    def gauge(
        file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
        tolerance: Annotated[float | None, typer.Option(help="Width of the tolerance.", min=0)] = None,
        as_json: AsJson = False,
    ) -> None:
        """Analyse a gauge study: a table with the columns part, operator, value; a row for each trial."""
        from mes.spc.gauge import NotBalanced, gauge_study, lay_out

        rows = _read(file)
        try:
            study = gauge_study(lay_out(rows))
        except NotBalanced as error:
            problem = {"at": "rows", "read": f"{len(rows)} rows", "expected": str(NotBalanced.__doc__)}
            raise Malformed(f"File {file.name}", [problem]) from error
        if as_json:
            parts = {"components": study.components, "categories": study.categories}
            typer.echo(json.dumps(asdict(study) | parts))
            return
        for table in _tables(study, tolerance):
            Console().print(table)
        typer.echo(
            f"Categories it tells apart (ndc): {study.categories if study.categories is not None else 'no number'}"
        )


def _read(file: Path) -> Sequence[tuple[str, str, float]]:
    from pydantic import BaseModel, FiniteFloat

    from mes.sheet import messages

    class Trial(BaseModel):
        part: str
        operator: str
        value: FiniteFloat

    return [(one.part, one.operator, one.value) for one in messages(file.read_bytes(), file.name, Trial, {})]


def _tables(study: "GaugeStudy", tolerance: float | None) -> Sequence[Table]:
    title = "Analysis of variance" + ("; the interaction is pooled with repeatability" if study.is_pooled else "")
    analysis = Table("source", "sum of squares", "df", "mean square", "F", "p", title=title)
    for row in study.table:
        f, p = (f"{row.f:.3f}", f"{row.p:.4f}") if row.f is not None and row.p is not None else ("", "")
        analysis.add_row(row.name, f"{row.squares:.4f}", str(row.df), f"{row.mean_square:.5f}", f, p)
    components = Table("component", "variance", "sigma", "% contribution", "% study", "% tolerance", title="Components")
    for name, variance in study.components.items():
        share = variance / study.total if study.total else 0.0
        of_tolerance = f"{600 * math.sqrt(variance) / tolerance:.2f}" if tolerance else ""
        sigma, study_share = f"{math.sqrt(variance):.6f}", f"{100 * math.sqrt(share):.2f}"
        components.add_row(name, f"{variance:.6f}", sigma, f"{100 * share:.2f}", study_share, of_tolerance)
    return analysis, components
