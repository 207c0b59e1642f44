"""What a scanned code says, and what of it is known here."""

from dataclasses import replace

from sqlalchemy import select

from mes.codes.scan import identify, read
from mes.codes.unreadable import Unreadable
from mes.db import ReadSession
from mes.errors import Malformed
from mes.labels.queries import find_labelled
from mes.materials.models import Lot
from mes.products.models import Part
from mes.records.messages import ScanAnswer
from mes.units.models import Unit


async def explain_scan(session: ReadSession, code: str) -> ScanAnswer:
    """Read a code; Malformed says what was read and expected."""
    try:
        scan = read(code)
    except Unreadable as error:
        problem = {"at": "code", "read": code[:120], "expected": str(error)}
        raise Malformed("The code", [problem]) from error
    labelled = await find_labelled(session, scan.serial) if scan.kind == "gbt34014" and scan.serial else None
    scan, known = replace(scan, serial=labelled or scan.serial), None
    for serial, model, column in ((scan.serial, Unit, Unit.serial), (scan.lot, Lot, Lot.number)):
        if known is None and serial is not None:
            found = select(Part.number).join(model, model.part_id == Part.id).where(column == serial)
            known = (await session.execute(found)).scalar_one_or_none()
    part = scan.part or known
    if part is None and scan.serial is not None:
        rows = await session.execute(select(Part.number, Part.serial_pattern).where(Part.serial_pattern.is_not(None)))
        part = identify(scan.serial, {row.number: row.serial_pattern for row in rows})
    return ScanAnswer(
        kind=scan.kind,
        serial=scan.serial,
        lot=scan.lot,
        part=part,
        supplier=scan.supplier,
        supplier_part=scan.supplier_part,
        quantity=scan.quantity,
        sscc=scan.sscc,
        made_on=scan.made_on,
        expires_on=scan.expires_on,
        elements=dict(scan.elements),
        is_known=known is not None,
    )
