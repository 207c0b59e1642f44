"""A machine with ISA-95 Job Control (OPC 10031-4) played in software."""

import uuid
from datetime import datetime
from typing import Any

from asyncua import ua

from plc_adapters.opcua.job_control import CONSUMED, ENDED, JOBS, NO_ERROR, PRODUCED, UNKNOWN_JOB
from plc_adapters.simulated.companion_server import CompanionServer, Methods
from plc_adapters.simulated.job_structures import JOB_STRUCTURES
from plc_adapters.simulated.machine import SimulatedMachine

CANNOT = 0b1000
RESPONSE = "ISA95JobResponseDataType"


class JobMachine(SimulatedMachine):
    """It takes orders, works on them, and remembers the responses until they are cleared."""

    def __init__(self, clock: datetime, namespace: str) -> None:
        super().__init__(clock, namespace)
        self.orders: dict[str, dict[str, Any]] = {}
        self.running: set[str] = set()

    async def fill(self, server: CompanionServer) -> None:
        """Add the receiver of orders and the provider of responses."""
        await super().fill(server)
        receives: Methods = {
            (JOBS, "StoreAndStart"): self._store,
            (JOBS, "Cancel"): self._cancel,
            (JOBS, "Clear"): self._clear,
        }
        await server.add_structures(JOBS, JOB_STRUCTURES)
        await server.add_object("Receiver", receives, {"StoreAndStart": "ISA95JobOrderDataType"})
        provides: Methods = {
            (JOBS, "RequestJobResponseByJobOrderState"): self._responses,
            (JOBS, "RequestJobResponseByJobOrderID"): self._response,
        }
        await server.add_object("Provider", provides, {"RequestJobResponseByJobOrderState": "ISA95StateDataType"})
        await server.add_event(JOBS, "ISA95JobOrderStatusEventType", (JOBS, "JobOrder"))

    async def work(
        self,
        serial: str,
        *,
        ok: bool = True,
        data: dict[str, Any] | None = None,
        parts: list[tuple[str, str]] | None = None,
    ) -> None:
        """Do the job that is ordered for a unit, or one of its own."""
        job = next((one for one, order in self.orders.items() if _serial(order) == serial), f"local-{uuid.uuid4()}")
        self.orders.pop(job, None)
        self.running.discard(job)
        times = self.times()
        used = [
            {"MaterialDefinitionID": part, "MaterialLotID": one, "MaterialUse": CONSUMED} for part, one in parts or []
        ]
        said = {"JobResult": 1 if ok else 2, **(data or {})}
        await self.tell(
            job,
            {
                **times,
                "JobResponseData": [_parameter(name, value) for name, value in said.items()],
                "MaterialActuals": [{"MaterialLotID": serial, "MaterialUse": PRODUCED}, *used],
            },
        )

    async def tell(self, job: str, response: dict[str, Any]) -> None:
        """Keep a response and send its event."""
        self.results[job] = {"JobResponseID": job, "JobOrderID": job, "JobState": [ENDED], **response}
        await self.server.tell("ISA95JobOrderStatusEventType", JobOrder=job)

    async def _store(self, order: dict[str, Any], _comment: object) -> list[ua.Variant]:
        if order["JobOrderID"] in self.orders:
            return _status(CANNOT)
        self.orders[order["JobOrderID"]] = order
        return _status(NO_ERROR)

    async def _cancel(self, job: str, _comment: object) -> list[ua.Variant]:
        if job in self.running:
            return _status(CANNOT)
        return _status(NO_ERROR if self.orders.pop(job, None) else UNKNOWN_JOB)

    async def _clear(self, job: str, _comment: object) -> list[ua.Variant]:
        found = self.results.pop(job, None)
        self.changed.set()
        return _status(NO_ERROR if found else UNKNOWN_JOB)

    async def _response(self, job: str) -> list[ua.Variant]:
        running = {"JobResponseID": job, "JobOrderID": job, "JobState": [{"StateText": "Running", "StateNumber": 3}]}
        found = self.results.get(job) or (running if job in self.running else None)
        if found is None:
            return [ua.Variant(None), *_status(UNKNOWN_JOB)]
        return [await self.server.structure(JOBS, RESPONSE, found), *_status(NO_ERROR)]

    async def _responses(self, states: list[dict[str, Any]]) -> list[ua.Variant]:
        wanted = states[0]["StateNumber"]
        found = [one for one in self.results.values() if one["JobState"][0]["StateNumber"] == wanted]
        return [await self.server.structure(JOBS, RESPONSE, found), *_status(NO_ERROR)]


def _parameter(name: str, value: Any) -> dict[str, Any]:
    """A value, or a group of them."""
    if isinstance(value, dict):
        return {"ID": name, "Subparameters": [_parameter(*one) for one in value.items()]}
    return {"ID": name, "Value": value}


def _serial(order: dict[str, Any]) -> str:
    return str(order["MaterialRequirements"][0]["MaterialLotID"])


def _status(status: int) -> list[ua.Variant]:
    return [ua.Variant(status, ua.VariantType.UInt64)]
