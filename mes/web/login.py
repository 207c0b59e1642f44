"""Logging in and out: a key is exchanged for a cookie that ends by itself."""

from datetime import datetime
from ipaddress import ip_address
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from mes import clock, permissions
from mes.actor import Actor
from mes.db import Database
from mes.errors import Forbidden
from mes.gate import COOKIE
from mes.http import run
from mes.people.messages import KeyRequest, LoginEnd
from mes.people.queries import find_actor, hash_key
from mes.people.service import create_key, end_login
from mes.settings import Settings
from mes.web.rendering import PageRoute, page
from mes.web.tries import WrongTries

MAX_FORM_BYTES = 4096
router = APIRouter(route_class=PageRoute)


class ForeignForm(Forbidden):
    """This log-in was sent from another site's page ({origin}). Open the log-in page itself and try again."""


@router.get("/login")
async def show_login(request: Request) -> Response:
    """Ask for a key."""
    return page(request, "login.html", problem=None)


@router.post("/login")
async def log_in(request: Request) -> Response:
    """Exchange a key for a log-in, or say what is wrong with it."""
    _require_own_form(request)
    address = request.client.host if request.client else ""
    tries = _tries_of(request)
    if wait_s := tries.wait_s(address):
        problem = f"Too many wrong keys from this computer. Try again in {wait_s} seconds."
        answer: Response = page(request, "login.html", 429, problem=problem)
        answer.headers["Retry-After"] = str(wait_s)
        return answer
    key = await _read_key(request)
    actor = await request.app.state.keyring.find(key) if key else None
    if actor is None:
        tries.note(address)
        return page(request, "login.html", 401, problem="This key is not known, or has ended. Scan your badge again.")
    try:
        permissions.require(actor, "read")
    except Forbidden:
        problem = f"This key belongs to a {actor.role}: a machine. Log in with your own."
        return page(request, "login.html", 403, problem=problem)
    return await _open_login(request, actor, key)


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """End this log-in, and no other of the same person."""
    if key := request.cookies.get(COOKIE):
        await run(request, end_login, LoginEnd(key_hash=hash_key(key).hex()))
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def _tries_of(request: Request) -> WrongTries:
    state = request.app.state
    if not hasattr(state, "wrong_tries"):
        state.wrong_tries = WrongTries()
    tries: WrongTries = state.wrong_tries
    return tries


async def _open_login(request: Request, actor: Actor, key: str) -> Response:
    settings: Settings = request.app.state.settings
    database: Database = request.app.state.database
    hours = min(settings.session_h, await _hours_left(database, key, clock.now()))
    message = KeyRequest(name=actor.name, role=actor.role, expires_in_h=hours)
    login = await database.transact(create_key, message, actor)
    answer = RedirectResponse("/", status_code=303)
    answer.set_cookie(
        COOKIE,
        login.key,
        max_age=int(hours * 3600),
        path="/",
        secure=settings.secure_cookie and not _is_loopback(request.url.hostname or ""),
        httponly=True,
        samesite="strict",
    )
    return answer


async def _hours_left(database: Database, key: str, now: datetime) -> float:
    """A log-in ends no later than the key it was made from: else a stolen one could prolong itself for ever."""
    async with database.reading() as session:
        found = await find_actor(session, hash_key(key))
    if found is None or found[1].expires_at is None:
        return float("inf")
    return max((found[1].expires_at - now).total_seconds(), 1) / 3600


async def _read_key(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return ""
    return parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0].strip()


def _require_own_form(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise ForeignForm(origin=origin)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
