"""A printer on a TCP port: what it was sent, and ways to fail."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class RawPrinter:
    """Takes labels, one a connection. `dies_in`: number of a connection that it breaks off in the middle of."""

    port: int
    labels: list[str] = field(default_factory=list)
    dies_in: int | None = None
    hangs: bool = False
    connections: int = 0
    taken: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one label; it counts when the sender has ended it."""
        self.connections += 1
        if self.connections == self.dies_in:
            await reader.readexactly(50)
            reset = struct.pack("ii", 1, 0)  # what a peer hears of a printer that was switched off and on
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            writer.transport.abort()
            return
        label = await reader.read(-1)
        self.taken.set()
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        self.labels.append(label.decode())
        writer.close()


def free_port() -> int:
    """A port that nothing listens on, and nothing will: it is not of those that are given to whoever asks for any."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@contextlib.asynccontextmanager
async def running(printer: RawPrinter) -> AsyncIterator[RawPrinter]:
    """Switch a printer on, and off at the end."""
    server = await asyncio.start_server(printer.serve, "127.0.0.1", printer.port)
    try:
        yield printer
    finally:
        server.close()
