"""The application as a browser meets it: in this process for pages, on a real port for sockets."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from html import unescape
from typing import Any

import httpx
import pytest
import uvicorn

from mes.actor import Role
from mes.app import make_app
from mes.db import Database
from mes.people.messages import KeyRequest
from mes.people.service import create_key
from mes.settings import Settings
from tests.conftest import ADMIN, server_url

PAGE = {"Accept": "text/html,application/xhtml+xml"}
NewKey = Callable[[Role], Awaitable[str]]


@pytest.fixture
async def new_key(plant: Database) -> NewKey:
    """Make keys by role."""

    async def make(role: Role) -> str:
        request = KeyRequest(name=f"test-{role}", role=role)
        return (await plant.transact(create_key, request, ADMIN)).key

    return make


@pytest.fixture
async def app(plant_name: str) -> AsyncIterator[Any]:
    """Start the application on the demo plant."""
    gate: Any = make_app(Settings(), server_url(plant_name))
    async with gate.app.app.router.lifespan_context(gate.app.app):
        yield gate


@pytest.fixture
async def visitor(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Ask without a key."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=PAGE) as client:
        yield client


@pytest.fixture
async def browser(visitor: httpx.AsyncClient, new_key: NewKey) -> httpx.AsyncClient:
    """Ask as somebody of quality who has logged in."""
    answer = await visitor.post("/login", data={"key": await new_key(Role.QUALITY)})
    assert answer.status_code == 303, answer.text
    return visitor


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serve on a free port; gives host and port."""
    # with its protocol named, asyncio turns Nagle off: else each kept request waits for 40 ms
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, ws="websockets-sansio"))
    task = asyncio.create_task(server.serve([listening]))
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def text_of(html: str) -> str:
    """Read a page as a person does: words alone, blanks folded, entities read."""
    words = re.sub(r"<(head|script|svg).*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(words)).replace(" ,", ",").replace(" :", ":")
