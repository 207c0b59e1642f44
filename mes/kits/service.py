"""Matches cells into kits, binds kits to units, gives them back, and notes what was fitted of them."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, exists, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from mes.cells.matching.kits import match
from mes.cells.matching.pool import Goals, Matched, PoolCell
from mes.db import Session
from mes.errors import Conflict, Malformed
from mes.genealogy.models import Installation
from mes.kits.messages import CellAssignment, GoalAnswer, KitContent, KitRelease, MatchAnswer, MatchRequest
from mes.kits.models import Kit, KitCell
from mes.kits.queries import (
    POOL_CELLS,
    fitted_at,
    get_kit,
    kit_cells,
    list_kits,
    lock_chosen,
    lock_kit,
    lock_matching,
    lot_numbers,
    pool,
    read_kit,
    serials_of,
    units_without_kit,
    useless_lots,
)
from mes.kits.rules import KitSeen, judge_slots, kitted, placed, rules_of, shape_of
from mes.products.queries import get_part, get_plan, newest_revision
from mes.statement import Prepared
from mes.units.queries import get_unit


class NoMatchingRules(Conflict):
    """The product file of {part} says nothing about matching: add `matching:` to it and apply."""


class NothingToKit(Conflict):
    """Order {order} has no piece that waits for a kit: each has one, has cells already, or needs none."""


class KitNotReserved(Conflict):
    """Kit {kit} is {state}: there is nothing in it to change or to give back."""


class PoolChanged(Conflict):
    """While kits were matched, {changed} changed: held, split off, graded anew, or fitted. Nothing is reserved: match
    again."""


class CellNotFree(Conflict):
    """{serial} can't be put at position {position} of kit {kit}: {why}."""


SHOWN = 10
_FITTED = (
    bindparam("kit_id", type_=BigInteger),
    bindparam("positions", type_=ARRAY(BigInteger)),
    bindparam("units", type_=ARRAY(BigInteger)),
)
_MAKE = Prepared(
    text(
        """
        INSERT INTO kit (number, revision_id, unit_id, state, figures, made_at, made_by)
        SELECT 'K-' || lpad(nextval('kit_number_seq')::text, 6, '0'), r.revision_id, r.unit_id, 'reserved', r.figures,
               :at, :made_by
        FROM ROWS FROM (jsonb_to_recordset(CAST(:rows AS jsonb)) AS (revision_id bigint, unit_id bigint, figures jsonb))
             WITH ORDINALITY AS r (revision_id, unit_id, figures, n) ORDER BY r.n
        RETURNING id, number
        """
    ).bindparams(bindparam("made_by", type_=Text))
)
_LEAVE = Prepared(
    text(
        """
        UPDATE kit_cell k SET ended_at = :at, ended_by = :why
        FROM unnest(:positions, :units) AS f (position, unit_id)
        WHERE k.ended_at IS NULL AND ((k.kit_id = :kit_id AND k.position = f.position) OR k.unit_id = f.unit_id)
          AND NOT (k.kit_id = :kit_id AND k.position = f.position AND k.unit_id = f.unit_id)
        """
    ).bindparams(bindparam("why", type_=Text), *_FITTED)
)
_ENTER = Prepared(
    text(
        """
        INSERT INTO kit_cell (kit_id, position, unit_id, taken_at)
        SELECT :kit_id, f.position, f.unit_id, :at FROM unnest(:positions, :units) AS f (position, unit_id)
        WHERE NOT EXISTS (SELECT FROM kit_cell k WHERE k.ended_at IS NULL AND k.kit_id = :kit_id
                          AND k.position = f.position AND k.unit_id = f.unit_id)
        """
    ).bindparams(*_FITTED)
)


async def match_cells(session: Session, message: MatchRequest) -> MatchAnswer:
    """Choose cells from the pool and reserve them in kits, for the pieces of an order or for stock."""
    units = await _pieces(session, message)
    revision_id = units[0][1]
    plan = await get_plan(session, revision_id)
    if plan.matching is None:
        raise NoMatchingRules(part=plan.part)
    item = kitted(plan)
    await lock_matching(session, item.part_id)
    cells = await pool(session, item.part_id, message.lots)
    wanted = len(units) if message.order else message.kits
    wanted = min(filter(None, (wanted, message.kits)), default=None)
    goals = Goals(together=message.together)
    # in a thread: stations are answered while a large pool is matched
    found = await asyncio.to_thread(match, cells, shape_of(item), rules_of(plan.matching), wanted, goals)
    cut = [f"only {POOL_CELLS} cells were looked at: name the lots to choose from"] if len(cells) == POOL_CELLS else []
    places = units[: len(found.kits)] if message.order else [(None, revision_id)] * len(found.kits)
    await _keep(session, message, item.part_id, found, cells, [unit for unit, _ in places if unit is not None])
    numbers = await _reserve(session, found, places)
    session.tell("kits", part=plan.part, kits=len(numbers))
    return MatchAnswer(
        part=plan.part,
        pool=len(cells),
        kits=await list_kits(session, numbers),
        goals=_goals(found),
        left=dict(Counter(found.left.values()).most_common()),
        notes=[*found.notes, *cut, *await useless_lots(session, item.part_id, message.lots)],
    )


async def _pieces(session: Session, message: MatchRequest) -> Sequence[tuple[int | None, int]]:
    """The pieces to make kits for: (unit, revision) each; for stock one without a unit."""
    if (message.order is None) == (message.part is None):
        problem = {"at": "order, part", "read": "both or neither", "expected": "an order, or the part to make kits for"}
        raise Malformed("The request", [problem])
    if message.part is not None:
        part = await get_part(session, message.part)
        revision_id = await newest_revision(session, part.id)
        if revision_id is None:
            raise NoMatchingRules(part=message.part)
        return [(None, revision_id)]
    waiting = await units_without_kit(session, message.order or "")
    plans = {revision: await get_plan(session, revision) for _, revision in waiting}
    units = [(unit, revision) for unit, revision in waiting if plans[revision].matching is not None]
    if not units:
        raise NothingToKit(order=message.order)
    return [one for one in units if one[1] == units[0][1]]


async def _keep(
    session: Session,
    message: MatchRequest,
    part_id: int,
    found: Matched,
    cells: Sequence[PoolCell],
    pieces: Sequence[int],
) -> None:
    """Lock what was chosen, and see that it is as it was chosen: the plant didn't wait for the matching."""
    ids = {cell for kit in found.kits for cell in kit.cells}
    chosen = {cell.id: cell for cell in cells if cell.id in ids}
    lots = await lot_numbers(session, list({lot for kit in found.kits for lot in kit.lots}))
    await lock_chosen(session, list(lots), [*chosen, *pieces])
    now = {cell.id: cell for cell in await pool(session, part_id, list(lots.values()), list(chosen))}
    changed = [id_ for id_, cell in chosen.items() if id_ not in now or replace(now[id_], age_d=cell.age_d) != cell]
    if pieces:
        waiting = {unit for unit, _ in await units_without_kit(session, message.order or "")}
        changed += [unit for unit in pieces if unit not in waiting]
    if changed:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise PoolChanged(changed=", ".join((await serials_of(session, changed))[:SHOWN]) + more)


async def _reserve(session: Session, found: Matched, places: Sequence[tuple[int | None, int]]) -> list[str]:
    lots = await lot_numbers(session, list({lot for kit in found.kits for lot in kit.lots}))
    goals = [goal.model_dump() for goal in _goals(found)]
    rows = []
    for kit, (unit_id, revision_id) in zip(found.kits, places, strict=False):
        figures: dict[str, Any] = {
            "lots": [lots[lot] for lot in kit.lots],
            "cartons": kit.cartons,
            "grades": list(kit.grades),
            "group_spread_pct": kit.group_spread_pct,
            "capacity_spread_pct": kit.capacity_spread_pct,
            "acir_spread_pct": kit.acir_spread_pct,
            "goals": goals,
        }
        rows.append({"revision_id": revision_id, "unit_id": unit_id, "figures": figures})
    made = await session.run(_MAKE, rows=json.dumps(rows), made_by=session.actor.name)
    records = [
        (row["id"], position, cell, session.at)
        for row, kit in zip(made, found.kits, strict=False)
        for position, cell in enumerate(kit.cells, start=1)
    ]
    columns = ("kit_id", "position", "unit_id", "taken_at")
    await session.driver.copy_records_to_table("kit_cell", records=records, columns=columns)
    return [row["number"] for row in made]


def _goals(found: Matched) -> list[GoalAnswer]:
    return [GoalAnswer(name=g.name, value=g.value, best_alone=g.best_alone, unit=g.unit) for g in found.goals]


async def release_kit(session: Session, message: KitRelease) -> KitContent:
    """Give a kit's cells back to the pool; its unit may get another one. Of a used kit what isn't fitted goes back."""
    kit = await lock_kit(session, message.kit)
    mine = (KitCell.kit_id == kit.id) & KitCell.ended_at.is_(None)
    fitted = exists().where(Installation.child_id == KitCell.unit_id, Installation.removed_at.is_(None))
    closing = {"ended_at": session.at, "ended_by": f"released by {session.actor.name}: {message.reason}"}
    freed = await session.execute(update(KitCell).where(mine, ~fitted).values(closing))
    if kit.state == "reserved":
        await session.execute(update(Kit).where(Kit.id == kit.id).values(state="released"))
    elif not freed.rowcount:
        raise KitNotReserved(kit=message.kit, state=kit.state)
    session.tell("kits", kit=message.kit, state="released")
    return await read_kit(session, message.kit)


async def assign_cell(session: Session, message: CellAssignment) -> KitContent:
    """Put a free cell at a position of a kit by hand, if the kit still keeps its rules with it."""
    plan = await get_plan(session, (await get_kit(session, message.kit)).revision_id)
    item = kitted(plan)
    cell = await get_unit(session, message.serial)
    lots = await lot_numbers(session, [cell.lot_id or 0])
    await lock_matching(session, item.part_id)
    await lock_chosen(session, list(lots), [cell.id])
    kit = await lock_kit(session, message.kit)
    if kit.state == "released" or plan.matching is None:
        raise KitNotReserved(kit=message.kit, state=kit.state)
    named = {"serial": message.serial, "position": message.position, "kit": message.kit}
    free = await pool(session, item.part_id, list(lots.values()), [cell.id])
    if not free:
        raise CellNotFree(**named, why="it isn't a graded, free cell of a released lot")
    if not 1 <= message.position <= int(item.quantity):
        raise CellNotFree(**named, why=f"positions are 1 to {int(item.quantity)}")
    sits = await fitted_at(session, kit.unit_id, item.part_id, message.position) if kit.unit_id else None
    if sits is not None:
        raise CellNotFree(**named, why=f"{sits} is fitted there; report its removal first")
    seen = KitSeen(kit.id, kit.number, await kit_cells(session, kit.id))
    by_hand = replace(plan, matching=plan.matching.model_copy(update={"swap": "stock"}))
    if wrong := judge_slots(seen, {message.position: free[0]}, {}, by_hand):
        raise CellNotFree(**named, why=wrong[message.position])
    await _place(session, kit.id, {message.position: cell.id}, f"swapped by {session.actor.name}: {message.reason}")
    return await read_kit(session, message.kit)


async def use_kit(session: Session, kit: KitSeen, fitted: Mapping[int, int]) -> None:
    """Note that cells were fitted from a locked kit: position -> the unit that sits there now, its own or another."""
    await session.execute(update(Kit).where(Kit.id == kit.id, Kit.state == "reserved").values(state="used"))
    before = {position: cell.id for position, cell in kit.cells.items()}
    after = placed(before, fitted)
    moved = {position: cell for position, cell in after.items() if before.get(position) != cell}
    await _place(session, kit.id, moved, "another was fitted")


async def end_cells(session: Session, unit_ids: Sequence[int], why: str) -> None:
    """Free cells of their kits: they came out, or were fitted elsewhere."""
    freed = update(KitCell).where(KitCell.unit_id.in_(unit_ids), KitCell.ended_at.is_(None))
    await session.execute(freed.values(ended_at=session.at, ended_by=why))


async def _place(session: Session, kit_id: int, fitted: Mapping[int, int], why: str) -> None:
    """Let a kit's positions hold these units: what held them before, and where these were reserved, is ended."""
    named = {"kit_id": kit_id, "positions": list(fitted), "units": list(fitted.values())}
    await session.run(_LEAVE, **named, why=why)
    await session.run(_ENTER, **named)
