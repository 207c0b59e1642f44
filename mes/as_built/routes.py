"""HTTP: the as-built record of a unit, as JSON and as PDF."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from mes import clock
from mes.as_built.messages import AsBuiltRecord
from mes.as_built.paper import print_record
from mes.as_built.service import as_built, with_seals
from mes.http import DatabaseOf, as_json, reads

router = APIRouter(prefix="/api/records", tags=["records"], dependencies=[reads])


@router.get("/{serial:path}.pdf", response_class=Response)
async def print_as_built(database: DatabaseOf, serial: str) -> Response:
    """The as-built record of a unit to print or to keep, its seals verified."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in serial)
    headers = {"Content-Disposition": f'inline; filename="{name}.pdf"', "Cache-Control": "no-store"}
    return Response(await print_record(database, serial, clock.now()), media_type="application/pdf", headers=headers)


@router.get("/{serial:path}", response_model=AsBuiltRecord)
async def read_as_built(
    database: DatabaseOf,
    serial: str,
    seals: Annotated[bool, Query(description="Also verify the seals of its rows.")] = False,
) -> Response:
    """All that is known of a unit as it is built, all that its plan asks for and isn't known, and how much that is."""
    async with database.reading() as session:
        record = await as_built(session, serial)
    return as_json(await with_seals(database, record) if seals else record)
