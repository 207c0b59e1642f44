"""HTTP: printers, labels and their pictures."""

import asyncio

from fastapi import APIRouter, Request, Response

from mes.http import DatabaseOf, reads, run
from mes.labels import queries, service
from mes.labels.designs import design
from mes.labels.messages import JobAnswer, Kind, LabelRequest, LabelSubject, PrinterSpec, State
from mes.labels.preview import Form, draw
from mes.message import Serial

router = APIRouter(prefix="/api", tags=["labels"])
MEDIA = {"png": "image/png", "svg": "image/svg+xml"}


@router.put("/printers")
async def set_printer(request: Request, message: PrinterSpec) -> PrinterSpec:
    """Name a printer, or say where it is now."""
    return await run(request, service.set_printer, message)


@router.get("/printers", dependencies=[reads])
async def list_printers(database: DatabaseOf) -> list[PrinterSpec]:
    """List the printers."""
    async with database.reading() as session:
        return await queries.printers(session)


@router.post("/labels", status_code=201)
async def print_label(request: Request, message: LabelRequest) -> JobAnswer:
    """Print a label; it waits until its printer has taken it."""
    return await run(request, service.print_label, message)


@router.get("/labels/jobs", dependencies=[reads])
async def list_jobs(
    database: DatabaseOf, state: State | None = None, printer: str | None = None, subject: str | None = None
) -> list[JobAnswer]:
    """List labels asked for, the newest first, with their state and what went wrong last."""
    async with database.reading() as session:
        return await queries.jobs(session, state=state, printer=printer, subject=subject)


@router.get("/labels/preview", dependencies=[reads])
async def preview_label(
    database: DatabaseOf, subject: Serial, kind: Kind = "nameplate", form: Form = "png"
) -> Response:
    """Show a label as it would be printed. Nothing is printed or counted."""
    async with database.reading() as session:
        layout = (await design(session, LabelSubject(kind=kind, subject=subject))).layout
    return Response(await asyncio.to_thread(draw, layout, form), media_type=MEDIA[form])
