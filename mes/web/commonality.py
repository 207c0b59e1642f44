"""The page where quality staff ask what units that went wrong share."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from mes.commonality.messages import CommonalityRequest
from mes.commonality.service import compare
from mes.errors import Malformed
from mes.http import DatabaseOf, explain, reads
from mes.web.rendering import PageRoute, page

router = APIRouter(route_class=PageRoute)


@router.get("/common", dependencies=[reads])
async def show_common(
    request: Request, database: DatabaseOf, serials: Annotated[str, Query(max_length=16_000)] = ""
) -> Response:
    """Ask for suspects, or show what they share."""
    named = serials.split()
    if not named:
        return page(request, "common.html", serials="", answer=None)
    try:
        message = CommonalityRequest(serials=named)
    except ValidationError as error:
        raise Malformed("The request", explain(error)) from error
    async with database.reading() as session:
        answer = await compare(session, message)
    return page(request, "common.html", serials=" ".join(named), answer=answer)
