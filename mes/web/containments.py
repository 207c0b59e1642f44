"""Containments with a question: opened from its preview, listed, and closed."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from mes import permissions
from mes.errors import Malformed
from mes.find.language import LONGEST
from mes.http import DatabaseOf, explain, reads, run
from mes.quality.containments import close_containment, contain_fitting, list_containments
from mes.quality.messages import CloseRequest, ContainRequest
from mes.web.rendering import PATHS, PageRoute, page

router = APIRouter(route_class=PageRoute)
Reason = Annotated[str, Form(max_length=500)]


@router.get("/containments", dependencies=[reads])
async def show_containments(request: Request, database: DatabaseOf) -> Response:
    """Show containments with a question, the newest first: what was affected, what is held, what came later."""
    async with database.reading() as session:
        found = await list_containments(session, open_only=False)
    may = permissions.ALLOWED["close_containment"]
    return page(request, "containments.html", containments=found, may_close=request.state.actor.role in may)


@router.post("/containments")
async def hold_affected(
    request: Request, question: Annotated[str, Form(max_length=LONGEST)], reason: Reason
) -> Response:
    """Hold whatever a question fits, and whatever comes to fit it until it is closed."""
    try:
        message = ContainRequest(question=question, reason=reason)
    except ValidationError as error:
        raise Malformed("The form", explain(error)) from error
    permissions.require(request.state.actor, "contain")
    await contain_fitting(request.app.state.database, message, request.state.actor)
    return RedirectResponse(PATHS["containments"], status_code=303)


@router.post("/containments/close")
async def close(request: Request, containment: Annotated[int, Form()], reason: Reason) -> Response:
    """Close a containment's question; its holds stay."""
    try:
        message = CloseRequest(containment=containment, reason=reason)
    except ValidationError as error:
        raise Malformed("The form", explain(error)) from error
    await run(request, close_containment, message)
    return RedirectResponse(PATHS["containments"], status_code=303)
