"""PackML beside a profile: states and counts of a real server become numbers for OEE."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from plc_adapters.mapping import StationMap
from plc_adapters.opcua.packml import STATES, Packml, state_name
from plc_adapters.opcua.profiles import opened_beside, opener
from plc_adapters.port import LinkLost
from tests.plc_adapters.conftest import Gateway
from tests.plc_adapters.machine_devices import ResultDevice
from tests.plc_adapters.recording_door import RecordingDoor

PACKML = {"state": "s=Packml.State", "produced": "s=Packml.Produced", "defective": "s=Packml.Defective"}


class PackmlDevice(ResultDevice):
    """A machine that shows its PackML state and counts as well."""

    def make(self) -> Any:
        machine = super().make()
        machine.memory |= {"Packml.State": 4, "Packml.Produced": 100, "Packml.Defective": 3}
        return machine

    def _map(self, endpoint: str) -> StationMap:
        station = super()._map(endpoint)
        return StationMap.model_validate({**station.model_dump(), "packml": PACKML})


def _told(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"station": "S-070", **labels}) or 0.0


async def _until(packml: Packml, holds: Any) -> None:
    async with asyncio.timeout(8):
        while not holds():
            await packml.looked.wait()
            packml.looked.clear()


@pytest.mark.parametrize("profile", [PackmlDevice], indirect=True)
async def test_states_and_counts_are_told_over_a_cut(device: Any, door: RecordingDoor, tmp_path: Path) -> None:
    packml = Packml("S-070", device.station.packml, look_every_s=0.02)
    gateway = Gateway(device, lambda station: opened_beside(station, packml), door, tmp_path / "letters")
    produced, defective = _told("gateway_packml_produced_total"), _told("gateway_packml_defective_total")
    gateway.start()
    await _until(packml, lambda: _told("gateway_packml_state", state="Idle") == 1)
    assert _told("gateway_packml_produced_total") == produced, "what was counted before is nobody's shift"
    await device.machine.server.write("Packml.State", 6)
    await device.machine.server.write("Packml.Produced", 110)
    device.cut()
    await _until(packml, lambda: _told("gateway_packml_state", state="Execute") == 1)
    await _until(packml, lambda: _told("gateway_packml_produced_total") == produced + 10)
    assert _told("gateway_packml_state", state="Idle") == 0
    await _until(packml, lambda: _told("gateway_packml_seconds_total", state="Execute") > 0)
    # it counts from the start again
    await device.machine.server.write("Packml.Produced", 2)
    await device.machine.server.write("Packml.Defective", 4)
    await _until(packml, lambda: _told("gateway_packml_produced_total") == produced + 12)
    await _until(packml, lambda: _told("gateway_packml_defective_total") == defective + 1)
    await gateway.kill()
    assert _told("gateway_packml_state", state="Execute") == 0


@pytest.mark.parametrize("profile", [PackmlDevice], indirect=True)
async def test_a_state_the_server_does_not_have_is_named(profile: tuple[Any, Any]) -> None:
    device, _ = profile
    other = {**device.station.model_dump(), "packml": {"state": "s=Packml.Nowhere"}}
    with pytest.raises(LinkLost, match=r"not in the server: s=Packml.Nowhere"):
        async with opener(StationMap.model_validate(other))():
            pass


@pytest.mark.parametrize(
    ("read", "named"),
    [
        (6, "Execute"),
        (17, "Complete"),
        (99, "Undefined"),
        ("EXECUTE", "Execute"),
        (None, "Undefined"),
        (True, "Undefined"),
    ],
)
def test_a_state_is_shown_by_number_or_name(read: Any, named: str) -> None:
    assert state_name(read) == named
    assert len(STATES) == 18
