"""A scanner with a server of its own gives the serial for a PLC that has none."""

from datetime import timedelta
from typing import Any

import pytest

from plc_adapters.mapping import StationMap
from plc_adapters.simulated.companion_server import CompanionServer, companion_server
from tests.plc_adapters.conftest import Gateway
from tests.plc_adapters.device import BEGAN, TagDevice, station_map
from tests.plc_adapters.recording_door import RecordingDoor


class ScannedDevice(TagDevice):
    """A PLC that counts but knows no serials, and the scanner in front of it."""

    more = {"words": {"ReqSerial": None, "DoneSerial": None}, "scanner": {"last_scan": "s=Data", "scanned_at": "s=At"}}

    def __init__(self) -> None:
        super().__init__()
        self.scanner: CompanionServer
        self._scans = 0

    async def start(self) -> None:
        serving = companion_server("opc.tcp://127.0.0.1:0", "urn:scanner", self._fill)
        self.scanner = await self._stack.enter_async_context(serving)
        settings = {
            "endpoint": f"opc.tcp://127.0.0.1:{self.scanner.port}",
            "namespace": "urn:scanner",
            "last_scan": "s=Data",
            "scanned_at": "s=At",
        }
        self.more = {**self.more, "scanner": settings}
        await super().start()

    async def stop(self) -> None:
        await self.stand_still()
        await self._stack.aclose()

    async def scan(self, code: str) -> None:
        self._scans += 1
        await self.scanner.write("Data", code)
        await self.scanner.write("At", BEGAN + timedelta(seconds=self._scans))

    async def _fill(self, server: CompanionServer) -> None:
        await server.add_variables({"Data": "", "At": BEGAN})


played = pytest.mark.parametrize("profile", [ScannedDevice], indirect=True)


@played
async def test_what_was_scanned_is_asked_for_and_reported(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    await device.scan("U-1")
    await device.ask("")
    assert (await device.permit())["PermitSerial"] == "U-1"
    await device.scan("U-2")
    await device.report("")
    assert (await device.acknowledged())[0] == 1
    assert [(one.serial, one.cycle) for one in door.reports] == [("U-1", door.permits[0].cycle)], "not the next unit"


@played
async def test_a_request_waits_for_its_own_scan(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    await device.scan("U-1")
    await device.ask("")
    await device.permit()
    await device.ask("")
    await device.report("", DoneReqSeq=1)
    # a result is not held up by a request that waits for its scan; it is no longer the permitted unit's either
    await device.acknowledged()
    assert len(door.permits) == 1
    await device.scan("U-2")
    assert (await device.permit())["PermitSerial"] == "U-2"
    assert [one.serial for one in door.permits] == ["U-1", "U-2"]


@played
async def test_a_result_without_a_permit_has_no_serial_and_is_kept_as_a_letter(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await device.scan("U-1")
    await device.report("", DoneReqSeq=0)
    assert (await device.acknowledged())[0] == 9
    (letter,) = gateway.read_letters()
    assert letter["problem"]["errors"][0]["at"] == "serial"


def test_a_plc_without_a_scanner_cannot_do_without_serials() -> None:
    with pytest.raises(ValueError, match="can't do without ReqSerial"):
        station_map(words={"ReqSerial": None})
    assert isinstance(station_map(**ScannedDevice.more), StationMap)
