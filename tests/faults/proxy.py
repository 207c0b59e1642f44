"""A link that can be cut: a TCP proxy that passes bytes on, holds them back as a dead switch does, or resets."""

import asyncio
import socket
import struct
from contextlib import suppress

_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class Proxy:
    """Stands before a server at a port of its own. What it holds back arrives when it passes on again, as with TCP."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._passes, self._resets = asyncio.Event(), False
        self._passes.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server
        self.port = 0

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Cut everything and listen no more."""
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def pass_on(self) -> None:
        """Be a good link."""
        self._resets = False
        self._passes.set()

    def hold(self) -> None:
        """Be a black hole: nothing arrives, nobody is told."""
        self._passes.clear()

    def reset(self) -> None:
        """Reset whatever is open, and whoever comes."""
        self._resets = True
        self.cut()

    def cut(self) -> int:
        """Reset what is open now; how many connections that were."""
        cut = len(self._open) // 2
        for writer in list(self._open):
            writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()
        return cut

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        out: asyncio.StreamWriter | None = None
        try:
            with suppress(OSError, asyncio.CancelledError):
                if self._resets:
                    self.cut()
                    return
                await self._passes.wait()
                far, out = await asyncio.open_connection("127.0.0.1", self._upstream)
                self._open.add(out)
                await asyncio.gather(self._pump(reader, out), self._pump(far, writer))
        finally:
            self._tasks.discard(task)
            for end in (writer, out):
                if end is not None:
                    self._open.discard(end)
                    end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while read := await reader.read(65_536):
                await self._passes.wait()
                writer.write(read)
                await writer.drain()
        await self._passes.wait()
        writer.close()
