"""Judges a station's charts after its results were committed: it reads, and acts only where there is something to say.

How far a chart was judged is kept when a signal is found, and once in a while; what is judged again in between says
the same again. Cycles are taken in the order of their numbers: one whose transaction ended after a later one's was
judged counts in the picture, and in the points that come, but isn't judged as the last of them.
"""

import asyncio
from dataclasses import asdict

from mes.actor import Actor, Role
from mes.db import Database, ReadSession
from mes.spc.messages import BaselineSaid, ChartJudged, SignalSaid
from mes.spc.queries import ChartRow, Series, began, declared, find_chart, values
from mes.spc.service import keep_chart
from mes.spc.subgroups import CONTEXT, Point, Subgroup, judge

WATCH = Actor("spc", Role.STATION)
MOST = 2_000  # cycles judged at once
KEPT_EVERY = 50  # subgroups: how far a calm chart was judged is kept no more often


async def judge_charts(database: Database, station: str | None = None, operation: str | None = None) -> int:
    """Judge what is charted of an operation at a station, or all there is; how many signals are new."""
    async with database.reading() as session:
        of = await declared(session, station, operation)
    found = 0
    for series in of:
        while (said := await _look(database, series)) is not None:
            kept = await database.transact(keep_chart, said, WATCH)
            found += len(kept.signals)
            if not kept.is_news:
                break
    return found


async def _look(database: Database, series: Series) -> ChartJudged | None:
    async with database.reading() as session:
        chart = await find_chart(session, series)
        if chart is None or chart.shape != series.charting.shape:
            since = max(await began(session, series), chart.since if chart else 0)
            if chart is None and not (await values(session, series, since, since, after=1))[1]:
                return None  # nothing was measured yet
            return _said(series, since=since, upto=since)
        return await _judge(session, series, chart)


async def _judge(session: ReadSession, series: Series, chart: ChartRow) -> ChartJudged | None:
    charting = series.charting
    size, baseline = charting.spec.size, charting.spec.baseline
    if not chart.baselines:
        first = charting.first((await values(session, series, chart.since, chart.since, after=size * baseline))[1])
        if len(first) < baseline:
            return None
        made = [BaselineSaid(**asdict(one)) for one in charting.baselines(first)]
        return _said(series, since=chart.since, upto=first[-1][-1].cycle_id, baselines=made)
    before, after = await values(
        session, series, chart.since, chart.judged, before=size * (CONTEXT + 1), after=max(MOST // size, 1) * size
    )
    new = charting.first(after)
    # beside the loop: hundreds of positions take a while, and stations wait for their answers
    points = await asyncio.to_thread(judge, charting, chart.baselines, charting.last(before), new)
    if not points and len(new) < KEPT_EVERY:
        return None
    kept = [BaselineSaid(**asdict(one)) for one in chart.baselines]
    signals = [_signal(point) for point in points]
    return _said(series, since=chart.since, upto=new[-1][-1].cycle_id, baselines=kept, signals=signals)


def _said(
    series: Series,
    *,
    since: int,
    upto: int,
    baselines: list[BaselineSaid] | None = None,
    signals: list[SignalSaid] | None = None,
) -> ChartJudged:
    return ChartJudged(
        part=series.part,
        operation=series.operation,
        characteristic=series.characteristic,
        station=series.station,
        tool=series.tool,
        shape=series.charting.shape,
        since=since,
        upto=upto,
        baselines=baselines,
        signals=signals or [],
    )


def _signal(point: Point) -> SignalSaid:
    return SignalSaid(
        position=point.position,
        rules=list(point.rules),
        value=point.value,
        center=point.center,
        lower=point.lower,
        upper=point.upper,
        cycles=[cycle for group in point.subgroups for cycle in _cycles(group)],
    )


def _cycles(group: Subgroup) -> list[int]:
    return [one.cycle_id for one in group]
