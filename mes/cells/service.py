"""Receives a lot of a serialised part with the supplier's file of its units."""

import asyncio
import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
from asyncpg import UniqueViolationError

from mes.cells.files import read_rows
from mes.cells.messages import UnitReceipt, UnitReceiptAnswer
from mes.cells.queries import column_maps, known_serials
from mes.db import Database, Session
from mes.errors import Conflict, Malformed
from mes.materials.messages import LotReceipt
from mes.materials.queries import get_lot
from mes.materials.service import add_lot
from mes.products.queries import get_part
from mes.sheet import SHOWN_ERRORS
from mes.units import service as units


class NotTracedBySerial(Conflict):
    """Part {part} is traced by {trace}: receive it as a lot, without a file of serials."""


class NoColumns(Conflict):
    """The product file says nothing about part {part}'s supplier file: add `receiving:` with its columns and apply."""


async def read_receipt(
    database: Database,
    receipt: dict[str, Any],
    content: bytes,
    file_name: str,
    on_row: Callable[[int], None] = lambda _: None,
) -> UnitReceipt:
    """Read a supplier's file by the columns mapped for its part; nothing is stored yet."""
    async with database.reading() as session:
        columns = await column_maps(session, receipt["part"])
    if not columns:
        raise NoColumns(part=receipt["part"])
    # in a thread: stations are answered while a large file is read
    rows = await asyncio.to_thread(read_rows, content, file_name, columns, on_row)
    digest = hashlib.sha256(content).hexdigest()
    return UnitReceipt.model_validate(receipt | {"file_name": file_name, "file_digest": digest, "rows": rows})


async def receive_units(session: Session, message: UnitReceipt) -> UnitReceiptAnswer:
    """Receive a lot and every unit in its file, whole or not at all."""
    part = await get_part(session, message.part)
    if part.trace != "serial":
        raise NotTracedBySerial(part=part.number, trace=part.trace)
    rows: pl.DataFrame = message.rows
    if message.quantity is not None and int(message.quantity) != rows.height:
        found = {"at": "file", "read": f"{rows.height} rows", "expected": f"{message.quantity:f} as announced"}
        known, _ = await known_serials(session, rows["serial"].to_list(), part.id)
        raise _refusal(message, known, found)
    fields = message.model_dump(include=set(LotReceipt.model_fields)) | {"quantity": Decimal(rows.height)}
    lot_id = await add_lot(session, LotReceipt.model_validate(fields), part.id)
    received = await _receive(session, message, part_id=part.id, lot_id=lot_id)
    if received.width > 1:
        await units.copy(session, "cell", received)
    lot = await get_lot(session, message.lot)
    return UnitReceiptAnswer(lot=message.lot, units=rows.height, state=lot.state)


async def _receive(session: Session, message: UnitReceipt, *, part_id: int, lot_id: int) -> pl.DataFrame:
    """Create the units; their ids, with what the file says of each."""
    rows: pl.DataFrame = message.rows
    said = pl.exclude("line", "serial")
    try:
        ids = await units.receive(session, rows["serial"], part_id=part_id, lot_id=lot_id)
        return rows.select(ids, said)
    except UniqueViolationError:
        # only now is asked which: nearly all files have none
        known, loose = await known_serials(session, rows["serial"].to_list(), part_id)
        if known:
            raise _refusal(message, known) from None
        # a station has named some of them already: they are given their lot now
        new = rows.filter(~pl.col("serial").is_in(loose))
        ids = await units.receive(session, new["serial"], part_id=part_id, lot_id=lot_id)
        adopted = await units.adopt(session, sorted(loose), part_id=part_id, lot_id=lot_id)
        if adopted.keys() != loose:
            raise  # another lot took them meanwhile: the act is run again
        old = rows.filter(pl.col("serial").is_in(loose))
        old_ids = old["serial"].replace_strict(adopted, return_dtype=pl.Int64).alias("unit_id")
        return pl.concat([new.select(ids, said), old.select(old_ids, said)])


def _refusal(message: UnitReceipt, known: set[str], *found: dict[str, str]) -> Malformed:
    rows: pl.DataFrame = message.rows
    received = rows.filter(pl.col("serial").is_in(known)).select("line", "serial").head(SHOWN_ERRORS)
    expected = "a serial that was not received before"
    errors = [{"at": f"line {line}", "read": serial, "expected": expected} for line, serial in received.rows()]
    return Malformed(f"File {message.file_name}", [*found, *errors][:SHOWN_ERRORS])
