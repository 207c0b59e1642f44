"""HTTP: a unit's history, the line as it is now, and the MES's own health."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from mes import clock, metrics, permissions
from mes.events.queries import subscriptions
from mes.http import ActorOf, DatabaseOf, as_json, reads
from mes.records.histogram import Picture, draw, last_grading, lot_values
from mes.records.line import line_now, ready, stations_now
from mes.records.messages import GradingRecord, History, LineNow, Ready, ScanAnswer
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
