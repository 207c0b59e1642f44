"""The application: routes, pages and error answers put together."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from mes import log, outbox
from mes.actor import Actor, Role
from mes.as_built.routes import router as as_built
from mes.cells.routes import router as cells
from mes.commonality.routes import router as commonality
from mes.db import Database, open_database
from mes.drill.routes import router as drills
from mes.errors import Malformed, MesError, Unavailable
from mes.events.bell import Bell
from mes.events.delivery import deliver_events
from mes.events.keeping import purge_old
from mes.events.messages import Turn
from mes.events.routes import router as events
from mes.events.service import relay
from mes.execution.messages import PermitRequest, ResultReport
from mes.execution.routes import HOT, desk
from mes.execution.routes import router as execution
from mes.find.routes import router as found
from mes.gate import Gate, ShortWay
from mes.genealogy.routes import router as genealogy
from mes.http import explain_all
from mes.kits.routes import router as kits
from mes.labels.routes import router as labels
from mes.labels.spool import spool_labels
from mes.materials.routes import door as deliveries
from mes.materials.routes import router as materials
from mes.migrate import add_months
from mes.orders.routes import router as orders
from mes.people.keyring import Keyring
from mes.people.routes import router as people
from mes.plant.routes import router as plant
from mes.problems import problem
from mes.quality.routes import router as quality
from mes.records.routes import router as records
from mes.seal.anchor import find_key
from mes.seal.sealer import Sealer
from mes.settings import Settings, get_settings
from mes.shipping.routes import router as shipping
from mes.spc.routes import router as spc
from mes.watch import ArrivalsWatch, Watch
from mes.web.live import Live
from mes.web.pages import STATIC
from mes.web.pages import router as pages

RELAY_EVERY_S = 0.25
SPOOL_EVERY_S = 1
SEAL_EVERY_S = 1
PURGE_EVERY_S = 60
WATCH_EVERY_S = 1
ARRIVALS_EVERY_S = 2
RELAY = Actor("event relay", Role.STATION)
DAY_S = 86_400
_logger = structlog.get_logger()
ROUTERS = (
    execution,
    desk,
    genealogy,
    records,
    quality,
    spc,
    commonality,
    as_built,
    found,
    drills,
    shipping,
    labels,
    kits,
    orders,
    deliveries,
    cells,
    materials,
    plant,
    people,
    events,
    pages,
)


class Refused(MesError):
    """The request was refused: {detail}."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail=detail)
        self.status = status  # type: ignore[misc]
        self.title = detail  # type: ignore[misc]


class Failure(MesError):
    """The MES failed at this; nothing of it was stored. Its log tells more under the id {request_id}."""


def make_app(settings: Settings | None = None, url: str | None = None) -> ASGIApp:
    """Make the application of one worker; the database's address comes from the settings unless given."""
    settings = settings or get_settings()
    app = FastAPI(
        title="Pack MES",
        summary="The station door, traces, holds, lots and orders of a battery pack plant.",
        version="0.1.0",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.settings = settings
    app.state.url = url or _require_url(settings)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", STATIC)
    app.add_exception_handler(MesError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_malformed)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_failure)
    _describe_door(app)
    return Gate(ShortWay(app, HOT), lambda: app.state.keyring, settings.max_body_bytes, settings.max_upload_bytes)


def make_worker() -> ASGIApp:
    """Make the application as a server's worker does: by the environment's settings."""
    settings = get_settings()
    log.configure(settings.log_format, settings.log_level)
    return make_app(settings)


def _require_url(settings: Settings) -> str:
    if settings.database_url is None:
        raise Unavailable(reason="MES_DATABASE_URL is not set")
    return settings.database_url.get_secret_value()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    database = open_database(app.state.settings, app.state.url)
    app.state.database = database
    app.state.keyring = Keyring(database)
    app.state.live = Live(database)
    app.state.bell = Bell()
    settings: Settings = app.state.settings
    watch = Watch(database)
    jobs = [
        asyncio.create_task(_repeat("relay", RELAY_EVERY_S, lambda: relay_all(database))),
        asyncio.create_task(_repeat("labels", SPOOL_EVERY_S, lambda: spool_labels(database))),
        asyncio.create_task(_repeat("arrivals", ARRIVALS_EVERY_S, ArrivalsWatch(database).turn)),
        asyncio.create_task(_repeat("charts", WATCH_EVERY_S, watch.turn)),
        asyncio.create_task(_repeat("seals", SEAL_EVERY_S, Sealer(database, find_key(settings.seal_key)).turn)),
        asyncio.create_task(_repeat("months", DAY_S, lambda: add_months(database))),
        asyncio.create_task(_repeat("events kept", PURGE_EVERY_S, lambda: purge_old(database, settings))),
        asyncio.create_task(_listen(app.state.url, app.state.live, app.state.bell)),
        asyncio.create_task(deliver_events(app.state.url, database, settings)),
    ]
    # Measured: 1.3 times the throughput and a tenth of the p99. What lives now lives as long as the process.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    yield
    await _end(jobs)
    await database.close()


async def _end(jobs: Iterable[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: a cancelled statement may end as an error, which a job outlives."""
    pending = set(jobs)
    while pending:
        for job in pending:
            job.cancel()
        _, pending = await asyncio.wait(pending, timeout=1)


async def _repeat(name: str, every_s: float, job: Callable[[], Any]) -> None:
    is_failing = False
    while True:
        try:
            await job()
            if is_failing:
                _logger.info("job is back", job=name)
            is_failing = False
        except Exception as error:  # noqa: BLE001 - the outermost loop: logged once, and on it goes
            if not is_failing:
                _logger.warning("job failed", job=name, error=f"{type(error).__name__}: {error}")
            is_failing = True
        await asyncio.sleep(every_s)


async def relay_all(database: Database) -> None:
    """Move what the outbox holds into the event stream, batch by batch."""
    while await database.transact(relay, Turn(), RELAY) == Turn().batch:
        pass


async def _listen(url: str, live: Live, bell: Bell) -> None:
    """Hear of events on a connection of its own, and wake the pages; made anew whenever it is lost."""

    def wake() -> None:
        live.wake()
        bell.ring()

    while True:
        lost = asyncio.Event()
        try:
            connection = await asyncpg.connect(url.replace("+asyncpg", ""), timeout=10)
            try:
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(outbox.CHANNEL, lambda *_: wake())
                wake()
                await lost.wait()
            finally:
                await connection.close(timeout=2)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            _logger.warning("listener lost", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(1)


async def _on_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, MesError)  # noqa: S101
    return problem(error)


async def _on_failure(_: Request, error: Exception) -> Response:
    _logger.error("failure", error=f"{type(error).__name__}: {error}")
    return problem(Failure(request_id=log.request_id()))


async def _on_malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return problem(Malformed("The request", explain_all(error.errors())))


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return problem(Refused(error.status_code, str(error.detail)))


def _describe_door(app: FastAPI) -> None:
    """Add the messages that the door's routes parse themselves to the OpenAPI document, and the key they need."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemas = document["components"]["schemas"]
        for model in (PermitRequest, ResultReport):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= schema.pop("$defs", {})
            schemas[model.__name__] = schema
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
