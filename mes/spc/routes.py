"""HTTP: charts as numbers and pictures, signals, and what is decided about them."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from mes.http import DatabaseOf, reads, run
from mes.spc import queries, service
from mes.spc.messages import ChartAnswer, ChartDrawn, ChartKept, CloseSignal, RestartChart, SignalAnswer
from mes.spc.picture import draw_chart
from mes.spc.view import LAST, MOST, see_chart

router = APIRouter(prefix="/api/spc", tags=["process control"])
Position = Annotated[int | None, Query(ge=0, le=10_000, description="Line of a chart by position.")]
Last = Annotated[int, Query(ge=2, le=MOST, description="How many subgroups.")]


@router.get("/charts", dependencies=[reads])
async def list_charts(database: DatabaseOf) -> list[ChartAnswer]:
    """Every chart, those with open signals first."""
    async with database.reading() as session:
        return await queries.charts(session)


@router.get("/charts/{chart:int}", dependencies=[reads])
async def read_chart(database: DatabaseOf, chart: int, position: Position = None, last: Last = LAST) -> ChartDrawn:
    """A line of a chart: points with the rules they break, limits, capability, signals."""
    async with database.reading() as session:
        return await see_chart(session, chart, position, last)


@router.get("/charts/{chart:int}/picture.{kind}", dependencies=[reads])
async def draw(
    database: DatabaseOf, chart: int, kind: Literal["png", "svg"], position: Position = None, last: Last = LAST
) -> Response:
    """Draw a line of a chart with its spread: .png or .svg."""
    async with database.reading() as session:
        seen = await see_chart(session, chart, position, last)
    picture = await asyncio.to_thread(draw_chart, seen, kind)
    return Response(picture, media_type="image/svg+xml" if kind == "svg" else "image/png")


@router.get("/signals", dependencies=[reads])
async def list_signals(database: DatabaseOf, is_open: bool = True) -> list[SignalAnswer]:
    """The last 200 signals, the newest first."""
    async with database.reading() as session:
        return await queries.signals_of(session, open_only=is_open)


@router.post("/signals/close")
async def close_signal(request: Request, message: CloseSignal) -> ChartKept:
    """Close a signal: it was looked into. Its operation is no longer refused for it."""
    return await run(request, service.close_signal, message)


@router.post("/charts/restart")
async def restart_chart(request: Request, message: RestartChart) -> ChartKept:
    """Let a chart's limits be made anew of what comes, because the process was changed."""
    return await run(request, service.restart_chart, message)
