"""Work orders: their states, the revisions they pin, the serial numbers they issue."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from mes.db import Database
from mes.errors import NotFound
from mes.orders.messages import OrderEvent, OrderRequest
from mes.orders.queries import get_order, serials
from mes.orders.rules import serial_prefix
from mes.orders.service import EventRefused, NotMadeHere, OrderExists, create_order, move_order
from mes.plan.service import apply_files
from tests.build import line as build
from tests.conftest import DEMO_PLANT


async def move(database: Database, order: str, event: str) -> str:
    """Move an order on; its state afterwards."""
    message = OrderEvent.model_validate({"order": order, "event": event})
    return (await database.transact(move_order, message, build.ACTOR)).state


async def test_an_order_goes_through_its_states(plant: Database) -> None:
    request = OrderRequest(order="WO-1", part="GC48-105", quantity=2, priority=1, erp_reference="ERP 7")
    made = await plant.transact(create_order, request, build.ACTOR)
    assert (made.state, made.finished, made.revisions) == ("created", 0, {})
    for event, state in (
        ("release", "released"),
        ("hold", "on_hold"),
        ("resume", "released"),
        ("start", "started"),
        ("complete", "completed"),
        ("close", "closed"),
    ):
        assert await move(plant, "WO-1", event) == state
    with pytest.raises(EventRefused, match="is closed: it can't release"):
        await move(plant, "WO-1", "release")
    async with plant.reading() as session:
        order = await get_order(session, "WO-1")
    assert order.revisions == {"GC48-105": 1, "M16S7P": 1}


async def test_what_cannot_be_ordered_is_refused(plant: Database) -> None:
    with pytest.raises(NotMadeHere):
        await plant.transact(create_order, OrderRequest(order="W", part="SCREW-M5", quantity=1), build.ACTOR)
    with pytest.raises(NotFound):
        await plant.transact(create_order, OrderRequest(order="W", part="NOTHING", quantity=1), build.ACTOR)
    await build.order(plant)
    with pytest.raises(OrderExists):
        await plant.transact(create_order, OrderRequest(order="WO-1", part="M16S7P", quantity=1), build.ACTOR)


async def test_an_order_keeps_the_revision_it_was_released_with(plant: Database, tmp_path: Path) -> None:
    first = await build.order(plant)
    product = next(path for path in DEMO_PLANT if path.name == "gc48-105.yaml")
    changed = tmp_path / "changed.yaml"
    changed.write_text(product.read_text().replace("max: 3.3}", "max: 3.31}"))
    answer = await apply_files(plant, [changed], build.ACTOR)
    assert [(change.name, change.revision) for change in answer.changed] == [("M16S7P", 2)]
    second = await build.order(plant, number="WO-2")
    assert (await build.plan_of(plant, first["M16S7P"][0])).revision == 1
    assert (await build.plan_of(plant, second["M16S7P"][0])).revision == 2


async def test_serials_cost_the_same_statements_however_many(plant: Database, statements: list[str]) -> None:
    counts = []
    for number, quantity in (("WO-1", 10), ("WO-2", 10_000)):
        await plant.transact(create_order, OrderRequest(order=number, part="GC48-105", quantity=quantity), build.ACTOR)
        statements.clear()
        await move(plant, number, "release")
        counts.append(len(statements))
    assert counts[0] >= counts[1], counts
    assert counts[1] <= 20
    async with plant.reading() as session:
        issued = (await serials(session, "WO-2")).serials
    assert {part: len(set(found)) for part, found in issued.items()} == {"GC48-105": 10_000, "M16S7P": 10_000}
    assert all(int(b[-6:]) == int(a[-6:]) + 1 for a, b in pairwise(issued["GC48-105"]))


async def test_two_releases_at_once_give_no_serial_twice(plant: Database) -> None:
    issued = await asyncio.gather(*(build.order(plant, quantity=20, number=f"WO-{n}") for n in range(6)))
    packs = [serial for one in issued for serial in one["GC48-105"]]
    assert len(packs) == len(set(packs)) == 120


@pytest.mark.parametrize("pattern", ["X-{number}", "{number:06}-X", "plain"])
def test_a_pattern_without_its_number_at_the_end_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="must end in"):
        serial_prefix(pattern, build.AT.date())
