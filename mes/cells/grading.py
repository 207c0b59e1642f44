"""Records incoming tests, and grades a lot's cells by them."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Double, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.cells.messages import GradeRequest, GradingAnswer, TestAnswer, TestReport
from mes.cells.queries import lock_cells, read_cells
from mes.cells.rules import MEASURED, CellSeen, Graded, count, fails, grade_cell, medians
from mes.cells.sampling import sampling_plan
from mes.db import Session
from mes.errors import Conflict, Malformed
from mes.materials.queries import LotRow, lock_lot_whole
from mes.materials.rules import Event
from mes.materials.service import inspect
from mes.products.cell_rules import IncomingSpec
from mes.products.queries import get_plan, newest_revision
from mes.statement import Prepared

SHOWN = 100


class NoIncomingRules(Conflict):
    """The product file says nothing about how {part} is tested and graded: add `incoming:` to it and apply."""


_TEST = Prepared(
    text(
        f"""
        INSERT INTO cell_test (unit_id, tested_at, is_retest, visual_ok, temperature_c, {", ".join(MEASURED)}, source,
                               recorded_at)
        SELECT r.*, :source, :at
        FROM unnest(:unit_ids, :tested_at, :is_retest, :visual_ok, :temperature_c,
                    {", ".join(f":{name}" for name in MEASURED)}) AS r
        ON CONFLICT (unit_id, tested_at) DO NOTHING
        RETURNING unit_id, tested_at
        """  # noqa: S608 - of constants
    ).bindparams(
        bindparam("unit_ids", type_=ARRAY(BigInteger)),
        bindparam("tested_at", type_=ARRAY(DateTime(timezone=True))),
        bindparam("is_retest", type_=ARRAY(Boolean)),
        bindparam("visual_ok", type_=ARRAY(Boolean)),
        *(bindparam(name, type_=ARRAY(Double)) for name in ("temperature_c", *MEASURED)),
        bindparam("source", type_=Text),
    )
)
_READ = ("is_retest", "visual_ok", "temperature_c", *MEASURED)
_KEPT = Prepared(
    text(
        f"""
        SELECT unit_id, tested_at, {", ".join(_READ)} FROM cell_test
        WHERE (unit_id, tested_at) IN (SELECT * FROM unnest(:unit_ids, :tested_at))
        """  # noqa: S608 - of constants
    ).bindparams(
        bindparam("unit_ids", type_=ARRAY(BigInteger)), bindparam("tested_at", type_=ARRAY(DateTime(timezone=True)))
    )
)
_GRADING = Prepared(
    text(
        """
        WITH ended AS (
            UPDATE cell_grade SET ended_at = :at
            WHERE ended_at IS NULL AND unit_id IN (SELECT id FROM unit WHERE lot_id = :lot_id)),
        grading AS (
            INSERT INTO lot_grading (lot_id, revision_id, graded_at, graded_by, summary, flags)
            VALUES (:lot_id, :revision_id, :at, :graded_by, CAST(:summary AS jsonb), :flags) RETURNING id)
        SELECT id FROM grading
        """
    ).bindparams(
        bindparam("lot_id", type_=BigInteger),
        bindparam("revision_id", type_=BigInteger),
        bindparam("graded_by", type_=Text),
        bindparam("flags", type_=ARRAY(Text)),
    )
)
_COLUMNS = (
    "unit_id",
    "grading_id",
    "grade",
    "reasons",
    "ocv_v",
    "acir_mohm",
    "capacity_ah",
    "k_mv_h",
    "tested_at",
    "graded_at",
)


async def record_tests(session: Session, message: TestReport) -> TestAnswer:
    """Record readings of cells, whole or not at all. A reading of the same cell and time is recorded once."""
    known = await lock_cells(session, [reading.serial for reading in message.readings])
    unknown = [
        {"at": f"reading {n}", "read": reading.serial, "expected": "the serial of a cell that was received"}
        for n, reading in enumerate(message.readings, start=1)
        if reading.serial not in known
    ]
    if unknown:
        raise Malformed(message.source, unknown[:SHOWN])
    readings = message.readings
    rows = await session.run(
        _TEST,
        unit_ids=[known[reading.serial] for reading in readings],
        tested_at=[reading.tested_at for reading in readings],
        is_retest=[reading.is_retest for reading in readings],
        visual_ok=[reading.visual_ok for reading in readings],
        source=message.source,
        **{name: [getattr(reading, name) for reading in readings] for name in ("temperature_c", *MEASURED)},
    )
    await _require_same(session, message, known, {(row["unit_id"], row["tested_at"]) for row in rows})
    return TestAnswer(recorded=len(rows), repeated=len(readings) - len(rows))


async def _require_same(
    session: Session, message: TestReport, known: Mapping[str, int], new: set[tuple[int, datetime]]
) -> None:
    """Take for a repeat what says the same alone: another value of the same time must not be dropped in silence."""
    again = []
    for n, reading in enumerate(message.readings, start=1):
        if (key := (known[reading.serial], reading.tested_at)) in new:
            new.remove(key)  # what comes a second time in one message is a repeat too
        else:
            again.append((n, reading))
    if not again:
        return
    ids, times = [known[r.serial] for _, r in again], [r.tested_at for _, r in again]
    kept = {(row["unit_id"], row["tested_at"]): row for row in await session.run(_KEPT, unit_ids=ids, tested_at=times)}
    others = []
    for n, reading in again:
        row = kept[known[reading.serial], reading.tested_at]
        if differing := [name for name in _READ if row[name] != getattr(reading, name)]:
            read = ", ".join(f"{name} {getattr(reading, name)}" for name in differing)
            before = ", ".join(f"{name} {row[name]}" for name in differing)
            at = f"reading {n}: {reading.serial} at {reading.tested_at}"
            others.append({"at": at, "read": read, "expected": f"{before}, as recorded; or a time of its own"})
    if others:
        raise Malformed(message.source, others[:SHOWN])


async def grade_lot(session: Session, message: GradeRequest) -> GradingAnswer:
    """Grade every cell of a lot by its readings; earlier grades are ended and kept.

    A lot that its sample rejects, or whose cells disagree with its certificate, goes back to quarantine.
    """
    lot = await lock_lot_whole(session, message.lot)
    spec, revision_id, part = await _rules_of(session, lot)
    cells = await read_cells(session, lot.id)
    if not cells:
        raise Malformed(f"Lot {lot.number}", [{"at": "lot", "read": "no cells", "expected": "a lot received by file"}])
    # in a thread: stations are answered while a large lot is judged
    graded, middle, sample = await asyncio.to_thread(_judge, cells, spec)
    flags = [*_certificate_flags(graded), *([sample["flag"]] if sample and sample["flag"] else [])]
    summary = {
        "cells": len(cells),
        "grades": dict(Counter(one.grade for one in graded if one.grade is not None).most_common()),
        "reasons": dict(
            Counter(kind for one in graded for kind in {_kind(reason) for reason in one.reasons}).most_common()
        ),
        "medians": middle,
        "sample": sample,
    }
    rows = await session.run(
        _GRADING,
        lot_id=lot.id,
        revision_id=revision_id,
        graded_by=session.actor.name,
        summary=json.dumps(summary),
        flags=flags,
    )
    await _store(session, rows[0]["id"], graded)
    state = await inspect(session, lot, Event.FAIL) if flags else lot.state
    refused = [{"serial": one.cell.serial, "reasons": list(one.reasons)} for one in graded if one.grade is None]
    session.tell("lot", lot=lot.number, state=str(state))
    return GradingAnswer(
        lot=lot.number,
        part=part,
        state=str(state),
        flags=flags,
        graded=len(graded) - len(refused),
        refused=len(refused),
        shown=refused[:SHOWN],
        **summary,
    )


def _judge(
    cells: Sequence[CellSeen], spec: IncomingSpec
) -> tuple[list[Graded], dict[str, float], dict[str, Any] | None]:
    """Each cell's grade, the lot's medians, and how its sample came out."""
    counted = [count(cell, spec) for cell in cells]
    middle = medians(counted)
    graded = [grade_cell(cell, one, middle, spec) for cell, one in zip(cells, counted, strict=True)]
    return graded, middle, _sample(spec, [one.values for one in counted])


async def _rules_of(session: Session, lot: LotRow) -> tuple[IncomingSpec, int, str]:
    """The newest rules: a cell is bought by its specification, so a changed one holds for what is in stock too."""
    revision_id = await newest_revision(session, lot.part_id)
    plan = await get_plan(session, revision_id) if revision_id is not None else None
    if plan is None or plan.incoming is None or revision_id is None:
        raise NoIncomingRules(part=plan.part if plan else lot.number)
    return plan.incoming, revision_id, plan.part


def _sample(spec: IncomingSpec, values: Sequence[Mapping[str, float]]) -> dict[str, Any] | None:
    """How the sampled readings came out: one plan for the lot, a piece nonconforming in any of them is one."""
    sampled = [reading for reading in spec.readings if reading.is_sampled]
    if spec.sampling is None or not sampled:
        return None
    plan = sampling_plan(len(values), spec.sampling.aql, spec.sampling.level)
    measured = [one for one in values if all(reading.name in one for reading in sampled)]
    bad = sum(any(fails(reading, one[reading.name]) for reading in sampled) for one in measured)
    flag = None
    if len(measured) < plan.size:
        flag = f"sample: {len(measured)} cells measured, {plan.size} are asked (AQL {spec.sampling.aql})"
    elif bad > plan.accepts and len(measured) < len(values):
        flag = f"sample: {bad} of {len(measured)} cells nonconforming, at most {plan.accepts} (AQL {spec.sampling.aql})"
    return {"size": plan.size, "accepts": plan.accepts, "measured": len(measured), "bad": bad, "flag": flag}


def _certificate_flags(graded: Sequence[Graded]) -> list[str]:
    """Which of the certificate's values are not what is measured here."""
    counts = Counter(name for one in graded for name in one.disagrees)
    return [
        f"certificate: {name} of {number} cell{'s' if number > 1 else ''} differs by more than the gauges' error"
        for name, number in sorted(counts.items())
    ]


def _kind(reason: str) -> str:
    """What a reason is about, for counting: its words before the first number."""
    words = reason.split()
    return " ".join(words[: next((n for n, word in enumerate(words) if word[0].isdigit()), len(words))]) or reason


async def _store(session: Session, grading_id: int, graded: Sequence[Graded]) -> None:
    records = [
        (
            one.cell.unit_id,
            grading_id,
            one.grade,
            list(one.reasons),
            *(one.values.get(name) for name in ("ocv_v", "acir_mohm", "capacity_ah")),
            one.k_mv_h,
            one.tested_at,
            session.at,
        )
        for one in graded
    ]
    await session.driver.copy_records_to_table("cell_grade", records=records, columns=_COLUMNS)
