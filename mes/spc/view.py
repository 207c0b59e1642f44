"""A chart as it is looked at: its points with the rules they break, its limits, and the process's capability."""

import math
from dataclasses import asdict

from mes.db import ReadSession
from mes.errors import NotFound
from mes.spc.capability import Capability, capability
from mes.spc.charts import ATTRIBUTES, Baseline, Line, Numbers
from mes.spc.messages import CapabilityAnswer, ChartDrawn, IndexAnswer, PointAnswer
from mes.spc.queries import ChartRow, Series, get_chart, signals_of, values
from mes.spc.subgroups import CONTEXT, Charting, Subgroup

LAST = 60  # subgroups shown
MOST = 500


async def see_chart(session: ReadSession, chart_id: int, position: int | None = None, last: int = LAST) -> ChartDrawn:
    """One line of a chart with its last subgroups; by default the first line, of a chart by position position 1."""
    answer, series, kept = await get_chart(session, chart_id)
    charting = series.charting
    position = charting.positions[0] if position is None else position
    if position not in charting.positions:
        raise NotFound(kind=f"line of chart {chart_id}", name=position)
    groups = await _subgroups(session, series, kept, min(last, MOST) + CONTEXT)
    baseline = _baseline(charting, kept, groups, position)
    signals = [one for one in await signals_of(session, chart_id) if one.position == position]
    if baseline is None:
        return ChartDrawn(
            chart=answer,
            position=position,
            name="",
            center=None,
            points=[],
            **dict.fromkeys(("spread_name", "spread_center", "spread_lower", "spread_upper")),
            lower_limit=series.lower,
            upper_limit=series.upper,
            capability=None,
            signals=signals,
        )
    line, of_spread = charting.lines(baseline, groups, position)
    shown = slice(max(0, len(groups) - last), len(groups))
    numbers = charting.numbers(groups, position)[shown]
    return ChartDrawn(
        chart=answer,
        position=position,
        name=line.name,
        center=line.center,
        points=_points(charting, groups, line, of_spread)[shown],
        spread_name=of_spread and of_spread.name,
        spread_center=of_spread and of_spread.center,
        spread_lower=float(of_spread.lower[0]) if of_spread else None,
        spread_upper=float(of_spread.upper[0]) if of_spread else None,
        lower_limit=series.lower,
        upper_limit=series.upper,
        capability=_capability(series, baseline, numbers),
        signals=signals,
    )


async def _subgroups(session: ReadSession, series: Series, kept: ChartRow, count: int) -> list[Subgroup]:
    """The last whole subgroups, cut as they were judged."""
    size = series.charting.spec.size
    before, after = await values(
        session, series, kept.since, kept.judged, before=count * size, after=(MOST + CONTEXT) * size
    )
    return [*series.charting.last(before), *series.charting.first(after)][-count:]


def _baseline(charting: Charting, kept: ChartRow, groups: list[Subgroup], position: int) -> Baseline | None:
    """The line's own baseline; while it has none, what the subgroups so far would give; None: there are too few."""
    index = charting.positions.index(position)
    if kept.baselines and kept.shape == charting.shape:
        return kept.baselines[index]
    return charting.baselines(groups)[index] if len(groups) > 1 else None


def _points(charting: Charting, groups: list[Subgroup], line: Line, of_spread: Line | None) -> list[PointAnswer]:
    broken = charting.broken(line, of_spread)
    spreads = of_spread.points.tolist() if of_spread else [math.nan] * len(groups)
    return [
        PointAnswer(
            cycle_id=group[-1].cycle_id,
            at=group[-1].at,
            subjects=[one.subject for one in group],
            value=float(line.points[index]),
            lower=float(line.lower[index]),
            upper=float(line.upper[index]),
            spread=None if math.isnan(spreads[index]) else spreads[index],
            rules=broken.get(index, []),
        )
        for index, group in enumerate(groups)
    ]


def _capability(series: Series, baseline: Baseline, numbers: Numbers) -> CapabilityAnswer | None:
    is_counted = series.charting.spec.chart in ATTRIBUTES
    if is_counted or numbers.size < 2 or (series.lower is None and series.upper is None):
        return None
    found = capability(numbers.ravel(), baseline, series.lower, series.upper)
    return _answer(found)


def _answer(found: Capability) -> CapabilityAnswer:
    indices = {name: getattr(found, name) for name in ("cp", "cpk", "pp", "ppk")}
    return CapabilityAnswer(
        values=found.values,
        mean=found.mean,
        sigma_within=found.sigma_within,
        sigma_overall=found.sigma_overall,
        normality=found.normality,
        is_normal=found.is_normal,
        **{name: IndexAnswer(**asdict(one)) if one else None for name, one in indices.items()},
    )
