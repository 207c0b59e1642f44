"""What becomes of units: scrap, rework, taken out of another, tested again."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import Session
from mes.errors import Conflict, NotFound
from mes.genealogy.queries import above
from mes.materials import service as materials
from mes.materials.queries import lock_lot_whole
from mes.materials.rules import Event as LotEvent
from mes.orders import service as orders
from mes.products.queries import get_plan
from mes.quality.messages import DisposeLotRequest, DisposeRequest, LotState, RetestReport, UnitState
from mes.quality.service import NewHold, open_holds
from mes.statement import Prepared
from mes.units import service as units
from mes.units.queries import UnitRow, lock_units
from mes.units.rules import NEXT, Event, State

_RECORD = Prepared(
    text(
        """
        INSERT INTO disposition
               (unit_id, lot_id, decision, operation, after_cycle, cycle_id, reason, decided_at, decided_by)
        SELECT d.unit_id, d.lot_id, d.decision, :operation,
               coalesce((SELECT max(id) FROM cycle WHERE unit_id = d.unit_id), 0), :cycle_id, :reason, :at, :decided_by
        FROM unnest(:units, :lots, :decisions) AS d (unit_id, lot_id, decision) RETURNING id
        """
    ).bindparams(
        bindparam("units", type_=ARRAY(BigInteger)),
        bindparam("lots", type_=ARRAY(BigInteger)),
        bindparam("decisions", type_=ARRAY(Text)),
        bindparam("cycle_id", type_=BigInteger),
        *(bindparam(name, type_=Text) for name in ("operation", "reason", "decided_by")),
    )
)


class StillFitted(Conflict):
    """{serial} is fitted in another unit. Report its removal first: a part is never in two places."""


class NoSuchOperation(Conflict):
    """{serial} has no operation {operation} in its route. Its route has: {operations}."""


class NotPossible(Conflict):
    """{serial} is {state}: {decision} isn't possible then."""


async def dispose(session: Session, message: DisposeRequest) -> UnitState:
    """Scrap a unit, or open the rework of one of its operations: it counts as failed, and attempts count anew."""
    unit = await _lock_loose(session, message.serial)
    if message.operation is not None:
        plan = await get_plan(session, unit.revision_id) if unit.revision_id else None
        if plan is None or message.operation not in plan.steps:
            known = ", ".join(plan.steps) if plan else "no operation"
            raise NoSuchOperation(serial=unit.serial, operation=message.operation, operations=known)
    event = Event.SCRAP if message.decision == "scrap" else Event.REOPEN
    state = _following(unit, event, message.decision)
    await _move(session, [(unit, state)])
    decided = [(unit.id, message.decision)]
    number = await _record(session, decided, message.reason, operation=message.operation)
    return UnitState(serial=unit.serial, state=state, disposition=number)


async def dispose_lot(session: Session, message: DisposeLotRequest) -> LotState:
    """Release a lot for use whatever its receiving found, or reject it. Its holds stay until they are signed off."""
    lot = await lock_lot_whole(session, message.lot)
    session.take_moment()
    state = await materials.inspect(session, lot, LotEvent(message.decision))
    number = await _record(session, [], message.reason, lot=(lot.id, message.decision))
    session.tell("lot", lot=message.lot, state=state)
    return LotState(lot=message.lot, state=state, disposition=number)


async def record_retest(session: Session, message: RetestReport) -> UnitState:
    """Record the re-test of a unit that came out of another: passed, it may be used again; failed, it is scrap."""
    unit = await _lock_loose(session, message.serial)
    passed = Event.RESTOCK_MADE if unit.order_id is not None else Event.RESTOCK_BOUGHT
    if unit.state != State.REMOVED:
        raise NotPossible(serial=unit.serial, state=unit.state, decision="a re-test of what was taken out")
    state = _following(unit, passed if message.verdict == "passed" else Event.SCRAP, "a re-test")
    await _move(session, [(unit, state)])
    number = await _record(session, [(unit.id, f"retest_{message.verdict}")], message.reason)
    return UnitState(serial=unit.serial, state=state, disposition=number)


async def take_out(session: Session, parent: str, cycle_id: int, removed: Sequence[tuple[UnitRow, str]]) -> None:
    """Move on what came out of a unit: (unit, where it goes) each. What goes to review is held for the board."""
    moves = []
    for unit, to in removed:
        # scrap stays scrap, and is told to be so once more
        state = NEXT[unit.state, Event.SCRAP if to == "scrap" else Event.TAKE_OUT] or unit.state
        moves.append((unit, state))
    await _move(session, moves)
    await _record(session, [(unit.id, to) for unit, to in removed], f"Taken out of {parent}.", cycle_id=cycle_id)
    review = [unit.id for unit, to in removed if to == "review"]
    if review:
        hold = NewHold(f"Taken out of {parent}: the review board decides.")
        await open_holds(session, review, hold, cycle_id)
        for serial in (unit.serial for unit, to in removed if to == "review"):
            session.tell("hold", serial=serial, state="open", reason=hold.reason, held=1)


async def _lock_loose(session: Session, serial: str) -> UnitRow:
    found = await lock_units(session, [serial])
    if serial not in found:
        raise NotFound(kind="unit", name=serial)
    session.take_moment()
    if await above(session, found[serial].id):
        raise StillFitted(serial=serial)
    return found[serial]


def _following(unit: UnitRow, event: Event, decision: str) -> State:
    state = NEXT[unit.state, event]
    if state is None:
        raise NotPossible(serial=unit.serial, state=unit.state.replace("_", " "), decision=decision)
    return state


async def _move(session: Session, moves: Sequence[tuple[UnitRow, State]]) -> None:
    """Bring locked units to their states, and let their orders count it."""
    moved = [(unit, state) for unit, state in moves if unit.state != state]
    await units.move(session, [(unit.id, state) for unit, state in moved])
    for unit, state in sorted(moved, key=lambda move: (move[0].order_id or 0, move[0].id)):  # orders in id order
        if unit.order_id is not None and State.FINISHED in {unit.state, state}:
            count = orders.count_finished if state == State.FINISHED else orders.count_unfinished
            await count(session, unit.order_id, unit.part_id)
    for (
        unit,
        state,
    ) in moves:  # what stays in its state, too: an operation to be done again changes what stations may do
        session.tell("unit", serial=unit.serial, state=state)


async def _record(
    session: Session,
    decisions: Sequence[tuple[int, str]],
    reason: str,
    *,
    operation: str | None = None,
    cycle_id: int | None = None,
    lot: tuple[int, str] | None = None,
) -> int:
    """Write what was decided, (unit, decision) each or (lot, decision); the number of the last."""
    told = [(unit, None, decision) for unit, decision in decisions] + ([(None, *lot)] if lot else [])
    units_, lots_, words = zip(*told, strict=True)
    rows = await session.run(
        _RECORD,
        units=list(units_),
        lots=list(lots_),
        decisions=list(words),
        reason=reason,
        operation=operation,
        cycle_id=cycle_id,
        decided_by=session.actor.name,
    )
    return int(rows[-1]["id"])
