"""HTTP: the event stream, and who is brought it."""

from asyncio import get_running_loop
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from mes import permissions
from mes.errors import Conflict, MesError
from mes.events import queries, service
from mes.events.bell import Bell, wait
from mes.events.cloud import MANY, to_batch
from mes.events.messages import (
    BrokerRequest,
    SubscriptionAnswer,
    SubscriptionName,
    Topic,
    WebhookAnswer,
    WebhookRequest,
)
from mes.http import ActorOf, DatabaseOf, reads, run
from mes.settings import Settings

router = APIRouter(prefix="/api/events", tags=["events"])
LOOK_AGAIN_S = 5.0  # should a ring be lost with the listener's connection


class EventsGone(MesError):
    """Events up to {purged_to} are no longer kept. Read anew what you keep, then go on with after={newest}; or take up
    the stream where it begins now, with after={purged_to}."""

    status = 410
    title = "Gone"

    def __init__(self, after: int, purged_to: int, newest: int) -> None:
        super().__init__(purged_to=purged_to, newest=newest)
        self.errors = [{"at": "after", "read": str(after), "expected": f"at least {purged_to}"}]


class StreamRestored(Conflict):
    """Event {after} is not told yet, the newest is {newest}: the database was restored from a backup since. Read anew
    what you keep, then go on with after={newest}."""


@router.get("", response_class=Response, responses={200: {"content": {MANY: {}}}, 410: {}})
async def read_events(
    request: Request,
    database: DatabaseOf,
    actor: ActorOf,
    after: Annotated[
        int | None, Query(ge=0, description="Events past this id; left out: from the oldest kept.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    topic: Annotated[list[Topic], Query(max_length=50, description="May be given again; left out: all.")] = [],  # noqa: B006
    wait_s: Annotated[float, Query(ge=0, le=25, description="How long to wait for the first, if there is none.")] = 0,
) -> Response:
    """Events past an id, oldest first, as a CloudEvents batch; waits for the first as long as it is told to.

    `X-Events-Next` is what to ask for `after` next time; `X-Events-Newest` the id of the newest event of any topic.
    """
    permissions.require(actor, "read_events")
    bell: Bell = request.app.state.bell
    settings: Settings = request.app.state.settings
    until = get_running_loop().time() + wait_s
    while True:
        ring = bell.next()
        async with database.reading() as session:
            ends = await queries.stream_ends(session)
            start = ends.purged_to if after is None else after
            if start < ends.purged_to:
                raise EventsGone(start, ends.purged_to, ends.newest)
            if start > ends.newest:
                raise StreamRestored(after=start, newest=ends.newest)
            events = await queries.events_after(session, start, limit, topic)
        left_s = until - get_running_loop().time()
        if events or left_s <= 0:
            break
        await wait(ring, min(left_s, LOOK_AGAIN_S))
    following = events[-1].id if len(events) == limit else ends.newest
    headers = {"X-Events-Next": str(following), "X-Events-Newest": str(ends.newest)}
    return Response(to_batch(events, settings.enterprise), headers=headers, media_type=MANY)


@router.get("/subscriptions", dependencies=[reads])
async def list_subscriptions(database: DatabaseOf) -> list[SubscriptionAnswer]:
    """List who is brought events, how far each has taken them, and what stops it."""
    async with database.reading() as session:
        return await queries.subscriptions(session)


@router.post("/subscriptions/webhooks", status_code=201)
async def subscribe_webhook(request: Request, message: WebhookRequest) -> WebhookAnswer:
    """Bring events to a webhook. The answer has its signing secret, shown this once."""
    permissions.require(request.state.actor, "subscribe_webhook")
    settings: Settings = request.app.state.settings
    key = settings.event_key.get_secret_value() if settings.event_key else None
    subscription, secret = service.sealed(message, key)
    answer = await run(request, service.subscribe_webhook, subscription)
    return WebhookAnswer(**answer.model_dump(), secret=secret)


@router.post("/subscriptions/brokers", status_code=201)
async def subscribe_broker(request: Request, message: BrokerRequest) -> SubscriptionAnswer:
    """Publish events at an MQTT 5 broker."""
    return await run(request, service.subscribe_broker, message)


@router.delete("/subscriptions/{name}", status_code=204)
async def unsubscribe(request: Request, name: str) -> None:
    """Bring it no more events; its secret is void."""
    await run(request, service.unsubscribe, SubscriptionName(name=name))
