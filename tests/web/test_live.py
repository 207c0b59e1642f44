"""The live line: who may watch, what is sent when, and when it ends. Real sockets on a real server."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mes.actor import Role
from mes.db import Database
from mes.people.messages import KeyName
from mes.people.service import revoke_key
from mes.web import live
from mes.web.line_now import render_line
from tests.build import line as build
from tests.conftest import ADMIN
from tests.web.conftest import NewKey, serving


@pytest.fixture
async def address(app: Any) -> AsyncIterator[str]:
    """Serve the application; gives the socket's address."""
    async with serving(app) as host:
        yield f"ws://{host}/live/line"


def watch(address: str, key: str, **more: Any) -> connect:
    """Open the socket with a key."""
    return connect(address, additional_headers={"Authorization": f"Bearer {key}"}, proxy=None, **more)


async def hear(socket: ClientConnection, *, html: bool) -> dict[str, Any]:
    """Wait for a beat, with or without new content."""
    async with asyncio.timeout(10):
        while True:
            beat: dict[str, Any] = json.loads(await socket.recv())
            if ("html" in beat) == html:
                return beat


async def closing_code(socket: ClientConnection) -> int | None:
    """Wait until the server closes."""
    async with asyncio.timeout(10):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


async def test_a_change_is_sent_and_beats_go_on_between(plant: Database, address: str, new_key: NewKey) -> None:
    module = (await build.order(plant))["M16S7P"][0]
    async with watch(address, await new_key(Role.OPERATOR)) as socket:
        first = await hear(socket, html=True)
        assert first["is_fresh"]
        assert module not in first["html"]
        beat = await hear(socket, html=False)
        assert beat.keys() == {"now", "at", "assets", "is_fresh"}
        assert (await build.permit(plant, "GC1-020", module)).granted
        changed = await hear(socket, html=True)
        assert module in changed["html"]
        assert changed["digest"] != first["digest"]


async def test_a_page_that_shows_the_newest_is_sent_nothing(plant: Database, address: str, new_key: NewKey) -> None:
    shown = (await render_line(plant)).digest
    async with watch(f"{address}?shown={shown}", await new_key(Role.OPERATOR)) as socket:
        for _ in range(3):
            assert "html" not in json.loads(await socket.recv())


async def test_many_events_make_two_renderings_a_second_shared_by_all(
    app: Any, plant: Database, address: str, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderings = 0

    async def counted(database: Database) -> Any:
        nonlocal renderings
        renderings += 1
        return await render_line(database)

    monkeypatch.setattr(live, "render_line", counted)
    key = await new_key(Role.OPERATOR)
    async with watch(address, key) as one, watch(address, key) as two:
        await hear(one, html=True)
        await hear(two, html=True)
        renderings = 0
        for _ in range(100):
            app.app.app.state.live.wake()
            await asyncio.sleep(0.02)
        assert 2 <= renderings <= 5
    await asyncio.sleep(1.2)
    renderings = 0
    app.app.app.state.live.wake()
    await asyncio.sleep(0.7)
    assert renderings == 0  # nobody looks


async def test_a_revoked_key_ends_the_socket(
    plant: Database, address: str, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CHECK_KEY_EVERY_S", 0.2)
    monkeypatch.setattr("mes.people.keyring.REMEMBERED", live.clock.now() - live.clock.now())
    async with watch(address, await new_key(Role.OPERATOR)) as socket:
        await hear(socket, html=True)
        await plant.transact(revoke_key, KeyName(name="test-operator"), ADMIN)
        assert await closing_code(socket) == live.KEY_ENDED


async def test_who_may_not_read_and_who_comes_too_late_are_turned_away(
    address: str, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidStatus):
        async with watch(address, "mes_wrong"):
            pass
    async with watch(address, await new_key(Role.STATION)) as machine:
        assert await closing_code(machine) == live.MAY_NOT_READ
    monkeypatch.setattr(live, "MAX_VIEWERS", 1)
    key = await new_key(Role.OPERATOR)
    async with watch(address, key) as first:
        await hear(first, html=True)
        async with watch(address, key) as second:
            assert await closing_code(second) == live.TOO_MANY
        await hear(first, html=False)


async def test_a_cookie_from_another_site_opens_nothing(address: str, new_key: NewKey) -> None:
    cookie = {"Cookie": f"mes_login={await new_key(Role.OPERATOR)}"}
    host = address.removeprefix("ws://").partition("/")[0]
    with pytest.raises(InvalidStatus):
        async with connect(address, additional_headers=cookie, origin="https://evil.example", proxy=None):
            pass
    async with connect(address, additional_headers=cookie, origin=f"http://{host}", proxy=None) as own:
        await hear(own, html=True)


async def test_who_does_not_keep_up_is_closed(
    app: Any, address: str, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SEND_WITHIN_S", 0.3)
    monkeypatch.setattr(live, "BEAT_S", 0.001)
    monkeypatch.setattr(live.Live, "_beat", lambda _self, _viewer: "x" * 200_000)
    async with watch(address, await new_key(Role.OPERATOR), max_queue=1, compression=None, close_timeout=0.2):
        viewers = app.app.app.state.live._viewers
        async with asyncio.timeout(10):
            while not viewers:  # noqa: ASYNC110 - it is the server's own set
                await asyncio.sleep(0.01)
            while viewers:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_an_unreadable_database_is_said_and_then_over(
    plant: Database, address: str, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RENDER_EVERY_S", 0.6)
    is_away = False

    async def reading(database: Database) -> Any:
        if is_away:
            raise ConnectionError("away")
        return await render_line(database)

    monkeypatch.setattr(live, "render_line", reading)
    async with watch(address, await new_key(Role.OPERATOR)) as socket:
        assert (await hear(socket, html=True))["is_fresh"]
        for is_away in (True, False):
            async with asyncio.timeout(30):
                while (await hear(socket, html=False))["is_fresh"] == is_away:
                    pass
