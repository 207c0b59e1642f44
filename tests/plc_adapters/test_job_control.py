"""Machines that take job orders: what an order says, what a response gives, and that none is given twice."""

from typing import Any

import pytest

from tests.plc_adapters.conftest import Gateway
from tests.plc_adapters.machine_devices import JobDevice
from tests.plc_adapters.recording_door import RecordingDoor

pytestmark = pytest.mark.parametrize("profile", [JobDevice], indirect=True)


async def test_the_permit_is_an_order_and_the_response_the_result(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await device.bring("U-1")
    await device.answered()
    ((job, order),) = device.machine.orders.items()
    assert job == order["JobOrderID"] == door.permits[0].cycle
    assert order["WorkMasterID"] == [{"ID": "W7"}]
    assert {one["ID"]: one["Value"] for one in order["JobOrderParameters"]} == {
        "power_w": 1500.0,
        "RecipeId": "weld@d1",
    }
    digest = "d1" * 32
    trace = {"Time": [0, 1], "Power": [0.0, 1500.0]}
    data = {"Power": [1498.0, 1502.0], "RecipeId": f"weld@{digest}", "Trace": trace}
    await device.machine.work("U-1", data=data, parts=[("CELL", "C-1"), ("CELL", "C-2")])
    await device.taken()
    (report,) = door.reports
    assert (report.cycle, report.recipe_digest) == (job, digest)
    assert report.values == {"power_w": [1498.0, 1502.0]}
    assert [(one.characteristic, one.x, one.y) for one in report.curves] == [("power_curve", [0, 1], [0.0, 1500.0])]
    assert [(one.serial, one.position) for one in report.components] == [("C-1", 1), ("C-2", 2)]


async def test_an_order_asked_for_again_is_not_given_twice(device: Any, door: RecordingDoor, gateway: Gateway) -> None:
    await device.bring("U-1")
    await device.answered()
    device.cut()
    await door.until(lambda: len(door.permits) == 2)
    await device.finish("U-1")
    await device.taken()
    assert {one.cycle for one in door.permits} == {door.reports[0].cycle}
    assert len(door.reports) == 1


@pytest.mark.parametrize("runs", [False, True])
async def test_an_order_that_got_through_though_the_gateway_died_is_known(
    device: Any, door: RecordingDoor, gateway: Gateway, runs: bool
) -> None:
    await device.bring("U-1")
    await device.answered()
    await gateway.kill()
    await device.machine.server.write("Answer.Cycle", "")
    if runs:
        device.machine.running |= set(device.machine.orders)
    gateway.start()
    assert await device.answered() == (True, "U-1")
    assert list(device.machine.orders) == [door.permits[0].cycle]


async def test_a_refused_unit_gets_no_order_and_one_that_left_loses_it(
    device: Any, door: RecordingDoor, gateway: Gateway
) -> None:
    await device.bring("U-1")
    await device.answered()
    door.refuse.add("U-2")
    await device.bring("U-2")
    assert await device.answered() == (False, "U-2")
    assert not device.machine.orders
    assert device.machine.server.read("Answer.Text").startswith("U-2 is on hold")
