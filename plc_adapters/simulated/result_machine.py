"""A machine with Result Transfer (OPC 40001-101) played in software."""

from typing import Any

from asyncua import ua

from plc_adapters.opcua.machinery_result import RESULT
from plc_adapters.simulated.companion_server import CompanionServer, Methods
from plc_adapters.simulated.machine import SimulatedMachine

_HANDLE, _OK = ua.Variant(7, ua.VariantType.UInt32), ua.Variant(0, ua.VariantType.Int32)


class ResultMachine(SimulatedMachine):
    """It keeps results until they are acknowledged, and counts the handles it has given."""

    handles = 0
    acknowledges = True

    async def fill(self, server: CompanionServer) -> None:
        """Add the result management."""
        await super().fill(server)
        methods: Methods = {
            (RESULT, "GetResultIdListFiltered"): self._list,
            (RESULT, "GetResultById"): self._get,
            (RESULT, "ReleaseResultHandle"): self._release,
        }
        if self.acknowledges:
            methods[RESULT, "AcknowledgeResults"] = self.acknowledge
        await server.add_object("ResultManagement", methods)
        await server.add_event(RESULT, "ResultReadyEventType", (RESULT, "ResultId"))

    async def work(self, serial: str, *, ok: bool = True, content: list[Any] | None = None) -> None:
        """Do a piece of work and keep its result."""
        meta = {"PartId": serial, "ResultEvaluation": 1 if ok else 2, "ProcessingTimes": self.times()}
        if cycle := self.cycle_of(serial):
            meta["JobId"] = cycle
        await self.tell({"ResultMetaData": meta, "ResultContent": content or []})

    async def tell(self, document: dict[str, Any]) -> None:
        """Keep a result and send its event."""
        key = self.keep(document)
        await self.server.tell("ResultReadyEventType", ResultId=key)

    async def _list(self, _filter: object, _order: object, most: int, _timeout: int) -> list[ua.Variant]:
        self.handles += 1
        listed = list(self.results)[: most or None]
        return [_HANDLE, ua.Variant(listed, ua.VariantType.String, is_array=True), _OK]

    async def _get(self, key: str, _timeout: int) -> list[ua.Variant]:
        if key not in self.results:
            return [ua.Variant(0, ua.VariantType.UInt32), ua.Variant(None), ua.Variant(1, ua.VariantType.Int32)]
        self.handles += 1
        return [_HANDLE, ua.Variant(self.results[key], ua.VariantType.String), _OK]

    async def _release(self, _handle: int) -> list[ua.Variant]:
        self.handles -= 1
        return [_OK]
