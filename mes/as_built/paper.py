"""The as-built record as a PDF, typeset from the record and the pictures of its curves."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import typst

from mes.as_built.messages import AsBuiltRecord
from mes.as_built.service import as_built, with_seals
from mes.db import Database
from mes.records.curve_picture import describe, draw_curve
from mes.records.curves import CurveSeen, see_curves

MOST_DRAWN = 24  # a picture takes a tenth of a second; the paper says how many more there are
_TEMPLATE = (Path(__file__).parent / "record.typ").read_bytes()


async def print_record(database: Database, serial: str, printed_at: datetime) -> bytes:
    """Read a unit's record, verify its seals and typeset it, or raise NotFound."""
    async with database.reading() as session:
        record = await as_built(session, serial)
        last = [step.attempts[-1] for unit in record.units for step in unit.steps if step.attempts]
        kept = [attempt for attempt in last if attempt.curves]
        curves = await see_curves(session, [attempt.cycle_id for attempt in kept], MOST_DRAWN)
    record = await with_seals(database, record)
    total = sum(len(attempt.curves) for unit in record.units for step in unit.steps for attempt in step.attempts)
    return await asyncio.to_thread(typeset, record, curves, total, printed_at)


def typeset(record: AsBuiltRecord, curves: Sequence[CurveSeen], total: int, printed_at: datetime) -> bytes:
    """Typeset a record as PDF: the same bytes for the same record printed at the same time.

    `curves`: those that are drawn, of `total`.
    """
    named = ["; ".join(describe(seen, 0)) for seen in curves]
    pictures = {f"curve-{n}.svg": draw_curve(seen, "svg") for n, seen in enumerate(curves)}
    # when it was read says nothing that the time of printing doesn't
    said = {
        "record": record.model_dump_json(exclude={"read_at"}),
        "pictures": json.dumps({"names": named, "more": total - len(curves)}),
        "printed": f"{printed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
    }
    with TemporaryDirectory() as folder:
        for name, content in {"main.typ": _TEMPLATE, **pictures}.items():
            (Path(folder) / name).write_bytes(content)
        main, at = Path(folder) / "main.typ", printed_at.replace(microsecond=0)
        return typst.compile(main, format="pdf", sys_inputs=said, timestamp=at)
