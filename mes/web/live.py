"""Keeps every open line page up to date: one rendering per change, shared by all who look."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from fastapi import WebSocket, WebSocketDisconnect

from mes import clock, permissions
from mes.db import Database
from mes.errors import Forbidden, Unavailable
from mes.gate import COOKIE
from mes.people.keyring import Keyring
from mes.web.line_now import Rendered, render_line
from mes.web.rendering import ASSETS

BEAT_S = 1.0  # a browser that hears nothing for two and a half seconds says so
RENDER_EVERY_S = 5.0  # a link falls silent without an event
RENDER_AT_MOST_EVERY_S = 0.5
RENDER_WITHIN_S = 8.0
OLD_AFTER_S = RENDER_EVERY_S + 3
SEND_WITHIN_S = 5.0
CHECK_KEY_EVERY_S = 60.0
MAX_VIEWERS = 500
KEY_ENDED, MAY_NOT_READ, TOO_MANY = 4401, 4403, 1013
_logger = structlog.get_logger()


@dataclass(eq=False)
class _Viewer:
    """One open page: the digest of what it shows, and an event that tells it to look again."""

    websocket: WebSocket
    shown: str
    stirred: asyncio.Event = field(default_factory=asyncio.Event)


class Live:
    """The open line pages of this worker. Nothing is read or rendered while nobody looks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._viewers: set[_Viewer] = set()
        self._changed = asyncio.Event()
        self._rendering: asyncio.Task[None] | None = None
        self._started_at = clock.now()
        self._latest: Rendered | None = None
        self._content = "{}"  # the latest as JSON, written once for all viewers
        self._is_failing = False

    def wake(self) -> None:
        """Say that something may have changed."""
        self._changed.set()

    async def serve(self, websocket: WebSocket) -> None:
        """Keep one page up to date until it closes, its key ends, or it no longer keeps up."""
        await websocket.accept()
        code = self._refusal(websocket)
        if code is None:
            viewer = _Viewer(websocket, websocket.query_params.get("shown", ""))
            self._viewers.add(viewer)
            self._ensure_rendering()
            try:
                code = await self._attend(viewer)
            finally:
                self._viewers.discard(viewer)
                self._changed.set()  # the last one out ends the rendering
        if code is not None:
            with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
                async with asyncio.timeout(SEND_WITHIN_S):
                    await websocket.close(code)

    def _refusal(self, websocket: WebSocket) -> int | None:
        try:
            permissions.require(websocket.state.actor, "read")
        except Forbidden:
            return MAY_NOT_READ
        return TOO_MANY if len(self._viewers) >= MAX_VIEWERS else None

    async def _attend(self, viewer: _Viewer) -> int | None:
        """Send, listen and watch the key; what ends first ends all. The code to close with; None: it is closed."""
        websocket = viewer.websocket
        keyring: Keyring = websocket.app.state.keyring
        key = _key_of(websocket)
        tasks = [
            asyncio.create_task(self._send(viewer)),
            asyncio.create_task(_until_gone(websocket)),
            asyncio.create_task(_until_key_ends(keyring, key)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, viewer: _Viewer) -> int | None:
        """Send a beat every second, and with it the page's new content when it changed: never a backlog of it."""
        try:
            while True:
                viewer.stirred.clear()
                async with asyncio.timeout(SEND_WITHIN_S):
                    await viewer.websocket.send_text(self._beat(viewer))
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_S):
                        await viewer.stirred.wait()
        except TimeoutError:
            return TOO_MANY
        except (WebSocketDisconnect, RuntimeError, OSError):
            return None

    def _beat(self, viewer: _Viewer) -> str:
        now, latest = clock.now(), self._latest
        read_at = latest.at if latest else self._started_at
        is_old = (now - read_at).total_seconds() > OLD_AFTER_S
        beat = {"now": now.isoformat(), "assets": ASSETS, "is_fresh": not (is_old or self._is_failing)}
        if latest is not None:
            beat["at"] = latest.at.isoformat()
            if viewer.shown != latest.digest:
                viewer.shown = latest.digest
                return f"{json.dumps(beat)[:-1]}, {self._content[1:]}"
        return json.dumps(beat)

    def _ensure_rendering(self) -> None:
        if self._rendering is None or self._rendering.done():
            # what was read for those who left is older than what the newcomer's page shows
            self._started_at, self._latest, self._is_failing = clock.now(), None, False
            self._rendering = asyncio.create_task(self._render_while_viewed())

    async def _render_while_viewed(self) -> None:
        while self._viewers:
            self._changed.clear()
            try:
                async with asyncio.timeout(RENDER_WITHIN_S):
                    self._publish(await render_line(self._database))
            except Exception as error:  # noqa: BLE001 - an outermost loop: logged once, and on it goes
                if not self._is_failing:
                    _logger.warning("line page can't be read", error=f"{type(error).__name__}: {error}")
                self._is_failing = True
            await asyncio.sleep(RENDER_AT_MOST_EVERY_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(RENDER_EVERY_S - RENDER_AT_MOST_EVERY_S):
                    await self._changed.wait()

    def _publish(self, rendered: Rendered) -> None:
        if self._is_failing:
            _logger.info("line page is back")
        is_same = self._latest is not None and self._latest.digest == rendered.digest
        self._latest, self._is_failing = rendered, False
        if not is_same:
            self._content = json.dumps({"digest": rendered.digest, "html": rendered.html})
            for viewer in self._viewers:
                viewer.stirred.set()


def _key_of(websocket: WebSocket) -> str:
    """Return the key that the gate let in."""
    scheme, _, key = websocket.headers.get("authorization", "").partition(" ")
    return key if scheme.lower() == "bearer" else websocket.cookies.get(COOKIE, "")


async def _until_gone(websocket: WebSocket) -> None:
    """A page has nothing to say: whatever comes is thrown away, until it is gone."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _until_key_ends(keyring: Keyring, key: str) -> int:
    while True:
        await asyncio.sleep(CHECK_KEY_EVERY_S)
        # While the database is away the page shows nothing new: its key can wait until it is back.
        with suppress(Unavailable):
            if await keyring.find(key) is None:
                return KEY_ENDED
