"""HTTP: receive a lot with the file of its units."""

from typing import Annotated

from fastapi import APIRouter, File, Form, Request, UploadFile

from mes.cells import grading, service
from mes.cells.messages import GradeRequest, GradingAnswer, TestAnswer, TestReport, UnitReceiptAnswer
from mes.errors import Malformed
from mes.http import DatabaseOf, parse, run
from mes.materials.messages import LotReceipt
from mes.settings import get_settings

router = APIRouter(prefix="/api", tags=["cells"])


@router.post("/lots/units", status_code=201)
async def receive_units(
    request: Request,
    database: DatabaseOf,
    receipt: Annotated[str, Form(description="LotReceipt as JSON; its quantity is the number of rows.")],
    file: Annotated[UploadFile, File(description="The supplier's file, CSV or Excel.")],
) -> UnitReceiptAnswer:
    """Receive a lot of a serialised part with its per-unit file: whole, or refused with every bad row named."""
    lot = parse(LotReceipt, receipt.encode())
    content = await file.read(get_settings().max_upload_bytes + 1)
    if len(content) > get_settings().max_upload_bytes:
        expected = f"at most {get_settings().max_upload_bytes} bytes; larger files by `mes receive`"
        raise Malformed("File", [{"at": "file", "read": "more bytes", "expected": expected}])
    message = await service.read_receipt(database, lot.model_dump(), content, (file.filename or "upload")[:200])
    return await run(request, service.receive_units, message)


@router.post("/cells/tests", status_code=201)
async def record_tests(request: Request, message: TestReport) -> TestAnswer:
    """Record readings of cells from a station; a reading of the same cell and time is recorded once."""
    return await run(request, grading.record_tests, message)


@router.post("/lots/grade", status_code=201)
async def grade_lot(request: Request, message: GradeRequest) -> GradingAnswer:
    """Grade every cell of a lot by its readings; earlier grades are kept."""
    return await run(request, grading.grade_lot, message)
