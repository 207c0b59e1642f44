"""PLCs that have bits and a clock instead of counters, played by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.plc_adapters.device import BEGAN, TagDevice

NEVER = datetime(1601, 1, 1, tzinfo=UTC)


class FourPhaseDevice(TagDevice):
    """A PLC that sets a bit, sees it answered, clears it, and sees the answer fall."""

    more = {"profile": "toggle_handshake", "extras": []}
    counters = ("Req", "ReqAt", "Permit", "Done", "DoneReqAt", "Ack")

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, Any] = {}
        self.clock = BEGAN

    async def ask(self, serial: str, **words: Any) -> None:
        await self._lower("Req", "Permit")
        await self.plc.write({"ReqSerial": serial, "ReqOperator": "anna", **words, "ReqAt": self._tick()})
        await self._raise("Req")

    async def finish(self, serial: str, passed: bool = True) -> None:
        asked = self.plc.read("ReqAt") if self.plc.read("ReqSerial") == serial else NEVER
        await self.report(serial, DoneReqAt=asked, DoneVerdict=1 if passed else 2)

    async def report(self, serial: str, **words: Any) -> None:
        await self._lower("Done", "Ack")
        began = self._tick()
        payload = {"DoneSerial": serial, "DoneStartedAt": began, "DoneEndedAt": self._tick(), **words}
        await self.plc.write(payload)
        await self._raise("Done")

    async def permit(self) -> dict[str, Any]:
        await self._until(lambda: not self._owes("Req", "Permit"))
        return {word: self.plc.read(word) for word in ("PermitSerial", "PermitCode")}

    async def acknowledged(self) -> tuple[int, str]:
        await self._until(self.is_taken)
        return self.plc.read("AckCode"), self.plc.read("AckText")

    def is_taken(self) -> bool:
        return not self._owes("Done", "Ack")

    async def forget(self) -> None:
        """Lose the bits; the clock goes on."""
        await self.plc.write({"Req": False, "Permit": False, "Done": False, "Ack": False, "ReqSerial": ""})

    def _tick(self) -> datetime:
        self.clock += timedelta(milliseconds=100)
        return self.clock

    def _owes(self, bit: str, mirror: str) -> bool:
        return bool(self.plc.read(bit)) and not self.plc.read(mirror)

    async def _raise(self, bit: str) -> None:
        await self.plc.write({bit: True})

    async def _lower(self, bit: str, mirror: str) -> None:
        await self.plc.write({bit: False})
        await self._until(lambda: not self.plc.read(mirror))


class ToggleDevice(FourPhaseDevice):
    """A PLC that turns its bit over."""

    more = {"profile": "toggle_handshake", "extras": [], "toggle": {"moves": "toggle"}}

    def _owes(self, bit: str, mirror: str) -> bool:
        return bool(self.plc.read(bit) != self.plc.read(mirror))

    async def _raise(self, bit: str) -> None:
        if not self._owes(bit, {"Req": "Permit", "Done": "Ack"}[bit]):
            await self.plc.write({bit: not self.plc.read(bit)})

    async def _lower(self, bit: str, mirror: str) -> None:
        return
