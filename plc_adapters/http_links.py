"""A small HTTP/1.1 client for the one server that a gateway asks: kept connections, nothing followed, nothing cached.

A general client looks through its pool with every request: httpx took 3 ms of CPU a request with one connection and 4
to 8 ms with 32, which was the larger part of a handshake; this takes 0.1 ms.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

CONNECT_S, ANSWER_S = 3.0, 10.0
MOST = 64
KEPT_S = 60.0  # shorter than the server keeps it: the server's end of a connection must not cross a request


class Unreachable(Exception):
    """Why no answer came."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with its whole body; `kind` is its content type."""

    status: int
    kind: str
    content: bytes


class HttpLinks:
    """Sends requests to one server, each over a connection of its own that is kept for the next one."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._path = parts.path.rstrip("/")
        self._headers = {"Host": parts.netloc.rpartition("@")[2], **headers}
        self._idle: list[_Link] = []
        self._room = asyncio.Semaphore(MOST)

    async def request(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Response:
        """Send a request once; its answer, whatever the status. Unreachable: nobody knows whether it was heard."""
        named = self._headers | headers | {"Content-Length": str(len(body))}
        head = "".join(f"{name}: {' '.join(value.split())}\r\n" for name, value in named.items())
        whole = f"{method} {self._path}{path} HTTP/1.1\r\n{head}\r\n".encode() + body
        try:
            async with asyncio.timeout(ANSWER_S), self._room:
                link = await self._link()
                try:
                    response = await link.ask(whole)
                except BaseException:
                    link.close()
                    raise
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            raise Unreachable(f"{type(error).__name__} {error}".strip()) from error
        if link.is_usable:
            self._idle.append(link)
        return response

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.pop().close()

    async def _link(self) -> "_Link":
        oldest = asyncio.get_running_loop().time() - KEPT_S
        while self._idle:
            link = self._idle.pop()  # the one used last: the others grow old and are closed
            if link.is_usable and link.used_at > oldest:
                return link
            link.close()
        async with asyncio.timeout(CONNECT_S):
            loop = asyncio.get_running_loop()
            _, link = await loop.create_connection(_Link, self._host, self._port, ssl=self._tls)
        return link


class _Link(asyncio.Protocol):
    """A connection with one request under way at most."""

    def __init__(self) -> None:
        self.used_at = 0.0
        self.is_usable = True
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[Response]
        self._parser: httptools.HttpResponseParser
        self._kind, self._body = "", b""

    async def ask(self, request: bytes) -> Response:
        """Send a request and wait for its answer."""
        loop = asyncio.get_running_loop()
        self._answer, self._parser = loop.create_future(), httptools.HttpResponseParser(self)
        self._kind, self._body = "", b""
        self._transport.write(request)
        response = await self._answer
        self.used_at = loop.time()
        return response

    def close(self) -> None:
        """Let go of the connection."""
        self.is_usable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, AttributeError) as error:  # the latter: nothing was asked
            self._fail(error)
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Hear a header."""
        if name.lower() == b"content-type":
            self._kind = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Hear a part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Hear that the answer is whole."""
        status = self._parser.get_status_code()
        if status >= 200 and not self._answer.done():
            self.is_usable = self.is_usable and self._parser.should_keep_alive()
            self._answer.set_result(Response(status, self._kind, self._body))

    def _fail(self, error: Exception) -> None:
        self.is_usable = False
        if hasattr(self, "_answer") and not self._answer.done():
            self._answer.set_exception(error)
