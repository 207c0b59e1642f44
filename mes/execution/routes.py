"""HTTP: the station door. The bodies are parsed once, by pydantic alone: this is the hottest way in."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from mes import clock, metrics, permissions
from mes.execution import articles, checks, feed, moves, queries, waivers
from mes.execution.examples import PERMIT_EXAMPLES, REPORT_EXAMPLES
from mes.execution.messages import (
    CheckAnswer,
    CheckReport,
    FirstArticleAnswer,
    FirstArticleSignature,
    HoldSinceCheck,
    MoveAnswer,
    MoveRequest,
    OfflineAnswer,
    OfflinePermit,
    PermitAnswer,
    PermitRequest,
    ReportAnswer,
    ResultReport,
    WaiverAnswer,
    WaiverNumber,
    WaiverRequest,
    WhyAnswer,
    WhyRequest,
)
from mes.execution.permits import explain_permit as explain
from mes.execution.permits import record_offline_permit as offline
from mes.execution.permits import request_permit as ask_permit
from mes.execution.reports import report_result as report
from mes.execution.standing import STANDING
from mes.http import DatabaseOf, as_json, parse, reads, run
from mes.materials.messages import LotAnswer, LotOpening
from mes.quality.messages import ContainAnswer

router = APIRouter(prefix="/api/station", tags=["station door"])
desk = APIRouter(prefix="/api", tags=["interlocks"])


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


@router.get("/standing")
async def read_standing(
    request: Request,
    database: DatabaseOf,
    station: Annotated[list[str], Query(max_length=500)],
    serial: Annotated[list[str], Query(max_length=200, description="Of these units and lots alone.")] = [],  # noqa: B006
) -> Response:
    """What a gateway keeps of the record, to answer these stations while the MES is away."""
    permissions.require(request.state.actor, "read_standing")
    async with database.reading() as session:
        known = await feed.read_standing(session, station, serial)
    return Response(await asyncio.to_thread(STANDING.dump_json, known), media_type="application/json")


@router.post("/offline")
async def record_offline_permit(request: Request, message: OfflinePermit) -> OfflineAnswer:
    """Record what a gateway answered while the MES was away; contradicted by the record, its unit is held."""
    return await run(request, offline, message)


@router.post("/why", dependencies=[reads])
async def explain_permit(database: DatabaseOf, message: WhyRequest) -> WhyAnswer:
    """Would it be refused, why, what clears it, and who may? Nothing is stored: ask as often as you like."""
    async with database.reading() as session:
        return await explain(session, message.as_request())


@desk.post("/waivers", status_code=201)
async def grant_waiver(request: Request, message: WaiverRequest) -> WaiverAnswer:
    """Let named units, or what passes a station or an operation in a window, deviate from one rule."""
    return await run(request, waivers.grant_waiver, message)


@desk.post("/waivers/revoke")
async def revoke_waiver(request: Request, message: WaiverNumber) -> WaiverAnswer:
    """Revoke a waiver; what used it keeps it on its record."""
    return await run(request, waivers.revoke_waiver, message)


@desk.get("/waivers", dependencies=[reads])
async def list_waivers(database: DatabaseOf, in_force: bool = True) -> list[WaiverAnswer]:
    """List waivers, the newest first."""
    async with database.reading() as session:
        return await queries.list_waivers(session, in_force_at=clock.now() if in_force else None)


@desk.post("/checks", status_code=201)
async def record_check(request: Request, message: CheckReport) -> CheckAnswer:
    """Record a check of a station or tool; failed, it blocks the station and lists what is suspect."""
    return await run(request, checks.record_check, message)


@desk.post("/checks/hold", status_code=201)
async def hold_since_check(request: Request, message: HoldSinceCheck) -> ContainAnswer:
    """Confirm a failed check: hold every unit since the last good one."""
    return await run(request, checks.hold_since_check, message)


@desk.post("/first-articles/sign")
async def sign_first_article(request: Request, message: FirstArticleSignature) -> FirstArticleAnswer:
    """Sign a station's first article, as a second person."""
    return await run(request, articles.sign_first_article, message)


@desk.post("/lots/open")
async def open_lot(request: Request, message: LotOpening) -> LotAnswer:
    """Open or mix a lot: its pot life runs from now on."""
    return await run(request, moves.open_lot, message)


@desk.post("/moves")
async def move_stock(request: Request, message: MoveRequest) -> MoveAnswer:
    """Bring a unit or lot to another place, unless a hold stops it."""
    return await run(request, moves.move_stock, message)


HOT = {"/api/station/permit": request_permit, "/api/station/report": report_result}
