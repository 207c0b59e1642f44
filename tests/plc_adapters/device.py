"""A PLC on a real OPC UA server, played by hand: what each profile's device must offer the conformance suite."""

import asyncio
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Any

from asyncua import ua

from plc_adapters.mapping import EXTRA_WORDS, LineMap, StationMap
from plc_adapters.simulated.line import replace_port
from plc_adapters.simulated.plc_server import PlcServer, plc_server

STATION = "S-070"
KINDS = {"torque_nm": "number", "seated_ok": "boolean", "label": "text"}
BEGAN = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
ENDED = datetime(2026, 11, 2, 8, 3, tzinfo=UTC)


def station_map(endpoint: str = "opc.tcp://127.0.0.1:1", **more: Any) -> StationMap:
    read = {
        "code": STATION,
        "endpoint": endpoint,
        "namespace": "urn:test",
        "security": "none",
        "values": list(KINDS),
        "curves": {"torque_curve": 1},
        "extras": list(EXTRA_WORDS),
        "publishing_ms": 10,
        "heartbeat_dead_s": 0.4,
        "timeout_s": 2,
        **more,
    }
    return LineMap.model_validate({"gateway": "g", "stations": [read]}).stations[0]


class TagDevice:
    """A PLC with the tag handshake. Its words outlive its server, as a PLC's memory does."""

    more: dict[str, Any] = {}
    counters = ("ReqSeq", "PermitSeq", "PermitEpoch", "DoneSeq", "AckSeq", "AckEpoch", "Epoch", "DoneReqSeq")

    def __init__(self) -> None:
        self.station = replace_port(station_map(**self.more), 0)
        self.plc: PlcServer
        self._stack = AsyncExitStack()
        self._beating: asyncio.Task[None] | None = None
        self._kept: dict[str, Any] = {"Epoch": 11}

    async def start(self) -> None:
        self.plc = await self._stack.enter_async_context(plc_server(self.station, KINDS))
        self.station = station_map(f"opc.tcp://127.0.0.1:{self.plc.port}", **self.more)
        await self.plc.write(self._kept)
        self.beat()

    async def stop(self) -> None:
        await self.stand_still()
        kept = (*self.counters, "ReqSerial", "PermitSerial", "PermitCode", "DoneSerial", "DoneVerdict", "AckCode")
        self._kept = {word: self.plc.read(word) for word in (*kept, "DoneStartedAt", "DoneEndedAt")}
        await self._stack.aclose()

    def beat(self) -> None:
        self._beating = asyncio.create_task(self._beat())

    async def stand_still(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating

    def cut(self) -> int:
        """Break every connection; return how many there were."""
        transports = list(self.plc._server.iserver.asyncio_transports)
        for transport in transports:
            transport.abort()
        return len(transports)

    async def spoil(self, word: str) -> None:
        """Give a word a bad quality, as a broken sensor does."""
        bad = ua.DataValue(ua.Variant(None, ua.VariantType.Null), ua.StatusCode(ua.StatusCodes.BadSensorFailure))
        await self.plc._server.write_attribute_value(self.plc._ids[word], bad)

    def while_read(self, word: str, then: dict[str, Any]) -> asyncio.Event:
        """Write words right after the next read of one, as a PLC does that doesn't wait for its acknowledgement."""
        space, node, read = self.plc._server.iserver.aspace, self.plc._ids[word], asyncio.Event()
        before = space.read_attribute_value(node, ua.AttributeIds.Value)

        def on_read(*_which: Any) -> ua.DataValue:
            if not read.is_set():
                read.set()
                self._writing = asyncio.get_running_loop().create_task(self.plc.write(then))
            return before

        space.set_attribute_value_callback(node, ua.AttributeIds.Value, on_read)
        return read

    def hold_recipes(self) -> list[str]:
        """Take each recipe that is written into the machine, and say so; the parameters, as they come."""
        space, loaded = self.plc._server.iserver.aspace, list[str]()

        async def on_written(_handle: object, value: ua.DataValue) -> None:
            if value.Value is not None and value.Value.Value:
                loaded.append(self.plc.read("RecipeParameters"))
                await self.plc.write({"ReqRecipeId": value.Value.Value})

        space.add_datachange_callback(self.plc._ids["RecipeId"], ua.AttributeIds.Value, on_written)
        return loaded

    async def bring(self, serial: str) -> None:
        await self.ask(serial)

    async def answered(self) -> tuple[bool, str]:
        permit = await self.permit()
        return permit["PermitCode"] == 1, permit["PermitSerial"]

    async def finish(self, serial: str, passed: bool = True) -> None:
        asked = self.plc.read("ReqSeq") if self.plc.read("ReqSerial") == serial else 0
        await self.report(serial, DoneReqSeq=asked, DoneVerdict=1 if passed else 2)

    async def garble(self) -> None:
        await self.report("", DoneVerdict=7)

    async def taken(self) -> None:
        await self.acknowledged()

    def is_taken(self) -> bool:
        return self._answered("Done", "Ack")

    async def forget(self) -> None:
        """Lose the counters, and count from the start again."""
        await self.plc.write({"Epoch": 12, "ReqSeq": 0, "DoneSeq": 0, "ReqSerial": ""})

    async def ask(self, serial: str, **words: Any) -> None:
        said = {"ReqSerial": serial, "ReqOperator": "anna", **words}
        await self.plc.write({**said, "ReqSeq": self.plc.read("ReqSeq") + 1})

    async def report(self, serial: str, **words: Any) -> None:
        payload = {
            "DoneReqSeq": self.plc.read("ReqSeq"),
            "DoneSerial": serial,
            "DoneVerdict": 1,
            "DoneStartedAt": BEGAN,
            "DoneEndedAt": ENDED,
            **words,
        }
        await self.plc.write({**payload, "DoneSeq": self.plc.read("DoneSeq") + 1})

    async def permit(self) -> dict[str, Any]:
        await self._until(lambda: self._answered("Req", "Permit"))
        words = ("PermitSeq", "PermitSerial", "PermitCode", "PermitText", "PermitReason", "RecipeId")
        return {word: self.plc.read(word) for word in (*words, "RecipeParameters")}

    async def acknowledged(self) -> tuple[int, str]:
        await self._until(lambda: self._answered("Done", "Ack"))
        return self.plc.read("AckCode"), self.plc.read("AckText")

    def _answered(self, asked: str, answered: str) -> bool:
        epoch = self.plc.read("Epoch") == self.plc.read(f"{answered}Epoch")
        return epoch and self.plc.read(f"{asked}Seq") == self.plc.read(f"{answered}Seq")

    async def _until(self, holds: Any) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await self.plc.until_written()

    async def until_beaten(self, times: int) -> None:
        beaten = asyncio.Event()

        async def on_beat(_handle: object, value: ua.DataValue) -> None:
            if value.Value.Value >= times:
                beaten.set()

        self.plc._server.iserver.aspace.add_datachange_callback(
            self.plc._ids["MesHeartbeat"], ua.AttributeIds.Value, on_beat
        )
        async with asyncio.timeout(5):
            await beaten.wait()

    async def _beat(self) -> None:
        while True:
            await self.plc.write({"Heartbeat": (self.plc.read("Heartbeat") + 1) % 2**16})
            await asyncio.sleep(0.02)
