"""HTTP: a unit's history, the line as it is now, and the MES's own health."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response

from mes import clock, metrics, permissions
from mes.events.queries import subscriptions
from mes.http import ActorOf, DatabaseOf, as_json, reads
from mes.records.curve_picture import draw_curve
from mes.records.curves import MOST, as_points, curves_of, see_curve
from mes.records.histogram import Picture, draw, last_grading, lot_values
from mes.records.line import line_now, ready, stations_now
from mes.records.messages import CurveRecord, GradingRecord, History, LineNow, Ready, ScanAnswer
from mes.records.queries import history
from mes.records.scans import explain_scan

router = APIRouter(tags=["records"])


@router.get("/api/history/{serial}", dependencies=[reads])
async def read_history(database: DatabaseOf, serial: str) -> History:
    """All that is recorded of one unit, in order of time."""
    async with database.reading() as session:
        return await history(session, serial)


@router.get("/api/scan", dependencies=[reads])
async def read_scan(database: DatabaseOf, code: Annotated[str, Query(max_length=4000)]) -> ScanAnswer:
    """What a scanned code says: ISO/IEC 15434, GS1, Digital Link, SSCC, GB/T 34014, or a plain serial."""
    async with database.reading() as session:
        return await explain_scan(session, code)


@router.get("/api/lots/{lot:path}/grading", dependencies=[reads])
async def read_grading(database: DatabaseOf, lot: str) -> GradingRecord | None:
    """A lot's last grading; null: it was never graded."""
    async with database.reading() as session:
        return await last_grading(session, lot)


@router.get("/api/lots/{lot:path}/histogram/{reading}.{kind}", dependencies=[reads])
async def draw_histogram(database: DatabaseOf, lot: str, reading: str, kind: Picture) -> Response:
    """Draw the distribution of a value over a lot's cells, with its limits: .png or .svg."""
    async with database.reading() as session:
        values = await lot_values(session, lot, reading)
    picture = await asyncio.to_thread(draw, values, kind)
    return Response(picture, media_type="image/svg+xml" if kind == "svg" else "image/png")


@router.get("/api/units/{serial:path}/curves", dependencies=[reads])
async def read_curves(
    database: DatabaseOf,
    serial: str,
    operation: str | None = None,
    characteristic: str | None = None,
    ordinal: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    count: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> list[CurveRecord]:
    """The curves of a unit, the newest first."""
    asked: dict[str, Any] = {"operation": operation, "characteristic": characteristic, "ordinal": ordinal}
    async with database.reading() as session:
        return (await curves_of(session, serial, **asked, count=count)).curves


@router.get(
    "/api/units/{serial:path}/curves/{cycle:int}/{characteristic:path}/{ordinal:int}.{kind}", dependencies=[reads]
)
async def draw_one_curve(
    database: DatabaseOf,
    serial: str,
    cycle: Annotated[int, Path(le=2**63 - 1)],
    characteristic: str,
    ordinal: Annotated[int, Path(le=10_000)],
    kind: Literal["png", "svg", "json"],
) -> Response:
    """Draw a curve over its windows and the last 50 good ones: .png or .svg; .json: its points."""
    async with database.reading() as session:
        seen = await see_curve(session, serial, cycle, characteristic, ordinal)
    if kind == "json":
        return as_json(await asyncio.to_thread(as_points, seen))
    picture = await asyncio.to_thread(draw_curve, seen, kind)
    return Response(picture, media_type="image/svg+xml" if kind == "svg" else "image/png")


@router.get("/api/line", dependencies=[reads])
async def read_line(database: DatabaseOf) -> LineNow:
    """The line as it is now."""
    async with database.reading() as session:
        return await line_now(session)


@router.get("/health")
async def read_health() -> dict[str, str]:
    """Say that this process answers."""
    return {"status": "ok", "at": clock.iso_now()}


@router.get("/ready", response_model=Ready)
async def read_ready(database: DatabaseOf) -> Response:
    """Say whether work can be done: the database answers and holds the schema. 503 otherwise."""
    async with database.reading() as session:
        return as_json((await ready(session))[0])


@router.get("/metrics")
async def read_metrics(database: DatabaseOf, actor: ActorOf) -> Response:
    """Prometheus: permits, refusals by reason, reports, latencies, gateway state, outbox age."""
    permissions.require(actor, "read_metrics")
    async with database.reading() as session:
        health, waiting = await ready(session)
        stations = await stations_now(session)
        subscribed = [(s.name, s.waiting, s.waiting_s, s.missed) for s in await subscriptions(session)]
    links = [(s.station, s.link == "connected", s.dead_letters) for s in stations if s.link != "none"]
    text = metrics.render(links, health.outbox_age_s, waiting, subscribed)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
