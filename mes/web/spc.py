"""Control charts: the list with their state, and one with its picture, capability and signals."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from mes.http import DatabaseOf, reads
from mes.spc.queries import charts, signals_of
from mes.spc.signals import RULES
from mes.spc.view import see_chart
from mes.web.rendering import PageRoute, page

router = APIRouter(route_class=PageRoute)
WORDS = {name: rule.words for name, rule in RULES.items()}


@router.get("/spc", dependencies=[reads])
async def show_charts(request: Request, database: DatabaseOf) -> Response:
    """Show every chart, those with open signals first."""
    async with database.reading() as session:
        found, open_ones = await charts(session), await signals_of(session, open_only=True)
    return page(request, "spc.html", charts=found, signals=open_ones, words=WORDS)


@router.get("/spc/{chart:int}", dependencies=[reads])
async def show_chart(
    request: Request, database: DatabaseOf, chart: int, position: Annotated[int | None, Query(ge=0, le=10_000)] = None
) -> Response:
    """Show one line of a chart."""
    async with database.reading() as session:
        seen = await see_chart(session, chart, position)
    return page(request, "chart.html", seen=seen, chart=seen.chart, words=WORDS)
