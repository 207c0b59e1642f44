"""Deliveries: announced, carton by carton, scanned, and short in the end."""

import pytest

from mes.db import Database
from mes.errors import Malformed, NotFound
from mes.materials.deliveries import (
    CartonArrived,
    CartonUnknown,
    DeliveryClosed,
    DeliveryExists,
    announce_delivery,
    close_delivery,
    scan_carton,
)
from mes.materials.messages import CartonArrival, CartonLine, DeliveryClosing, DeliveryNotice
from mes.plan.service import apply_plan
from mes.sheet import messages
from tests.build import line as build
from tests.build import matched


def notice(number: str = "D1", cartons: int = 3, **more: str) -> DeliveryNotice:
    """A notice of cartons of 10 cells each."""
    line = {"part": "CELL", "supplier_lot": "S-L1", "quantity": 10} | more
    lines = [CartonLine(code=f"{number}-B{n}", **line) for n in range(1, cartons + 1)]
    return DeliveryNotice(delivery=number, supplier="Acme", file_name="a.csv", file_digest="0" * 64, cartons=lines)


async def scan(database: Database, code: str, **more: object) -> tuple[int, int]:
    """Scan a carton; how many have arrived and are awaited."""
    answer = await database.transact(scan_carton, CartonArrival(code=code, **more), build.ACTOR)
    return answer.arrived, answer.awaited


async def test_cartons_arrive_one_by_one_and_the_rest_is_short(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    announced = await database.transact(announce_delivery, notice(), build.ACTOR)
    assert (announced.arrived, announced.awaited, announced.missing) == (0, 3, ["D1-B1", "D1-B2", "D1-B3"])
    assert await scan(database, "D1-B2") == (1, 2)
    assert await scan(database, "D1-B1", is_damaged=True, note="wet") == (2, 1)
    await matched.receive(database, "L1", 20)
    closed = await database.transact(close_delivery, DeliveryClosing(delivery="D1"), build.ACTOR)
    assert (closed.missing, closed.damaged) == (["D1-B3"], ["D1-B1"])
    (lot,) = closed.lots
    assert (lot.announced, lot.arrived, lot.received) == (30, 20, 20)
    with pytest.raises(DeliveryClosed, match="what arrives after that is announced anew"):
        await scan(database, "D1-B3")
    with pytest.raises(DeliveryClosed):
        await database.transact(close_delivery, DeliveryClosing(delivery="D1"), build.ACTOR)


async def test_a_lot_of_another_supplier_balances_nothing(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    await database.transact(announce_delivery, notice(), build.ACTOR)
    content = b"Serial,Carton,OCV,ACIR,Ah\nX1,B1,3.2,2.2,15\n"
    await build.receive_file(database, "L1", "CELL", content, supplier="Other", supplier_lot="S-L1")
    answer = await database.transact(close_delivery, DeliveryClosing(delivery="D1"), build.ACTOR)
    assert [(lot.announced, lot.received) for lot in answer.lots] == [(30, 0)]


async def test_a_wrong_scan_says_what_to_do(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    await database.transact(announce_delivery, notice(), build.ACTOR)
    with pytest.raises(CartonUnknown, match=r"Carton D1-B9 is in no notice\..*3 cartons are still awaited"):
        await scan(database, "D1-B9")
    await scan(database, "D1-B1")
    with pytest.raises(CartonArrived, match=r"was scanned at .* already, by builder"):
        await scan(database, "D1-B1")
    with pytest.raises(NotFound, match="There is no delivery D7"):
        await database.transact(close_delivery, DeliveryClosing(delivery="D7"), build.ACTOR)


async def test_a_notice_is_taken_whole_or_not_at_all(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    await database.transact(announce_delivery, notice(), build.ACTOR)
    with pytest.raises(DeliveryExists):
        await database.transact(announce_delivery, notice(), build.ACTOR)
    again = notice("D2").model_copy(update={"cartons": [*notice("D2").cartons, *notice().cartons[:1]]})
    with pytest.raises(Malformed) as caught:
        await database.transact(announce_delivery, again, build.ACTOR)
    expected = "a carton that no notice has named; D1 has"
    assert caught.value.errors == [{"at": "carton 4", "read": "D1-B1", "expected": expected}]
    twice = notice("D3").model_copy(update={"cartons": notice("D3").cartons * 2})
    with pytest.raises(Malformed) as caught:
        await database.transact(announce_delivery, twice, build.ACTOR)
    assert {error["expected"] for error in caught.value.errors} == {"each carton once"}
    with pytest.raises(NotFound, match="There is no part NOPE"):
        await database.transact(announce_delivery, notice("D4", part="NOPE"), build.ACTOR)


def test_a_file_is_read_row_by_row() -> None:
    table = b"Carton;Part;Lot;Qty\nB1;CELL;S1;160\n;;;\nB2;CELL;S1;80\n"
    headings = {"code": "carton", "part": "part", "supplier_lot": "lot", "quantity": "qty"}
    rows = messages(table, "notice.csv", CartonLine, headings)
    assert [(row.code, float(row.quantity)) for row in rows] == [("B1", 160), ("B2", 80)]
    with pytest.raises(Malformed) as caught:
        messages(table.replace(b"160", b"-1").replace(b"B2", b"?"), "notice.csv", CartonLine, headings)
    assert [(error["at"], error["read"]) for error in caught.value.errors] == [("line 2", "-1"), ("line 4", "?")]
    with pytest.raises(Malformed) as caught:
        messages(b"code,part\n", "n.csv", CartonLine, {})
    wanted = ["one column headed 'supplier_lot'", "one column headed 'quantity'"]
    assert [error["expected"] for error in caught.value.errors] == wanted
    with pytest.raises(Malformed, match=r"n\.csv"):
        messages(b"", "n.csv", CartonLine, {})
