"""What every request passes before a route sees it: an id, a size limit, a key, a clock on its answer. Pure ASGI."""

import time
from collections.abc import Awaitable, Callable, Mapping

import structlog
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mes import log, metrics
from mes.errors import MesError, Unauthorized, Unavailable
from mes.people.keyring import Keyring
from mes.problems import problem

COOKIE = "mes_login"
OPEN = ("/login", "/static/")  # all else needs a key
_REQUEST_ID = log.HEADER.lower().encode()
_logger = structlog.get_logger()


class TooLarge(MesError):
    """The body is larger than {limit} bytes. Send less at once."""

    status = 413
    title = "Too large"


class ShortWay:
    """Calls the hottest routes' own functions past the framework's layers, which cost as much as the act itself.

    Only for routes that read their body and word their answer themselves; all others go on to the application.
    """

    def __init__(self, app: ASGIApp, routes: Mapping[str, Callable[[Request], Awaitable[Response]]]) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        endpoint = self.routes.get(scope["path"]) if scope.get("method") == "POST" else None
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        scope["app"], scope["route"] = self.app, scope["path"]
        try:
            response = await endpoint(Request(scope, receive))
        except MesError as error:
            response = problem(error)
        await response(scope, receive, send)


class Gate:
    """Wraps the application. Keys come as a bearer token, or as the cookie of a log-in."""

    def __init__(self, app: ASGIApp, keyring: Callable[[], Keyring], max_body: int, max_upload: int) -> None:
        self.app = app
        self.keyring = keyring
        self.max_body = max_body
        self.max_upload = max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = log.begin_request(headers.get(_REQUEST_ID, b"").decode("latin-1"))
        started = time.perf_counter()
        refusal = await self._refuse(scope, headers)
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((_REQUEST_ID, request_id.encode()))
            await send(message)

        if refusal is not None:
            await self._answer_refusal(refusal, scope, receive, sending)
        else:
            limit = self.max_upload if scope["path"] == "/api/lots/units" else self.max_body
            await self.app(scope, _bounded(receive, limit), sending)
        if scope["type"] == "http":
            _note(scope, status, time.perf_counter() - started)

    async def _refuse(self, scope: Scope, headers: dict[bytes, bytes]) -> MesError | None:
        if scope["path"].startswith(OPEN):
            return None
        scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            connection = HTTPConnection(scope)
            key = connection.cookies.get(COOKIE, "")
            # A cookie travels by itself: only the same site's pages may change anything with it.
            if key and not _is_same_origin(connection):
                return Unauthorized()
        try:
            actor = await self.keyring().find(key) if key else None
        except Unavailable as error:
            return error
        if actor is None:
            return Unauthorized()
        scope.setdefault("state", {})["actor"] = actor
        return None

    async def _answer_refusal(self, error: MesError, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4401})
            return
        wants_page = b"text/html" in dict(scope["headers"]).get(b"accept", b"")
        response: Response = problem(error)
        if wants_page and error.status == 401:
            response = RedirectResponse("/login", status_code=303)
        await response(scope, receive, send)


def _is_same_origin(connection: HTTPConnection) -> bool:
    if connection.scope["type"] == "http" and connection.scope["method"] in {"GET", "HEAD"}:
        return True
    origin = connection.headers.get("origin")
    return origin is not None and origin.partition("://")[2] == connection.headers.get("host")


def _bounded(receive: Receive, limit: int) -> Callable[[], Awaitable[Message]]:
    size = 0

    async def receiving() -> Message:
        nonlocal size
        message = await receive()
        if message["type"] == "http.request":
            size += len(message.get("body", b""))
            if size > limit:
                raise TooLarge(limit=limit)
        return message

    return receiving


def _note(scope: Scope, status: int, seconds: float) -> None:
    route = scope.get("route")
    metrics.LATENCY.labels(getattr(route, "path", route) or "unmatched").observe(seconds)
    if status >= 500:
        _logger.error("request failed", method=scope["method"], path=scope["path"], status=status)
