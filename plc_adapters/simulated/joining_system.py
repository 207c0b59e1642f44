"""A joining system (OPC 40450-1) played in software: joints with curves, results kept until they are acknowledged."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from asyncua import ua

from plc_adapters.opcua.joining import IJT, RESULT
from plc_adapters.opcua.joints import ANGLE, NOT_OK, OK, TORQUE
from plc_adapters.simulated.companion_server import CompanionServer, Methods
from plc_adapters.simulated.machine import SimulatedMachine

_DONE = [ua.Variant(0, ua.VariantType.Int64), ua.Variant(ua.LocalizedText(""), ua.VariantType.LocalizedText)]


class JoiningSystem(SimulatedMachine):
    """Its tool works only while it is enabled; what it is told by identifiers it attaches to its results."""

    def __init__(self, clock: datetime, namespace: str) -> None:
        super().__init__(clock, namespace)
        self.enabled = False
        self.identifiers: list[str] = []

    async def fill(self, server: CompanionServer) -> None:
        """Add the result and asset management."""
        await super().fill(server)
        results: Methods = {
            (IJT, "RequestUnacknowledgedResults"): self._request_unacknowledged,
            (RESULT, "AcknowledgeResults"): self.acknowledge,
        }
        assets: Methods = {(IJT, "EnableAsset"): self._enable, (IJT, "SendTextIdentifiers"): self._identify}
        await server.add_object("ResultManagement", results)
        await server.add_object("AssetMethods", assets)
        for name in ("JoiningSystemResultReadyEventType", "RequestedResultEventType"):
            await server.add_event(IJT, name, (RESULT, "Result"))

    def is_allowed(self) -> bool:
        """Tell whether the tool is enabled."""
        return self.enabled

    async def join(
        self,
        serial: str,
        joint: str,
        *,
        ok: bool = True,
        measured: dict[str, float] | None = None,
        angle_deg: Sequence[float] = (),
        torque_nm: Sequence[float] = (),
        **entities: str,
    ) -> None:
        """Make one joint and tell its result."""
        named = {"Serial": serial, "Joint": joint, **entities}
        if serial in self.identifiers:
            named["Visit"] = self.identifiers[1]
        trace = [
            {"PhysicalQuantity": ANGLE, "Values": list(angle_deg)},
            {"PhysicalQuantity": TORQUE, "Values": list(torque_nm)},
        ]
        values = [{"Name": name, "MeasuredValue": value} for name, value in (measured or {}).items()]
        content: dict[str, Any] = {"OverallResultValues": values}
        if angle_deg:
            content["Trace"] = {"StepTraces": [{"StepTraceContent": trace}]}
        meta = {
            "Classification": 1,
            "ResultEvaluation": OK if ok else NOT_OK,
            "ProcessingTimes": self.times(),
            "AssociatedEntities": [{"Name": name, "EntityId": one} for name, one in named.items()],
        }
        await self.tell({"ResultMetaData": meta, "ResultContent": [content]})

    async def tell(self, document: dict[str, Any]) -> None:
        """Keep a result and send its event."""
        key = self.keep(document)
        await self.server.tell("JoiningSystemResultReadyEventType", Result=self.results[key])

    async def _request_unacknowledged(self, most: int, _pause_ms: float) -> list[ua.Variant]:
        wanted = list(self.results.values())
        for one in wanted[: most or None]:
            await self.server.tell("RequestedResultEventType", Result=one)
        count = ua.Variant(len(wanted), ua.VariantType.UInt32)
        return [ua.Variant(0.0, ua.VariantType.Double), count, *_DONE]

    async def _enable(self, _asset: str, enabled: bool) -> list[ua.Variant]:
        self.enabled = enabled
        self.changed.set()
        return _DONE

    async def _identify(self, _asset: str, identifiers: list[str]) -> list[ua.Variant]:
        self.identifiers = identifiers
        return _DONE
