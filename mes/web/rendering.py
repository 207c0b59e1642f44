"""Turns templates into pages: escaped, never cached, and allowed to load nothing but this server's own files."""

import hashlib
from collections.abc import Callable, Coroutine, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined

from mes import metrics
from mes.errors import Malformed, MesError
from mes.http import explain_all

FOLDER = Path(__file__).parent / "static"
HEADERS = {
    # not no-referrer: with that a browser sends "Origin: null" with our own forms, and the gate turns them away
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
PATHS = {"line": "/"} | {
    name: f"/{name}" for name in ("find", "login", "logout", "spc", "common", "affected", "containments")
}
TRY_AGAIN_S = 5
YEAR_S = 31_536_000
_DIGESTS = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in sorted(FOLDER.iterdir())}
ASSETS = hashlib.sha256("".join(_DIGESTS.values()).encode()).hexdigest()[:12]


def page(request: Request, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
    """Answer with a page; `facts` are what its template shows."""
    actor = getattr(request.state, "actor", None)
    return HTMLResponse(fragment(template, actor=actor, **facts), status, headers=HEADERS)


def fragment(template: str, **facts: Any) -> str:
    """Render a template."""
    return _TEMPLATES.get_template(template).render(facts)


def error_page(request: Request, error: MesError) -> HTMLResponse:
    """Tell an error as a page: what went wrong, and everything that was wrong."""
    metrics.ERRORS.labels(error.code).inc()
    answer = page(request, "error.html", error.status, error=error, errors=getattr(error, "errors", []))
    if error.status == 503:
        answer.headers["Refresh"] = str(TRY_AGAIN_S)
    return answer


class PageRoute(APIRoute):
    """A route whose errors are pages for whoever accepts HTML; programs get problem+json as everywhere."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route's own handler."""
        handle = super().get_route_handler()

        async def handle_as_page(request: Request) -> Response:
            try:
                return await handle(request)
            except (MesError, RequestValidationError) as error:
                if "text/html" not in request.headers.get("accept", ""):
                    raise
                if isinstance(error, RequestValidationError):
                    error = Malformed("The address", explain_all(error.errors()))
                return error_page(request, error)

        return handle_as_page


class Assets(StaticFiles):
    """Static files. Asked for by their digest they never change, so a browser may keep them for ever."""

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        """Answer with a file, and say how long it may be kept."""
        response = await super().get_response(path, scope)
        is_pinned = path in _DIGESTS and scope["query_string"] == f"v={_DIGESTS[path]}".encode()
        response.headers["Cache-Control"] = f"public, max-age={YEAR_S}, immutable" if is_pinned else "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def trace_path(serial: str) -> str:
    """Where a unit's trace stands; a serial may contain slashes and hashes."""
    return f"/trace/{quote(serial, safe='')}"


def record_path(serial: str) -> str:
    """Where a unit's as-built record stands."""
    return f"/record/{quote(serial, safe='')}"


def lot_path(number: str) -> str:
    """Where a lot's page stands."""
    return f"/lot/{quote(number, safe='')}"


def _asset_path(name: str) -> str:
    return f"/static/{name}?v={_DIGESTS[name]}"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _word(code: str) -> str:
    return code.replace("_", " ")


def number(value: float) -> str:
    """Show a number: six digits are what a measurement is worth on a screen; counts are shown whole."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e12 else f"{value:.6g}"


_TEMPLATES = Environment(
    loader=PackageLoader("mes.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_TEMPLATES.globals |= {
    "asset_path": _asset_path,
    "assets": ASSETS,
    "paths": PATHS,
    "trace_path": trace_path,
    "record_path": record_path,
    "lot_path": lot_path,
}
_TEMPLATES.filters |= {"utc": _utc, "iso": _iso, "word": _word, "number": number}
