"""Machines with Result Transfer: what is taken of a result, and machines of the first edition that never forget."""

from typing import Any

import pytest

from tests.plc_adapters.conftest import Gateway
from tests.plc_adapters.machine_devices import ResultDevice
from tests.plc_adapters.recording_door import RecordingDoor


class FirstEdition(ResultDevice):
    """A machine that has no AcknowledgeResults."""

    settings = {**ResultDevice.settings, "acknowledges": False}

    def make(self) -> Any:
        machine = super().make()
        machine.acknowledges = False
        return machine


@pytest.mark.parametrize("profile", [ResultDevice], indirect=True)
async def test_values_curves_and_parts_are_taken_where_the_mapping_says(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    content = [
        {"Leak": 0.1, "Seal": "SEAL-1", "Curve": {"Time": [0, 1], "Pressure": [50.0, 49.9]}},
        {"Leak": 0.2, "Seal": "SEAL-2", "Curve": {"Time": [0, 1], "Pressure": [50.0, 49.8]}},
    ]
    await device.machine.work("U-1", content=content)
    await device.taken()
    (report,) = door.reports
    assert report.values == {"leak_mbar": [0.1, 0.2]}
    assert [(one.ordinal, one.x, one.y) for one in report.curves] == [
        (1, [0, 1], [50.0, 49.9]),
        (2, [0, 1], [50.0, 49.8]),
    ]
    assert [(one.part, one.serial, one.position) for one in report.components] == [
        ("SEAL", "SEAL-1", 1),
        ("SEAL", "SEAL-2", 2),
    ]


@pytest.mark.parametrize("profile", [ResultDevice], indirect=True)
async def test_results_come_in_order_and_every_handle_is_released(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await gateway.kill()
    held = device.machine.handles
    for nth in range(5):
        await device.machine.work(f"U-{nth}")
    gateway.start()
    await device.taken()
    assert [report.serial for report in door.reports] == [f"U-{nth}" for nth in range(5)]
    assert device.machine.handles - held <= 1, "the last list's, at most"


@pytest.mark.parametrize("profile", [FirstEdition], indirect=True)
async def test_a_machine_that_never_forgets_is_read_once(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    for nth in range(3):
        await device.machine.work(f"U-{nth}")
    await door.until(lambda: len(door.reports) == 3)
    await gateway.kill()
    await device.machine.work("U-3")
    gateway.start()
    await door.until(lambda: len(door.reports) == 4)
    assert [report.serial for report in door.reports] == [f"U-{nth}" for nth in range(4)]
    assert len(set(door.tries)) == 4, "told again after a reconnect, under the same numbers"
