"""The page where quality staff ask which units a question fits, and where they are."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from mes import permissions
from mes.errors import Malformed
from mes.find.language import LONGEST
from mes.find.service import find
from mes.http import DatabaseOf, reads
from mes.web.rendering import PageRoute, page

router = APIRouter(route_class=PageRoute)
LISTED = 500


@router.get("/affected", dependencies=[reads])
async def show_affected(
    request: Request, database: DatabaseOf, question: Annotated[str, Query(max_length=LONGEST)] = ""
) -> Response:
    """Ask for a question, or show its answer; what is wrong with it stands beside it."""
    found, errors = None, []
    if question.strip():
        try:
            async with database.reading() as session:
                found = await find(session, question, limit=LISTED)
        except Malformed as error:
            errors = error.errors
    asked = found.question if found else question
    may_hold = request.state.actor.role in permissions.ALLOWED["contain"]
    facts = {"question": asked, "found": found, "errors": errors, "may_hold": may_hold}
    return page(request, "affected.html", 422 if errors else 200, **facts)
