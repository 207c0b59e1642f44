"""Puts the as-built record together, in as many statements whatever the unit's size."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import quote

from mes import clock
from mes.as_built import queries
from mes.as_built.messages import (
    ArticleKept,
    AsBuiltRecord,
    Attempt,
    CurveKept,
    Gap,
    SealsSeen,
    Share,
    StepRecord,
    StepState,
    UnitBuilt,
    Values,
)
from mes.as_built.rules import Checked, Missing, add_up, check_steps, check_values, components_asked
from mes.db import Database, ReadSession
from mes.execution.rules.progress import Progress, StepSeen
from mes.genealogy.queries import Edge, content, documents_asked, undocumented
from mes.genealogy.trace import FOREVER, lacking_of, trace
from mes.products.queries import get_plan
from mes.products.rules import ProductPlan, StepPlan
from mes.seal.verify import verify_unit
from mes.shipping.queries import crate_stays
from mes.units.queries import get_unit


@dataclass(frozen=True, slots=True)
class _Work:
    """What was done on one unit: its plan, if it is made here, and its steps with their cycles."""

    row: Any
    plan: ProductPlan | None
    steps: list[StepRecord]


async def as_built(session: ReadSession, serial: str) -> AsBuiltRecord:
    """All that is known of one unit and of what is in it now, or raise NotFound."""
    unit = await get_unit(session, serial)
    traced = await trace(session, serial)
    edges = await content(session, unit.id, FOREVER)
    fitted = {edge.child_id: edge for edge in edges if edge.child_id is not None}
    known = await queries.units(session, {unit.id, *fitted})
    worked_on = [unit.id, *(id_ for id_ in fitted if known[id_]["revision_id"] is not None)]
    cycles = await queries.cycles(session, worked_on)
    cycle_ids = [row["id"] for row in cycles]
    works = await _works(session, known, worked_on, cycles, await queries.curves(session, cycle_ids))
    gone, gone_ids = await queries.removed(session, worked_on)
    papers = sorted({kind for work in works.values() for kind in _papers(work.plan)})
    lots = sorted({*traced.lots, *filter(None, (row["lot"] for row in known.values()))})
    found_lots, lot_ids = await queries.lots(session, lots)
    checked = _check(known, works, edges, unit.id)
    checked[unit.id].append(
        Checked(
            "document",
            await documents_asked(session, papers, unit.id),
            [Missing("document", text) for text in await undocumented(session, papers, unit_id=unit.id)],
        )
    )
    return AsBuiltRecord(
        read_at=clock.now(),
        serial=serial,
        part=known[unit.id]["part"],
        shares=[Share(kind=k, asked=a, known=n, known_pct=p) for k, a, n, p in add_up(chain(*checked.values()))],
        gaps=[_gap(known[id_], missing) for id_, of in checked.items() for one in of for missing in one.missing],
        labels=await queries.labels(session, unit.id),
        places=traced.places,
        crates=await crate_stays(session, unit.id),
        tree=traced.tree,
        units=[_built(work, fitted.get(id_), known) for id_, work in works.items()],
        removed=gone,
        lots=found_lots,
        holds=await queries.holds_on(
            session,
            unit_ids=known,
            lot_ids=lot_ids,
            order_ids={row["order_id"] for row in known.values() if row["order_id"] is not None},
        ),
        dispositions=await queries.decisions(session, {*known, *gone_ids}),
        waivers=await queries.waivers(session, worked_on),
        signals=await queries.signals(session, cycle_ids),
    )


async def with_seals(database: Database, record: AsBuiltRecord) -> AsBuiltRecord:
    """The same record with the seals of its rows verified: that takes longer than reading it."""
    verdict = await verify_unit(database, record.serial)
    seen = SealsSeen(
        fits=verdict.misfit is None,
        rows=verdict.rows,
        seals=verdict.seals,
        unsealed=verdict.unsealed,
        misfit=verdict.misfit,
    )
    return record.model_copy(update={"seals": seen})


def _papers(plan: ProductPlan | None) -> set[str]:
    """The kinds of documents that a made unit's route asks of each lot in it."""
    return {kind for step in plan.steps.values() for kind in step.conditions.documents} if plan else set()


def _gap(row: Any, missing: Missing) -> Gap:
    return Gap(kind=missing.kind, serial=row["serial"], part=row["part"], text=missing.text, count=missing.count)


def _check(
    known: Mapping[int, Any], works: Mapping[int, _Work], edges: Sequence[Edge], root: int
) -> dict[int, list[Checked]]:
    """What the plan of each unit asks for, by unit, the record's own first."""
    inside: defaultdict[int, list[Edge]] = defaultdict(list)
    for edge in edges:
        inside[edge.parent_id].append(edge)
    checked: dict[int, list[Checked]] = {root: []}
    for id_, work in works.items():
        if work.plan is None:
            continue
        last = {step.operation: step.state for step in work.steps if step.attempts}
        counts = {step.operation: _counted(step.attempts[-1]) for step in work.steps if step.attempts}
        lacking = [Missing("component", one.text, one.count) for one in lacking_of(work.plan, inside[id_])]
        checked[id_] = [
            Checked("component", components_asked(work.plan), lacking),
            check_steps(work.plan, last),
            check_values(work.plan, counts),
        ]
    for id_, row in known.items():
        if row["revision_id"] is None:
            bare = [Missing("origin", "its lot is not known")] if row["lot"] is None else []
            checked.setdefault(id_, []).append(Checked("origin", 1, bare))
    return checked


def _counted(attempt: Attempt) -> dict[str, int]:
    """How many values and curves a cycle has, by characteristic."""
    counts: defaultdict[str, int] = defaultdict(int)
    for one in attempt.values:
        counts[one.name] = len(one.values) - one.missing
    for curve in attempt.curves:
        counts[curve.characteristic] += 1
    return counts


async def _works(
    session: ReadSession, known: Mapping[int, Any], ids: Sequence[int], cycles: Sequence[Any], curves: Sequence[Any]
) -> dict[int, _Work]:
    """The steps of each unit, in the order of its route; of a unit that isn't made here, those done on it."""
    opened = await queries.reworks(session, ids)
    by_unit: defaultdict[int, list[Any]] = defaultdict(list)
    for row in cycles:
        by_unit[row["unit_id"]].append(row)
    drawn: defaultdict[int, list[Any]] = defaultdict(list)
    for row in curves:
        drawn[row["cycle_id"]].append(row)
    works = {}
    for id_ in ids:
        row, done = known[id_], by_unit[id_]
        plan = await get_plan(session, row["revision_id"]) if row["revision_id"] is not None else None
        read = plan or (await get_plan(session, done[-1]["revision_id"]) if done else None)
        reworks = {operation: after for (unit_id, operation), after in opened.items() if unit_id == id_}
        works[id_] = _Work(row, plan, _steps(row["serial"], read, plan is not None, done, drawn, reworks))
    return works


def _steps(
    serial: str,
    plan: ProductPlan | None,
    is_made: bool,
    done: Sequence[Any],
    drawn: Mapping[int, Sequence[Any]],
    reworks: Mapping[str, int],
) -> list[StepRecord]:
    if plan is None:
        return []
    by_step: defaultdict[int, list[Any]] = defaultdict(list)
    for row in done:
        by_step[row["step_id"]].append(row)
    seen = {
        id_: StepSeen([row["id"] for row in rows], [row["verdict"] == "passed" for row in rows])
        for id_, rows in by_step.items()
    }
    stands = Progress(plan.steps, seen, reworks, None).passed
    return [
        StepRecord(
            operation=step.operation,
            name=step.name,
            is_rework=bool(step.conditions.rework_of),
            state=_state(by_step[step.id], step.operation in stands),
            recipe=step.recipe.name if step.recipe else None,
            recipe_digest=step.recipe.digest if step.recipe else None,
            attempts=[_attempt(serial, step, row, drawn.get(row["id"], ())) for row in by_step[step.id]],
        )
        for step in plan.steps.values()
        if by_step[step.id] or (is_made and step.is_main)
    ]


def _state(rows: Sequence[Any], stands: bool) -> StepState:
    if not rows:
        return "replaced" if stands else "not_reported"
    if rows[-1]["verdict"] == "failed":
        return "failed"
    return "passed" if stands else "void"


def _attempt(serial: str, step: StepPlan, row: Any, curves: Sequence[Any]) -> Attempt:
    names = ("cycle", "station", "verdict", "station_verdict", "started_at", "ended_at", "reported_at", "tool")
    more = ("program_revision", "operator", "second_operator", "waivers")
    at = f"/api/units/{quote(serial, safe='')}/curves/{row['id']}"
    signed = {name: row[name] for name in ArticleKept.model_fields}
    return Attempt(
        cycle_id=row["id"],
        **{name: row[name] for name in (*names, *more)},
        findings=json.loads(row["findings"] or "[]"),
        first_article=ArticleKept(**signed) if row["why"] is not None else None,
        values=_values(step, row),
        curves=[
            CurveKept(
                **{name: curve[name] for name in ("characteristic", "unit", "ordinal", "points")},
                picture=f"{at}/{quote(curve['characteristic'], safe='')}/{curve['ordinal']}.png",
            )
            for curve in curves
        ],
    )


def _values(step: StepPlan, row: Any) -> list[Values]:
    found = []
    failed = set(row["failed"] or ())
    for c in step.characteristics:
        if c.kind == "curve":
            continue
        stored = (row["texts"] if c.kind == "text" else row["numbers"]) or []
        shift = c.offset + (step.number_count if c.kind == "text" else 0)
        values = [*stored[c.offset : c.offset + c.count]]
        values += [None] * (c.count - len(values))
        found.append(
            Values(
                name=c.name,
                kind=c.kind,
                unit=c.unit,
                lower=c.lower,
                upper=c.upper,
                expected=c.expected,
                values=values,
                failed=[n for n in range(1, c.count + 1) if shift + n - 1 in failed],
                missing=sum(value is None for value in values),
            )
        )
    return found


def _built(work: _Work, edge: Edge | None, known: Mapping[int, Any]) -> UnitBuilt:
    row = work.row
    ids = {"id", "revision_id", "order_id", "lot_id"}
    parent = known[edge.parent_id]["serial"] if edge else None
    kept = {name: value for name, value in row.items() if name not in ids}
    return UnitBuilt(**kept, parent=parent, position=edge.position if edge else None, steps=work.steps)
