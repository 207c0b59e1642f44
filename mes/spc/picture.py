"""Draws a control chart: its points, centre and limits, and below them the spread."""

import io
import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mes.spc.messages import ChartDrawn, PointAnswer

_INK, _LINE, _LIMIT, _CENTER, _BAD = "#1f2933", "#123f6b", "#b42318", "#52606d", "#b42318"


def draw_chart(seen: ChartDrawn, kind: str) -> bytes:
    """Draw a line of a chart as PNG or SVG; points that break a rule are marked, and say which below."""
    has_spread = seen.spread_name is not None
    figure = Figure(figsize=(9.0, 4.8 if has_spread else 3.2), dpi=110, layout="constrained")
    panes = figure.subplots(2 if has_spread else 1, 1, sharex=True, squeeze=False)[:, 0]
    top: Axes = panes[0]
    points = seen.points
    ordinals = range(1, len(points) + 1)
    if points and seen.center is not None:
        lower, upper = [point.lower for point in points], [point.upper for point in points]
        _draw(top, ordinals, [point.value for point in points], seen.center, lower, upper)
        _mark(top, points)
    else:
        top.text(0.5, 0.5, "no subgroups yet", ha="center", transform=top.transAxes, color=_CENTER)
    top.set_ylabel(f"{seen.name} ({seen.chart.unit})" if seen.chart.unit and seen.name else seen.name)
    top.set_title(describe(seen), color=_INK, fontsize=9, loc="left")
    if has_spread and seen.spread_center is not None:
        below: Axes = panes[1]
        drawn = [math.nan if point.spread is None else point.spread for point in points]
        lower, upper = [seen.spread_lower or 0.0] * len(points), [seen.spread_upper or 0.0] * len(points)
        _draw(below, ordinals, drawn, seen.spread_center, lower, upper)
        below.set_ylabel(seen.spread_name or "")
    panes[-1].set_xlabel("subgroups, the newest last")
    out = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {}
    figure.savefig(out, format=kind, metadata=metadata)
    return out.getvalue()


def describe(seen: ChartDrawn) -> str:
    """Say what is charted, where, and by which limits."""
    chart = seen.chart
    where = f"{chart.station} {chart.tool}" if chart.tool else chart.station
    position = f", position {seen.position}" if seen.position else ""
    limits = f"limits of {chart.subgroups} subgroups" if chart.subgroups else "limits not set yet"
    said = f"{chart.operation} {chart.characteristic}{position} of {chart.part} at {where}: {chart.kind}, {limits}"
    return said.replace("$", r"\$")


def _draw(
    axes: Axes,
    ordinals: Sequence[int],
    points: Sequence[float],
    center: float,
    lower: Sequence[float],
    upper: Sequence[float],
) -> None:
    axes.plot(ordinals, points, color=_LINE, linewidth=1.0, marker="o", markersize=3)
    axes.axhline(center, color=_CENTER, linewidth=0.9)
    for limit in (lower, upper):
        axes.plot(ordinals, limit, color=_LIMIT, linewidth=1.0, linestyle="--", drawstyle="steps-mid")
    axes.grid(visible=True, color="#e4e7eb", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _mark(axes: Axes, points: Sequence[PointAnswer]) -> None:
    """A square round each point that breaks a rule, with the rules' numbers."""
    broken = [(n, point) for n, point in enumerate(points, 1) if point.rules]
    values = [point.value for _, point in broken]
    axes.plot([n for n, _ in broken], values, linestyle="none", marker="s", markersize=8, color=_BAD, fillstyle="none")
    for n, point in broken:
        numbers = ",".join("s" if rule == "spread" else rule.rsplit("_", 1)[1] for rule in point.rules)
        axes.annotate(numbers, (n, point.value), xytext=(0, 7), textcoords="offset points", fontsize=7, color=_BAD)
