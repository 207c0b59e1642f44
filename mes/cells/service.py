"""Receives a lot of a serialised part with the supplier's file of its units."""

import asyncio
import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from mes.cells.files import DATA_FIELDS, SHOWN_ERRORS, read_rows
from mes.cells.messages import SupplierRows, UnitReceipt, UnitReceiptAnswer
from mes.cells.queries import column_maps, known_serials
from mes.db import Database, Session
from mes.errors import Conflict, Malformed
from mes.materials.messages import LotReceipt
from mes.materials.queries import get_lot
from mes.materials.service import add_lot
from mes.products.queries import get_part
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
    rows: SupplierRows = message.rows
    known, to_adopt = await known_serials(session, rows.serials, part.id)
    errors = [
        {"at": f"line {line}", "read": serial, "expected": "a serial that was not received before"}
        for line, serial in _among(rows, known)
    ]
    if message.quantity is not None and int(message.quantity) != len(rows.serials):
        found = {"at": "file", "read": f"{len(rows.serials)} rows", "expected": f"{message.quantity:f} as announced"}
        errors.insert(0, found)
    if errors:
        raise Malformed(f"File {message.file_name}", errors[:SHOWN_ERRORS])
    fields = message.model_dump(include=set(LotReceipt.model_fields)) | {"quantity": Decimal(len(rows.serials))}
    lot_id = await add_lot(session, LotReceipt.model_validate(fields), part.id)
    # a station may have named some of them already: they are given their lot now
    adopted = await units.adopt(session, sorted(to_adopt), part_id=part.id, lot_id=lot_id) if to_adopt else {}
    new = [serial for serial in rows.serials if serial not in adopted]
    received = dict(zip(new, await units.receive(session, new, part_id=part.id, lot_id=lot_id), strict=True))
    ids = [adopted.get(serial) or received[serial] for serial in rows.serials]
    if rows.has_data:
        records = ((unit_id, *cell) for unit_id, cell in zip(ids, rows.cells, strict=True))
        columns = ("unit_id", *DATA_FIELDS)
        await session.driver.copy_records_to_table("cell", records=records, columns=columns)
    lot = await get_lot(session, message.lot)
    return UnitReceiptAnswer(lot=message.lot, units=len(ids), state=lot.state)


def _among(rows: SupplierRows, known: set[str]) -> list[tuple[int, str]]:
    if not known:
        return []
    return [(line, serial) for line, serial in zip(rows.lines, rows.serials, strict=True) if serial in known]
