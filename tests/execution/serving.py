"""The plant on a port of this machine, and connections to it that are kept."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import uvicorn

from mes.app import make_app
from mes.bench.load import Connection
from mes.settings import Settings


@contextlib.asynccontextmanager
async def connected(url: str, count: int) -> AsyncIterator[list[Connection]]:
    """Serve a database on a free port, and open so many connections to it."""
    gate: Any = make_app(Settings(), url)
    # of protocol TCP by name: else asyncio leaves Nagle's waiting on, 40 ms for each answer
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(gate, lifespan="off", log_config=None, access_log=False))
    async with gate.app.app.router.lifespan_context(gate.app.app), contextlib.AsyncExitStack() as opened:
        task = asyncio.create_task(server.serve([listening]))
        try:
            port = listening.getsockname()[1]
            listening.listen(count)
            yield [await opened.enter_async_context(Connection("127.0.0.1", port, "")) for _ in range(count)]
        finally:
            server.should_exit = True
            await task


async def post(connection: Connection, key: str, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
    """Post a message with a key; status and what the answer says."""
    asker = Connection(connection.host, connection.port, key)
    status, answer = await connection.send(asker.request("POST", path, json.dumps(body).encode()))
    return status, json.loads(answer)
