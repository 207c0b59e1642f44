"""The search box: what a scanner reads leads to a unit's trace or a lot's page, or to a word on what to do."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError

from mes.codes.scan import Scan, read
from mes.codes.unreadable import Unreadable
from mes.db import ReadSession
from mes.errors import NotFound
from mes.http import DatabaseOf, reads
from mes.labels.queries import find_labelled
from mes.materials.queries import get_lot
from mes.message import Serial
from mes.units.queries import get_unit
from mes.web.rendering import PageRoute, lot_path, page, trace_path

router = APIRouter(route_class=PageRoute)
_SERIAL: TypeAdapter[str] = TypeAdapter(Serial)
SHOWN = 120


@router.get("/find", dependencies=[reads])
async def find(request: Request, database: DatabaseOf, code: Annotated[str, Query(max_length=4000)] = "") -> Response:
    """Go to what a code names: a unit first, else a lot."""
    code = code.strip(" \t\r\n")
    if not code:
        return RedirectResponse("/", status_code=303)
    try:
        scan = read(code)
    except Unreadable:
        return unknown(request, code, "unit or lot")
    async with database.reading() as session:
        path = await _find_path(session, scan)
    return RedirectResponse(path, status_code=303) if path else unknown(request, code, "unit or lot")


async def _find_path(session: ReadSession, scan: Scan) -> str | None:
    """Where a code leads: to the unit of its serial, else to the lot that it names."""
    if scan.serial is not None:
        labelled = await find_labelled(session, scan.serial) if scan.kind == "gbt34014" else None
        try:
            return trace_path((await get_unit(session, labelled or scan.serial)).serial)
        except NotFound:
            pass
    if scan.lot is not None:
        try:
            return lot_path((await get_lot(session, scan.lot)).number)
        except NotFound:
            pass
    return None


def is_readable(code: str) -> bool:
    """Whether a code could be a serial or a lot number at all; the database takes no other characters."""
    try:
        _SERIAL.validate_python(code)
    except ValidationError:
        return False
    return True


def unknown(request: Request, code: str, kind: str) -> Response:
    """Say what was read, and what to do: a page, never a dead end."""
    read = code if code.isprintable() else code.encode("unicode_escape").decode()
    shown = read if len(read) <= SHOWN else f"{read[:SHOWN]} ..."
    return page(request, "unknown.html", 404, read=shown, length=len(code), kind=kind, is_readable=is_readable(code))
