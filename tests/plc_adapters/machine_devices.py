"""Machines of companion specifications, played by hand for the conformance suite."""

import asyncio
from typing import Any

from plc_adapters.mapping import StationMap
from plc_adapters.simulated.job_machine import JobMachine
from plc_adapters.simulated.joining_system import JoiningSystem
from plc_adapters.simulated.machine import ARRIVAL, SimulatedMachine
from plc_adapters.simulated.result_machine import ResultMachine
from tests.plc_adapters.device import BEGAN, station_map

JOINTS = ["J1", "J2"]


class MachineDevice:
    """What the suite needs of every such machine."""

    profile = ""
    settings: dict[str, Any] = {}

    def __init__(self) -> None:
        self.machine = self.make()
        self.station = self._map("opc.tcp://127.0.0.1:1")
        self._cycle = ""

    def make(self) -> SimulatedMachine:
        raise NotImplementedError

    async def work(self, serial: str, passed: bool) -> None:
        raise NotImplementedError

    async def garble(self) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        port = await self.machine.start("opc.tcp://127.0.0.1:0")
        self.station = self._map(f"opc.tcp://127.0.0.1:{port}")

    async def stop(self) -> None:
        await self.machine.stop()

    def cut(self) -> int:
        return self.machine.server.cut()

    async def bring(self, serial: str) -> None:
        self._cycle = self.machine.server.read("Answer.Cycle") or self._cycle
        await self.machine.bring(serial)

    async def answered(self) -> tuple[bool, str]:
        read = self.machine.server.read
        at_hand = read("Arrival.Serial")

        def is_answered() -> bool:
            return read("Answer.Serial") == at_hand and read("Answer.Cycle") not in ("", self._cycle)

        await self._until(is_answered)
        return self.machine.is_allowed(), read("Answer.Serial")

    async def finish(self, serial: str, passed: bool = True) -> None:
        await self.work(serial, passed)

    async def taken(self) -> None:
        await self._until(self.is_taken)

    def is_taken(self) -> bool:
        return not self.machine.results

    async def forget(self) -> None:
        """Lose what was there; the clock goes on."""
        self.machine.results.clear()
        await self.machine.bring("")

    async def _until(self, holds: Any) -> None:
        async with asyncio.timeout(8):
            await self.machine.until(holds)

    def _map(self, endpoint: str) -> StationMap:
        return station_map(
            endpoint,
            profile=self.profile,
            values=[],
            curves={},
            extras=[],
            arrival=ARRIVAL,
            **{self.profile: self.settings},
        )


class JoiningDevice(MachineDevice):
    """A joining system with two joints."""

    profile = "joining"
    settings = {
        "results": "s=ResultManagement",
        "assets": "s=AssetMethods",
        "joints": JOINTS,
        "values": {"torque_nm": "FinalTorque"},
        "evaluation": "joint_ok",
        "curve": "torque_curve",
    }
    machine: JoiningSystem

    def make(self) -> JoiningSystem:
        return JoiningSystem(BEGAN, "urn:test")

    async def work(self, serial: str, passed: bool) -> None:
        for joint in JOINTS:
            await self.machine.join(serial, joint, ok=passed or joint == "J1", measured={"FinalTorque": 9.0})

    async def garble(self) -> None:
        await self.machine.tell({"ResultMetaData": {"Classification": 1}})


class ResultDevice(MachineDevice):
    """A machine with Result Transfer."""

    profile = "machinery_result"
    settings = {
        "results": "s=ResultManagement",
        "values": {"leak_mbar": "ResultContent.*.Leak"},
        "curves": {"pressure_curve": {"each": "ResultContent.*.Curve", "x": "Time", "y": "Pressure"}},
        "components": {"SEAL": "ResultContent.*.Seal"},
    }
    machine: ResultMachine

    def make(self) -> ResultMachine:
        return ResultMachine(BEGAN, "urn:test")

    async def work(self, serial: str, passed: bool) -> None:
        await self.machine.work(serial, ok=passed)

    async def garble(self) -> None:
        await self.machine.tell({"ResultMetaData": {"ResultEvaluation": 3}})


class JobDevice(MachineDevice):
    """A machine that takes job orders."""

    profile = "job_control"
    settings = {
        "receiver": "s=Receiver",
        "provider": "s=Provider",
        "work_master": "W7",
        "values": {"power_w": "Power"},
        "curves": {"power_curve": {"each": "Trace", "x": "Time", "y": "Power"}},
    }
    machine: JobMachine

    def make(self) -> JobMachine:
        return JobMachine(BEGAN, "urn:test")

    async def work(self, serial: str, passed: bool) -> None:
        await self.machine.work(serial, ok=passed)

    async def garble(self) -> None:
        await self.machine.tell("local-1", {"JobResponseData": []})
