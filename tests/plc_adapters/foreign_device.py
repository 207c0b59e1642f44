"""A PLC with the tag handshake whose server isn't ours: node-opcua, in a process of its own."""

from typing import Any

from plc_adapters.simulated.plc_server import ANSWERS, words_of
from tests.plc_adapters.device import KINDS, TagDevice, station_map
from tests.plc_adapters.node_server import USER, NodeServer


class ForeignPlc:
    """The words of a PLC on such a server."""

    def __init__(self, server: NodeServer) -> None:
        self.server = server

    def read(self, word: str) -> Any:
        return self.server.words[word]

    async def write(self, words: dict[str, Any]) -> None:
        self.server.words |= words
        await self.server.do("write", words=words)

    async def until_written(self) -> None:
        """Wait until the gateway has written a word since the last wait."""
        await self.server.written.wait()
        self.server.written.clear()


class ForeignDevice(TagDevice):
    """The PLC's program; each test finds it with a new epoch. Its server beats the heart."""

    more = {"security": "encrypted", "user": USER, "heartbeat_dead_s": 3, "timeout_s": 8}

    def __init__(self, server: NodeServer) -> None:
        super().__init__()
        self.server = server
        self.plc: Any = ForeignPlc(server)

    async def start(self) -> None:
        """Start it with what its words held; they outlive its server, as a PLC's memory does."""
        words = [
            {
                "name": word,
                "node": node,
                "type": kind.name,
                "array": isinstance(first, list),
                "writable": word.startswith(ANSWERS),
                "first": self.server.words.setdefault(word, 11 if word == "Epoch" else first),
            }
            for word, node, first, kind in words_of(self.station, KINDS)
        ]
        self.server.settings["words"] = words
        await self.server.start()
        self.station = station_map(f"opc.tcp://127.0.0.1:{self.server.port}", **self.more)

    async def stop(self) -> None:
        """Stop it as a power cut does."""
        await self.server.kill()

    async def begin(self) -> None:
        """Lose the counters and answers of the test before."""
        nothing = dict.fromkeys((*self.counters, "PermitCode", "AckCode"), 0)
        await self.plc.write({**nothing, "ReqSerial": "", "PermitSerial": "", "Epoch": self.plc.read("Epoch") + 1})

    async def forget(self) -> None:
        """Lose the counters, and count from the start again."""
        await self.plc.write({"Epoch": self.plc.read("Epoch") + 1, "ReqSeq": 0, "DoneSeq": 0, "ReqSerial": ""})

    async def cut(self) -> int:  # type: ignore[override]
        """Break every connection; return how many sessions there were."""
        return int(await self.server.do("cut"))
