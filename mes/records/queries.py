"""Reads a unit's history, whole."""

import json
from typing import Any

from sqlalchemy import BigInteger, bindparam, select, text

from mes.cells.models import Cell
from mes.db import ReadSession
from mes.execution.queries import list_waivers
from mes.genealogy.messages import Place
from mes.genealogy.queries import places
from mes.materials.models import Lot
from mes.orders.models import WorkOrder
from mes.products.models import Part
from mes.products.queries import get_plan
from mes.products.rules import StepPlan
from mes.quality.queries import dispositions, holds
from mes.records.messages import CycleRecord, History, RefusalRecord
from mes.shipping.queries import crate_stays
from mes.statement import Prepared
from mes.units.queries import get_unit

_CYCLES = Prepared(
    text(
        """
        SELECT s.code AS station, p.operation, p.name, c.cycle, c.verdict, c.station_verdict, c.started_at, c.ended_at,
               c.reported_at, t.code AS tool, c.program_revision, c.operator, c.second_operator,
               c.waivers, c.answer::text, c.step_id, m.numbers,
               m.texts
        FROM cycle c JOIN station s ON s.id = c.station_id JOIN step p ON p.id = c.step_id
        LEFT JOIN tool t ON t.id = c.tool_id
        LEFT JOIN measurement m ON m.cycle_id = c.id AND m.at = c.reported_at
        WHERE c.unit_id = :unit_id ORDER BY c.id
        """
    ).bindparams(bindparam("unit_id", type_=BigInteger))
)
_REFUSALS = Prepared(
    text(
        """
        SELECT s.code AS station, p.cycle, p.asked_at, p.refusals,
               p.facts ->> 'details' AS details FROM permit p JOIN station s ON s.id = p.station_id
        WHERE p.unit_id = :unit_id AND NOT p.granted ORDER BY p.id
        """
    ).bindparams(bindparam("unit_id", type_=BigInteger))
)


async def history(session: ReadSession, serial: str) -> History:
    """All that is recorded of one unit, or raise NotFound."""
    unit = await get_unit(session, serial)
    part = (await session.execute(select(Part.number).where(Part.id == unit.part_id))).scalar_one()
    order = lot = revision = None
    steps: dict[int, StepPlan] = {}
    if unit.order_id and unit.revision_id:
        order = (await session.execute(select(WorkOrder.number).where(WorkOrder.id == unit.order_id))).scalar_one()
        plan = await get_plan(session, unit.revision_id)
        steps, revision = {step.id: step for step in plan.steps.values()}, plan.revision
    if unit.lot_id:
        lot = (await session.execute(select(Lot.number).where(Lot.id == unit.lot_id))).scalar_one()
    supplied = (await session.execute(select(Cell.__table__).where(Cell.unit_id == unit.id))).mappings().one_or_none()
    data = {k: v.isoformat() if k == "measured_at" and v else v for k, v in (supplied or {}).items()}
    data.pop("unit_id", None)
    return History(
        serial=serial,
        part=part,
        revision=revision,
        state=unit.state,
        order=order,
        lot=lot,
        carton=data.pop("carton", None),
        supplier_data=data,
        cycles=[_cycle(row, steps) for row in await session.run(_CYCLES, unit_id=unit.id)],
        refusals=[
            RefusalRecord(
                station=row["station"],
                cycle=row["cycle"],
                asked_at=row["asked_at"],
                reasons=row["refusals"],
                details=json.loads(row["details"] or "{}"),
            )
            for row in await session.run(_REFUSALS, unit_id=unit.id)
        ],
        places=[
            Place(
                parent=edge.serial or "unknown",
                part=edge.part,
                position=edge.position,
                installed_at=edge.installed_at,
                removed_at=edge.removed_at,
            )
            for edge in await places(session, unit.id)
        ],
        holds=await holds(session, serial=serial, open_only=False),
        dispositions=await dispositions(session, unit.id),
        waivers=await list_waivers(session, unit_id=unit.id),
        crates=await crate_stays(session, unit.id),
    )


def _cycle(row: Any, steps: dict[int, StepPlan]) -> CycleRecord:
    answer = json.loads(row["answer"])
    step = steps.get(row["step_id"])
    values: dict[str, list[float | str | None]] = {}
    for c in step.characteristics if step else ():
        if c.kind != "curve":
            stored = row["texts"] if c.kind == "text" else row["numbers"]
            values[c.name] = list((stored or [])[c.offset : c.offset + c.count])
    names = ("station", "operation", "name", "cycle", "verdict", "station_verdict", "started_at", "ended_at")
    more = ("reported_at", "tool", "program_revision", "operator", "second_operator", "waivers")
    return CycleRecord(
        **{name: row[name] for name in (*names, *more)},
        failure_count=answer["failure_count"],
        failures=answer["failures"],
        findings=answer["findings"],
        values=values,
    )
