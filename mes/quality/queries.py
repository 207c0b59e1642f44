"""Reads of holds and dispositions, and the locks on what a hold is set on."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Select, Text, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute

from mes.cells.models import Cell
from mes.cycles.models import Cycle
from mes.db import ReadSession, Session
from mes.errors import NotFound
from mes.genealogy.queries import above
from mes.materials.models import Lot
from mes.materials.queries import lock_lots_from
from mes.orders.models import WorkOrder
from mes.orders.queries import lock_order
from mes.plant.models import Station, Tool
from mes.quality.messages import ContainmentAnswer, ContainRequest, DispositionRecord, HoldAnswer, StationWindow
from mes.quality.models import ContainmentQuestion, Disposition, Hold, HoldSignature
from mes.statement import Prepared
from mes.units.models import Unit
from mes.units.queries import lock_unit_ids, lock_units


@dataclass(frozen=True, slots=True)
class Subjects:
    """What a containment names, locked: lots, units, or an order with its units."""

    lots: Sequence[int] = ()
    units: Sequence[int] = ()
    order: int | None = None
    station: int | None = None  # of a window: what is reported of it later is held too


async def lock_subjects(session: Session, message: ContainRequest) -> Subjects:
    """Lock what is named, coarse to fine; NotFound when nothing of the kind is known."""
    if message.lot is not None:
        return Subjects(lots=await lock_lots_from(session, message.lot))
    if message.date_code is not None:
        return await _lock_date_code(session, message.date_code, message.supplier)
    if message.order is not None:
        # units before their order, as reports take them; the order's lock keeps more from being issued
        chosen = select(Unit.id).join(WorkOrder, WorkOrder.id == Unit.order_id).where(WorkOrder.number == message.order)
        await _lock_all(session, chosen)
        order_id = (await lock_order(session, message.order))[0]
        return Subjects(units=await _lock_all(session, chosen), order=order_id)
    if message.carton is not None:
        chosen = select(Cell.unit_id).where(Cell.carton == message.carton)
        if not (units := await _lock_all(session, chosen)):
            raise NotFound(kind="carton", name=message.carton)
        return Subjects(units=units)
    if message.window is not None:
        return await _lock_window(session, message.window)
    if message.question is not None:
        # what was reported by then is seen by who holds what fits; later ones see the question
        await lock_stations(session)
        return Subjects()
    serials = message.serials if message.serials is not None else [message.serial or ""]
    found = await lock_units(session, serials)
    if missing := sorted(set(serials) - set(found)):
        raise NotFound(kind="unit", name=", ".join(missing[:20]))
    return Subjects(units=[unit.id for unit in found.values()])


async def lock_lot_ids(session: Session, ids: Collection[int]) -> None:
    """Lock the lots of these ids: whoever uses them up waits."""
    await session.execute(select(Lot.id).where(Lot.id.in_(ids)).order_by(Lot.id).with_for_update())


async def lock_stations(session: Session) -> None:
    """Wait until no report is under way, and let none begin."""
    await session.execute(select(Station.id).order_by(Station.id).with_for_update(key_share=True))


async def lock_question(session: Session, containment: int) -> bool:
    """Lock the open question of a containment, if it has one."""
    own = (ContainmentQuestion.containment_id == containment) & ContainmentQuestion.closed_at.is_(None)
    locked = select(ContainmentQuestion.id).where(own).order_by(ContainmentQuestion.id).with_for_update()
    return (await session.execute(locked)).first() is not None


async def open_questions(session: ReadSession, containment: int | None = None) -> list[tuple[int, str]]:
    """The questions that are still asked: containment and question."""
    columns = select(ContainmentQuestion.containment_id, ContainmentQuestion.question)
    chosen = columns.where(ContainmentQuestion.closed_at.is_(None)).order_by(ContainmentQuestion.containment_id)
    if containment is not None:
        chosen = chosen.where(ContainmentQuestion.containment_id == containment)
    return [(row.containment_id, row.question) for row in await session.execute(chosen)]


async def newest_arrival(session: ReadSession) -> tuple[int, ...]:
    """The newest unit, lot, lot that came from another, and question: as long as they are the same, nothing has come.

    The question, since what came while it was being asked was seen by nobody who knew of it.
    """
    row = await session.driver.fetchrow(
        "SELECT (SELECT max(id) FROM unit), (SELECT max(id) FROM lot), (SELECT count(*) FROM lot_lineage), "
        "(SELECT max(id) FROM containment_question)"
    )
    return tuple(number or 0 for number in row)


_CONTAINMENTS = """
    SELECT k.id AS containment, q.question, k.reason, k.opened_at, k.opened_by,
           (q.answer ->> 'affected')::bigint AS affected, (q.answer -> 'places')::text AS places,
           count(h.id) FILTER (WHERE h.released_at IS NULL) AS held,
           count(h.id) FILTER (WHERE h.cycle_id IS NOT NULL OR h.opened_by <> k.opened_by) AS later,
           q.closed_at, q.closed_by, q.close_reason
    FROM containment_question q JOIN containment k ON k.id = q.containment_id
    LEFT JOIN hold h ON h.containment_id = k.id
    WHERE (q.containment_id = $1 OR $1 IS NULL) AND (q.closed_at IS NULL OR NOT $2)
    GROUP BY k.id, q.id ORDER BY k.id DESC LIMIT 200
"""


async def containments(
    session: ReadSession, *, containment: int | None = None, open_only: bool = False
) -> list[ContainmentAnswer]:
    """Containments with a question, the newest first."""
    rows = await session.driver.fetch(_CONTAINMENTS, containment, open_only)
    return [ContainmentAnswer(**{**row, "places": json.loads(row["places"])}) for row in rows]


async def _lock_date_code(session: Session, code: str, supplier: str | None) -> Subjects:
    lots = select(Lot.id).where(Lot.date_code == code).order_by(Lot.id).with_for_update()
    if supplier is not None:
        lots = lots.where(Lot.supplier == supplier)
    found = list((await session.execute(lots)).scalars())
    cells = select(Cell.unit_id).join(Unit, Unit.id == Cell.unit_id).join(Lot, Lot.id == Unit.lot_id)
    cells = cells.where(Cell.date_code == code, Lot.id.not_in(found))
    if supplier is not None:
        cells = cells.where(Lot.supplier == supplier)
    units = list((await session.execute(cells)).scalars())
    if not found and not units:
        raise NotFound(kind="lot or unit of date code", name=code)
    await lock_unit_ids(session, units)
    return Subjects(lots=found, units=units)


async def _lock_window(session: Session, window: StationWindow) -> Subjects:
    # reports hold the station for share: none is under way while this looks, and later ones find the containment
    station = select(Station.id).where(Station.code == window.station).with_for_update(key_share=True)
    found_station = (await session.execute(station)).first()
    if found_station is None:
        raise NotFound(kind="station", name=window.station)
    inspected = _passed(window, Cycle.lot_id).subquery()
    lots = select(Lot.id).where(Lot.id.in_(select(inspected))).order_by(Lot.id).with_for_update()
    found = list((await session.execute(lots)).scalars())
    units = await _lock_all(session, _passed(window, Cycle.unit_id))
    if not found and not units:
        raise NotFound(kind="unit or lot that passed", name=window.station)
    return Subjects(lots=found, units=units, station=found_station.id)


async def passed_serials(session: ReadSession, window: StationWindow, limit: int) -> list[str]:
    """Serials of the units that passed a station in a window, at most so many."""
    chosen = select(Unit.serial).where(Unit.id.in_(_passed(window, Cycle.unit_id))).order_by(Unit.serial).limit(limit)
    return list((await session.execute(chosen)).scalars())


def _passed(window: StationWindow, subject: InstrumentedAttribute[int | None]) -> Select[Any]:
    chosen = (
        select(subject)
        .distinct()
        .join(Station, Station.id == Cycle.station_id)
        .where(Station.code == window.station, subject.is_not(None))
        .where(
            # by the station's clock or by ours: a clock that is wrong must not let a unit slip past
            ((Cycle.ended_at >= window.since) & (Cycle.started_at <= window.until))
            | Cycle.reported_at.between(window.since, window.until)
        )
    )
    if window.tool is not None:
        # work that names no tool may have been done with this one
        chosen = chosen.outerjoin(Tool, Tool.id == Cycle.tool_id).where(
            Tool.code.is_(None) | (Tool.code == window.tool)
        )
    if window.program_revision is not None:
        chosen = chosen.where(Cycle.program_revision == window.program_revision)
    return chosen


async def _lock_all(session: Session, chosen: Select[Any]) -> list[int]:
    """Lock chosen units, and choose again until nothing new appears: results arrive meanwhile."""
    locked: set[int] = set()
    while new := set((await session.execute(chosen)).scalars()) - locked:
        await lock_unit_ids(session, new)
        locked |= new
    return sorted(locked)


async def lock_above(session: Session, unit_id: int) -> list[int]:
    """Lock a unit and whatever it is in; looked at again until nothing new appears: a parent is fitted meanwhile."""
    locked: set[int] = set()
    while new := {unit_id, *await above(session, unit_id)} - locked:
        await lock_unit_ids(session, new)
        locked |= new
    return sorted(locked)


async def lock_open_holds(session: Session, *, containment: int | None = None, hold: int | None = None) -> list[Hold]:
    """Lock the open holds of a containment, or one hold."""
    chosen = Hold.containment_id == containment if containment is not None else Hold.id == hold
    columns = select(Hold.id, Hold.release_roles).where(chosen, Hold.released_at.is_(None)).order_by(Hold.id)
    return [Hold(**row._mapping) for row in await session.execute(columns.with_for_update())]


_SIGNED = Prepared(
    text("SELECT hold_id, role, signed_by FROM hold_signature WHERE hold_id = ANY(:holds)").bindparams(
        bindparam("holds", type_=ARRAY(BigInteger))
    )
)


async def signatures(session: ReadSession, holds: Collection[int]) -> list[tuple[int, str, str]]:
    """The signatures on holds: hold, role, by whom."""
    return [tuple(row) for row in await session.run(_SIGNED, holds=list(holds))]


_HELD = Prepared(
    text(
        """
        SELECT DISTINCT u.serial, l.number FROM hold h LEFT JOIN unit u ON u.id = h.unit_id
        LEFT JOIN lot l ON l.id = h.lot_id WHERE h.id = ANY(:holds) ORDER BY 1, 2
        """
    ).bindparams(bindparam("holds", type_=ARRAY(BigInteger)))
)


async def held_names(session: ReadSession, holds: Collection[int]) -> tuple[list[str], list[str]]:
    """The serials and the lots that holds are on."""
    rows = await session.run(_HELD, holds=list(holds))
    return [row[0] for row in rows if row[0] is not None], [row[1] for row in rows if row[1] is not None]


async def holds(
    session: ReadSession,
    *,
    serial: str | None = None,
    lot: str | None = None,
    open_only: bool = True,
    limit: int = 500,
) -> list[HoldAnswer]:
    """List holds, newest first, of one unit, one lot or of all."""
    signed = (
        select(func.array_agg(aggregate_order_by(HoldSignature.role + " " + HoldSignature.signed_by, HoldSignature.id)))
        .where(HoldSignature.hold_id == Hold.id)
        .scalar_subquery()
    )
    columns = (
        Hold.id.label("hold"),
        Hold.containment_id.label("containment"),
        Unit.serial,
        Lot.number.label("lot"),
        WorkOrder.number.label("order"),
        Hold.reason,
        Hold.stops,
        Hold.at_operation,
        Hold.release_roles,
        func.coalesce(signed, bindparam("none", [], type_=ARRAY(Text))).label("signed"),
        Hold.opened_at,
        Hold.opened_by,
        Hold.released_at,
        Hold.released_by,
        Hold.release_reason,
    )
    joined = (
        select(*columns)
        .outerjoin(Unit, Unit.id == Hold.unit_id)
        .outerjoin(Lot, Lot.id == Hold.lot_id)
        .outerjoin(WorkOrder, WorkOrder.id == Hold.order_id)
    )
    statement = joined.order_by(Hold.id.desc()).limit(limit)
    if open_only:
        statement = statement.where(Hold.released_at.is_(None))
    if serial is not None:
        statement = statement.where(Unit.serial == serial)
    if lot is not None:
        statement = statement.where(Lot.number == lot)
    return [HoldAnswer(**row) for row in (await session.execute(statement)).mappings()]


async def dispositions(session: ReadSession, unit_id: int) -> list[DispositionRecord]:
    """What was decided about a unit, in order of time."""
    columns = [getattr(Disposition, name) for name in DispositionRecord.model_fields]
    rows = await session.execute(select(*columns).where(Disposition.unit_id == unit_id).order_by(Disposition.id))
    return [DispositionRecord(**row) for row in rows.mappings()]


_STOPPED = Prepared(
    text(
        """
        SELECT reason FROM hold WHERE released_at IS NULL AND :stop = ANY(stops)
          AND (unit_id = :unit_id OR lot_id = :lot_id OR order_id = :order_id) ORDER BY id
        """
    ).bindparams(
        bindparam("stop", type_=Text), *(bindparam(n, type_=BigInteger) for n in ("unit_id", "lot_id", "order_id"))
    )
)


async def stopping(
    session: ReadSession,
    stop: str,
    *,
    unit_id: int | None = None,
    lot_id: int | None = None,
    order_id: int | None = None,
) -> list[str]:
    """The reasons of the open holds that keep this from happening to a unit (of an order) or a lot."""
    rows = await session.run(_STOPPED, stop=stop, unit_id=unit_id, lot_id=lot_id, order_id=order_id)
    return [row["reason"] for row in rows]


@dataclass(frozen=True, slots=True)
class LooseUnit:
    """A unit of a lot that was never fitted."""

    id: int
    serial: str
    carton: str | None


_LOOSE = Prepared(
    text(
        """
        SELECT u.id, u.serial, c.carton FROM unit u LEFT JOIN cell c ON c.unit_id = u.id
        WHERE u.lot_id = :lot_id AND (u.serial = ANY(:serials) OR c.carton = ANY(:cartons))
          AND NOT EXISTS (SELECT FROM installation i WHERE i.child_id = u.id)
        ORDER BY u.id FOR UPDATE OF u
        """
    ).bindparams(
        bindparam("lot_id", type_=BigInteger),
        bindparam("serials", type_=ARRAY(Text)),
        bindparam("cartons", type_=ARRAY(Text)),
    )
)


async def loose_of_lot(
    session: Session, lot_id: int, serials: Sequence[str], cartons: Sequence[str]
) -> list[LooseUnit]:
    """Lock the units of a lot with these serials or of these cartons, as far as they were never fitted."""
    rows = await session.run(_LOOSE, lot_id=lot_id, serials=list(serials), cartons=list(cartons))
    return [LooseUnit(**row) for row in rows]
