"""Draws a curve over its windows and the last good ones."""

import io
from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from mes.measurements.service import unpack
from mes.records.curves import CurveSeen
from mes.records.messages import CurveWindow

_INK, _LINE, _GOOD, _Y_BAND, _X_BAND = "#1f2933", "#123f6b", "#8b949e", "#2f7d4f", "#8a6d1d"
_BEYOND = 0.75  # limits farther off than this, in heights of what is drawn, are named and not drawn
Span = tuple[float, float]
_ENDS: dict[str, Span] = {"start": (0.0, 0.15), "end": (0.85, 1.0)}
_HATCH = {(0.0, 0.15): "\\\\", (0.85, 1.0): "..", (0.0, 1.0): None}


def draw_curve(seen: CurveSeen, kind: str) -> bytes:
    """Draw a curve, strong, over its windows, shaded, and the last good ones, thin, as PNG or SVG."""
    figure = Figure(figsize=(6.4, 4.0), dpi=130, layout="constrained")
    axes = figure.subplots()
    x, y = unpack(seen.content)
    windows = [(window, _origin(window, max(x))) for window in seen.windows]
    good = [unpack(content) for content in seen.good]
    limits = {
        "x": _limits((x, *(one[0] for one in good)), _edges(windows, "x")),
        "y": _limits((y, *(one[1] for one in good)), _edges(windows, "y")),
    }
    for window, origin in windows:
        _shade(axes, window, origin, limits[window.axis])
    if good:
        lines = [list(zip(*one, strict=True)) for one in good]
        # rasterized: fifty curves in an SVG would weigh megabytes
        name = f"last {len(good)} good: other units, passed" if len(good) > 1 else "last good: another unit, passed"
        behind = LineCollection(lines, colors=_GOOD, linewidths=0.6, alpha=0.7, rasterized=True, label=name, zorder=2)
        axes.add_collection(behind)
    axes.plot(x, y, color=_LINE, linewidth=2.0, label=f"this curve, {len(x)} points; dot: its end", zorder=3)
    axes.plot(x[-1], y[-1], marker="o", markersize=5, color=_LINE, markeredgecolor="white", zorder=4)
    axes.set_xlim(limits["x"])
    axes.set_ylim(limits["y"])
    _name(axes, seen, len(good))
    figure.legend(loc="outside lower left", ncols=1, fontsize=8, frameon=False)
    out = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {}
    figure.savefig(out, format=kind, metadata=metadata)
    return out.getvalue()


def describe(seen: CurveSeen, good: int) -> list[str]:
    """Say in two lines whose curve it is, and how it was made."""
    record = seen.record
    made = f"tool {record.tool or 'not told'}, program {record.program_revision or 'not told'}"
    return [
        f"{seen.serial}: {record.operation} {record.step}, {record.characteristic}, joint {record.ordinal}",
        f"attempt {record.attempt}, {made}, cycle {record.verdict}, {good} good behind",
    ]


def _name(axes: Axes, seen: CurveSeen, good: int) -> None:
    first, second = (_shorten(line) for line in describe(seen, good))
    axes.set_title(f"{first}\n{second}", color=_INK, fontsize=8.5, loc="left")
    quantity = seen.record.characteristic.removesuffix("_curve").rsplit("_", 1)[-1]
    axes.set_ylabel(_plain(f"{quantity} ({seen.record.unit})" if seen.record.unit else quantity))
    axes.set_xlabel(seen.x_label)
    axes.grid(visible=True, color="#e4e7eb", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _shorten(line: str, most: int = 96) -> str:
    return _plain(line if len(line) <= most else line[: most - 3] + "...")


def _plain(line: str) -> str:
    return line.replace("$", r"\$")  # or it would be read as a formula


def _limits(drawn: Iterable[list[float]], edges: list[float]) -> Span:
    """The span of an axis: all that is drawn, and those limits that aren't far from it."""
    least, most = _span(value for values in drawn for value in values)
    height = (most - least) or abs(most) or 1.0
    for value in edges:
        if least - _BEYOND * height <= value <= most + _BEYOND * height:
            least, most = min(least, value), max(most, value)
    room = 0.05 * ((most - least) or height)
    return least - room, most + room


def _origin(window: CurveWindow, end: float) -> float:
    """Where a window's zero lies on its axis.

    A tool counts a joint's angle or time from a threshold on, a curve from its start: what it counted ends with x.
    """
    return 0.0 if window.axis == "y" or window.value is None else end - window.value


def _edges(windows: list[tuple[CurveWindow, float]], axis: str) -> list[float]:
    of_axis = [(window, origin) for window, origin in windows if window.axis == axis]
    return [origin + limit for window, origin in of_axis for limit in (window.lower, window.upper) if limit is not None]


def _span(values: Iterable[float]) -> Span:
    all_of = list(values)
    return min(all_of), max(all_of)


def _shade(axes: Axes, window: CurveWindow, origin: float, span: Span) -> None:
    low = span[0] if window.lower is None else max(span[0], origin + window.lower)
    high = span[1] if window.upper is None else min(span[1], origin + window.upper)
    is_y = window.axis == "y"
    color = _Y_BAND if is_y else _X_BAND
    shade, line = (axes.axhspan, axes.axhline) if is_y else (axes.axvspan, axes.axvline)
    named = _words(window) + (f", counted from {origin:.4g}" if abs(origin) > abs(span[1] - span[0]) / 1000 else "")
    if low > high:
        named += ", outside the picture"
        low = high = span[0]
    part = _part(window) if is_y else (0.0, 1.0)
    look: dict[str, Any] = {
        "hatch": _HATCH[part] if is_y else "//",
        "facecolor": color,
        "edgecolor": color,
        "alpha": 0.14,
    }
    shade(low, high, *part, **look, label=_plain(named), zorder=1)
    for limit in (window.lower, window.upper):
        if limit is not None and span[0] <= origin + limit <= span[1]:
            line(origin + limit, *part, color=color, linestyle="--" if is_y else ":", linewidth=1.1, zorder=2)


def _part(window: CurveWindow) -> Span:
    """Which part of the picture's width a window of y is shaded over: what is measured at an end, at that end."""
    return _ENDS.get(window.characteristic.split("_")[0], (0.0, 1.0))


def _words(window: CurveWindow) -> str:
    """Name a window: its limits, and what was measured."""
    if window.lower is None:
        limits = f"at most {window.upper:.5g}"
    elif window.upper is None:
        limits = f"at least {window.lower:.5g}"
    else:
        limits = f"{window.lower:.5g} to {window.upper:.5g}"
    said = f"window {window.characteristic}: {limits} {window.unit}"
    if window.value is None:
        return said
    inside = (window.lower is None or window.value >= window.lower) and (
        window.upper is None or window.value <= window.upper
    )
    return f"{said} (measured {window.value:.5g}, {'inside' if inside else 'OUTSIDE'})"
