"""A file is stored by a few statements, however many rows it has, and every value arrives as it was written."""

from datetime import UTC, datetime

import polars as pl
import pytest

from mes.cells.messages import UnitReceipt
from mes.cells.service import read_receipt, receive_units
from mes.db import Database
from mes.errors import Malformed
from mes.execution.messages import Component
from mes.units import service as units
from tests.build import line as build

RECEIPT = {"part": "CELL-LFP-15", "supplier": "A", "supplier_lot": "1", "country": "CN"}
STORED = """
    SELECT u.serial, u.state, l.number, c.carton, c.ocv_v, c.acir_mohm, c.capacity_ah, c.measured_at
    FROM unit u JOIN lot l ON l.id = u.lot_id LEFT JOIN cell c ON c.unit_id = u.id
    WHERE l.number = $1 ORDER BY u.id
"""


async def _read(plant: Database, lot: str, content: bytes) -> UnitReceipt:
    return await read_receipt(plant, RECEIPT | {"lot": lot}, content, f"{lot}.csv")


async def _stored(plant: Database, lot: str) -> list[tuple[object, ...]]:
    async with plant.reading() as session:
        return [tuple(row) for row in await session.driver.fetch(STORED, lot)]


async def test_the_statements_of_a_receipt_do_not_grow_with_its_rows(
    plant: Database, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "COPY_ROWS", 300)
    sent = []
    for prefix, count in (("W", 1), ("A", 10), ("B", 1000)):
        message = await _read(plant, prefix, build.cell_file(prefix, count))
        statements.clear()
        await plant.transact(receive_units, message, build.ACTOR)
        sent.append([one.partition("_savepoint")[0] for one in statements])  # they are numbered
        assert [row[0] for row in await _stored(plant, prefix)] == [f"{prefix}{n:06}" for n in range(1, count + 1)]
    _, few, many = sent  # the first also reads what stays in memory
    assert few == many
    assert not any("INSERT INTO unit" in one or "FROM unit WHERE serial" in one for one in many)


async def test_what_the_file_says_is_stored_to_the_last_digit(plant: Database) -> None:
    content = (
        f"{build.CELL_HEADINGS}\n"
        'V-1,"K ""1"", left",3.2650000000000006,1e-1,15.123456789012345,2026-10-01T08:00:00.000001+08:00\n'
        '"V-2",,2,100,.1,2026-10-01\n'
    )
    await plant.transact(receive_units, await _read(plant, "V", content.encode()), build.ACTOR)
    first, second = datetime(2026, 10, 1, 0, 0, 0, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
    assert await _stored(plant, "V") == [
        ("V-1", "received", "V", 'K "1", left', 3.2650000000000006, 0.1, 15.123456789012345, first),
        ("V-2", "received", "V", None, 2.0, 100.0, 0.1, second),
    ]


async def test_a_file_of_serials_alone_makes_units_alone(plant: Database) -> None:
    receipt = RECEIPT | {"lot": "H", "part": "HARNESS-16S"}
    message = await read_receipt(plant, receipt, b"Carton;Serial\nK1;H1\n;H2\n", "h.csv")
    await plant.transact(receive_units, message, build.ACTOR)
    assert [row[:4] for row in await _stored(plant, "H")] == [
        ("H1", "received", "H", "K1"),
        ("H2", "received", "H", None),
    ]
    rows = message.rows.select("line", serial=pl.col("serial") + "S")
    message = message.model_copy(update={"lot": "S", "rows": rows})
    await plant.transact(receive_units, message, build.ACTOR)
    async with plant.reading() as session:
        assert await session.driver.fetchval("SELECT count(*) FROM cell") == 2
        assert await session.driver.fetchval("SELECT count(*) FROM unit") == 4


async def test_cells_that_a_station_named_first_get_their_lot_and_their_data(plant: Database) -> None:
    module = (await build.order(plant))["M16S7P"][0]
    heard = [Component(part="CELL-LFP-15", serial=f"A{n:06}", position=n) for n in (2, 4)]
    await build.report(plant, "GC1-040", module, components=heard)
    async with plant.reading() as session:
        before = dict(await session.driver.fetch("SELECT serial, id FROM unit WHERE serial LIKE 'A%'"))
    await plant.transact(receive_units, await _read(plant, "A", build.cell_file("A", 5, carton_of=1)), build.ACTOR)
    stored = await _stored(plant, "A")
    assert sorted((row[0], row[3]) for row in stored) == [(f"A{n:06}", f"AC{n:04}") for n in range(1, 6)]
    async with plant.reading() as session:
        after = dict(await session.driver.fetch("SELECT serial, id FROM unit WHERE serial LIKE 'A%'"))
    assert before.items() < after.items()
    again = build.cell_file("B", 1) + build.cell_file("A", 3).partition(b"\n")[2]
    with pytest.raises(Malformed) as caught:
        await plant.transact(receive_units, await _read(plant, "B", again), build.ACTOR)
    expected = "a serial that was not received before"
    assert caught.value.errors == [
        {"at": f"line {n + 2}", "read": f"A{n:06}", "expected": expected} for n in range(1, 4)
    ]
    assert await _stored(plant, "B") == []
