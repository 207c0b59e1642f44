"""A webhook's receiver on a real port: verifies every signature, and ways to fail."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.web.conftest import serving


@dataclass
class Receiver:
    """Takes events. `answers`: statuses to give, one a request, before 204."""

    secret: str = ""
    address: str = ""
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    taken: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    elsewhere: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    before_answer: Callable[[], Awaitable[None]] | None = None

    async def take(self, request: Request) -> Response:
        """Take one event, if its signature is right."""
        body = await request.body()
        event: dict[str, Any] = Webhook(self.secret).verify(body, dict(request.headers))
        self.ids.append(request.headers["webhook-id"])
        self.types.append(request.headers["content-type"])
        status = self.answers.pop(0) if self.answers else 204
        if status < 300:
            self.taken.append(event)
        self.came.set()
        if self.before_answer is not None:
            await self.before_answer()
        return Response(status_code=status, headers=self.headers)

    async def other(self, _: Request) -> Response:
        """Somewhere a redirect leads to."""
        self.elsewhere += 1
        return Response(status_code=204)

    async def heard(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many different events were taken."""
        async with asyncio.timeout(20):
            while len({event["id"] for event in self.taken}) < count:
                self.came.clear()
                await self.came.wait()
        return self.taken


@contextlib.asynccontextmanager
async def running(receiver: Receiver) -> AsyncIterator[Receiver]:
    """Serve it on a free port."""
    routes = [
        Route("/events", receiver.take, methods=["POST"]),
        Route("/other", receiver.other, methods=["GET", "POST"]),
    ]
    async with serving(Starlette(routes=routes)) as host:
        receiver.address = f"http://{host}/events"
        try:
            yield receiver
        finally:
            receiver.over.set()
