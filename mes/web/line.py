"""The line as it is now: the page, and the socket that keeps it up to date."""

from fastapi import APIRouter, Request, Response, WebSocket

from mes.http import DatabaseOf, reads
from mes.web.line_now import render_line
from mes.web.live import Live
from mes.web.rendering import PageRoute, page

router = APIRouter(route_class=PageRoute)


@router.get("/", dependencies=[reads])
async def show_line(request: Request, database: DatabaseOf) -> Response:
    """Show the line; complete as sent, kept up to date by the socket."""
    return page(request, "line.html", rendered=await render_line(database))


@router.websocket("/live/line")
async def watch_line(websocket: WebSocket) -> None:
    """Send the changing part of the page, whenever it changes."""
    live: Live = websocket.app.state.live
    await live.serve(websocket)
