"""A load generator that costs little itself: requests written before the clock starts, one task a connection."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


class Connection:
    """One kept-alive HTTP/1.1 connection."""

    def __init__(self, host: str, port: int, key: str) -> None:
        self.host, self.port, self.key = host, port, key
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.writer.close()

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Write a request down."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {self.key}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; status and body of the answer."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 : head.index(b"\r\n", at)]) if at >= 0 else 0
        return status, await self.reader.readexactly(length) if length else b""

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask for a page."""
        return await self.send(self.request("GET", path))

    async def post(self, path: str, message: Any) -> Any:
        """Send a message; its answer, or an error that says what the MES said."""
        status, body = await self.send(self.request("POST", path, json.dumps(message).encode()))
        if status >= 300:
            raise RuntimeError(f"POST {path}: {status} {body.decode()[:500]}")
        return json.loads(body) if body else None


@dataclass(frozen=True)
class Measured:
    """A run's figures."""

    count: int
    seconds: float
    latencies_s: list[float]

    @property
    def per_s(self) -> float:
        """Requests a second."""
        return self.count / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """The latency that this share of the requests stayed within."""
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def drive(connect: Callable[[], Connection], path: str, bodies: Sequence[bytes], connections: int) -> Measured:
    """Send every body once over some connections; each must be answered with 200."""
    latencies: list[float] = []
    queue = iter(bodies)

    async def run(connection: Connection, requests: Sequence[bytes]) -> None:
        for request in requests:
            begun = time.perf_counter()
            status, answer = await connection.send(request)
            latencies.append(time.perf_counter() - begun)
            if status != 200:
                raise RuntimeError(f"{path}: {status} {answer.decode()[:500]}")

    opened = [connect() for _ in range(connections)]
    try:
        for connection in opened:
            await connection.__aenter__()
        shares: list[list[bytes]] = [[] for _ in opened]
        for n, body in enumerate(queue):
            shares[n % connections].append(opened[n % connections].request("POST", path, body))
        begun = time.perf_counter()
        await asyncio.gather(*(run(c, share) for c, share in zip(opened, shares, strict=True)))
        return Measured(len(bodies), time.perf_counter() - begun, latencies)
    finally:
        for connection in opened:
            await connection.__aexit__()
