"""A lot is received with its file whole, or nothing of it stays behind."""

from decimal import Decimal

import pytest

from mes.cells.service import NoColumns, NotTracedBySerial, read_receipt, receive_units
from mes.db import Database
from mes.errors import Malformed
from mes.materials.messages import Document, LotReceipt
from mes.materials.queries import describe_lot
from mes.materials.service import LotExists, NotTracedByLot, receive_lot
from tests.build import line as build


async def _counts(database: Database) -> tuple[int, ...]:
    async with database.reading() as session:
        row = await session.driver.fetchrow(
            "SELECT (SELECT count(*) FROM lot), (SELECT count(*) FROM unit), (SELECT count(*) FROM cell)"
        )
    return tuple(row)


async def test_a_refused_file_leaves_nothing_behind(plant: Database) -> None:
    good = build.cell_file("A", 100)
    await build.receive_file(plant, "LOT-1", "CELL-LFP-15", good)
    before = await _counts(plant)
    assert before == (1, 100, 100)
    with pytest.raises(Malformed) as known:
        await build.receive_file(plant, "LOT-2", "CELL-LFP-15", build.cell_file("B", 50) + good.splitlines()[7] + b"\n")
    assert known.value.errors == [
        {"at": "line 52", "read": "A000007", "expected": "a serial that was not received before"}
    ]
    with pytest.raises(Malformed) as announced:
        await build.receive_file(plant, "LOT-2", "CELL-LFP-15", build.cell_file("B", 50), quantity=Decimal(60))
    assert announced.value.errors[0]["expected"] == "60 as announced"
    with pytest.raises(LotExists):
        await build.receive_file(plant, "LOT-1", "CELL-LFP-15", build.cell_file("C", 5))
    with pytest.raises((NotTracedBySerial, NoColumns)):
        await build.receive_file(plant, "LOT-2", "FUSE", b"Serial\nF1\n")
    assert await _counts(plant) == before


async def test_a_lot_comes_with_its_documents(plant: Database) -> None:
    paper = Document(kind="certificate", file_name="coc 1.pdf", content="JVBERg==")
    receipt = LotReceipt(
        lot="G-1",
        part="ADHESIVE-2K",
        quantity=Decimal("25.5"),
        supplier="Glue Inc",
        supplier_lot="9",
        country="US",
        documents=[paper],
    )
    await plant.transact(receive_lot, receipt, build.ACTOR)
    async with plant.reading() as session:
        lot = await describe_lot(session, "G-1")
        kept = await session.driver.fetchrow("SELECT content, digest FROM lot_document")
        journaled = await session.driver.fetchval("SELECT message::text FROM act WHERE name = 'materials.receive_lot'")
    assert (lot.quantity, lot.left, lot.state) == (25.5, 25.5, "released")
    assert kept["content"] == b"%PDF"
    assert "JVBERg" not in journaled
    with pytest.raises(NotTracedByLot):
        await plant.transact(receive_lot, receipt.model_copy(update={"part": "BMS-16S"}), build.ACTOR)


async def test_a_lot_of_100_000_cells_is_one_transaction_of_few_statements(
    plant: Database, statements: list[str]
) -> None:
    receipt = {"lot": "BIG", "part": "CELL-LFP-15", "supplier": "A", "supplier_lot": "1", "country": "CN"}
    message = await read_receipt(plant, receipt, build.cell_file("X", 100_000), "big.csv")
    statements.clear()
    answer = await plant.transact(receive_units, message, build.ACTOR)
    assert (answer.units, answer.state) == (100_000, "quarantined")
    assert len(statements) <= 12, statements
    assert await _counts(plant) == (1, 100_000, 100_000)
