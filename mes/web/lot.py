"""A lot: what it is, whether it is held, and which packs contain something of it."""

from fastapi import APIRouter, Request, Response

from mes.errors import NotFound
from mes.genealogy.trace import where_used
from mes.http import DatabaseOf, reads
from mes.materials.queries import describe_lot, lineage
from mes.products.queries import get_part
from mes.quality.queries import holds
from mes.records.histogram import last_grading
from mes.shipping.queries import recipients
from mes.web.rendering import PageRoute, page
from mes.web.search import is_readable, unknown

SHOWN_PACKS = 1000  # more than that is for the API; a browser would crawl
router = APIRouter(route_class=PageRoute)


@router.get("/lot/{number:path}", dependencies=[reads])
async def show_lot(request: Request, database: DatabaseOf, number: str) -> Response:
    """Show where a lot is."""
    if not is_readable(number):
        return unknown(request, number, "lot")
    try:
        async with database.reading() as session:
            lot = await describe_lot(session, number)
            part = await get_part(session, lot.part)
            used = await where_used(session, number)
            open_holds = await holds(session, lot=number)
            grading = await last_grading(session, number)
            came = await lineage(session, number)
            gone = await recipients(session, [unit.serial for unit in used.packs[:SHOWN_PACKS]])
    except NotFound:
        return unknown(request, number, "lot")
    between = [unit for unit in used.units if unit not in used.packs]
    return page(
        request,
        "lot.html",
        lot=lot,
        part=part,
        used=used,
        holds=open_holds,
        grading=grading,
        lineage=came,
        shipped_to={one.serial: one.shipped_to for one in gone},
        between=between,
        shown=SHOWN_PACKS,
    )
