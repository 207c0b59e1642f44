"""HTTP: the station door. The bodies are parsed once, by pydantic alone: this is the hottest way in."""

from typing import Any

from fastapi import APIRouter, Request, Response

from mes import metrics
from mes.execution.examples import PERMIT_EXAMPLES, REPORT_EXAMPLES
from mes.execution.messages import PermitAnswer, PermitRequest, ReportAnswer, ResultReport
from mes.execution.permits import request_permit as ask_permit
from mes.execution.reports import report_result as report
from mes.http import as_json, parse, run

router = APIRouter(prefix="/api/station", tags=["station door"])


def _body(model: str, examples: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": {"$ref": f"#/components/schemas/{model}"}, "examples": examples}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


@router.post("/permit", response_model=PermitAnswer, openapi_extra=_body("PermitRequest", PERMIT_EXAMPLES))
async def request_permit(request: Request) -> Response:
    """*May I?* Yes, with the recipe and what is expected; or no, with all reasons, the gravest first.

    A refusal is an answer, with status 200. The same cycle asked again gets the same answer.
    """
    answer = await run(request, ask_permit, parse(PermitRequest, await request.body()))
    metrics.PERMITS.labels(answer.station, answer.granted).inc()
    for refusal in answer.refusals:
        metrics.REFUSALS.labels(refusal.code).inc()
    return as_json(answer)


@router.post("/report", response_model=ReportAnswer, openapi_extra=_body("ResultReport", REPORT_EXAMPLES))
async def report_result(request: Request) -> Response:
    """*This happened.* Recorded whole and judged, even when it is unwelcome; acknowledged after the commit.

    The same cycle reported again gets the same answer and has no second effect. A report that can't be understood is
    refused with every error at once (422): keep it, mend it, send it again.
    """
    answer = await run(request, report, parse(ResultReport, await request.body()))
    metrics.REPORTS.labels(answer.station, answer.verdict).inc()
    for finding in answer.findings:
        metrics.FINDINGS.labels(finding.code).inc()
    return as_json(answer)


HOT = {"/api/station/permit": request_permit, "/api/station/report": report_result}
