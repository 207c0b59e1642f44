"""Reads of printers, jobs and what labels say, and the locks on them."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Date, bindparam, cast, func, select, text
from sqlalchemy import DateTime as Timestamp

from mes import clock
from mes.cycles.models import Cycle
from mes.db import ReadSession, Session
from mes.errors import NotFound
from mes.labels.messages import JobAnswer, PrinterSpec, State
from mes.labels.models import Printer, PrintJob
from mes.plant.models import Line, Site, Station
from mes.products.models import Part
from mes.shipping.models import Crate
from mes.statement import Prepared
from mes.units.models import Unit

BATCH = 50  # jobs of one printer in one turn of the spool
# One turn at a time in all the server's processes. The lock ends with its transaction, however a process ends.
_LOCK_SPOOL = Prepared(text("SELECT pg_try_advisory_xact_lock(hashtext('label spool')) AS mine"))
_DUE = Prepared(
    text(
        f"""
        SELECT p.name AS printer, p.host, p.port, j.id, j.zpl, j.tries
        FROM printer p CROSS JOIN LATERAL (
            SELECT id, zpl, tries, first_value(try_at) OVER (ORDER BY id) AS try_at FROM print_job
            WHERE printer_id = p.id AND state = 'queued' ORDER BY id LIMIT {BATCH}) j
        WHERE j.try_at IS NULL OR j.try_at <= :now ORDER BY p.id, j.id
        """  # noqa: S608 - of a constant
    ).bindparams(bindparam("now", type_=Timestamp(timezone=True)))
)


@dataclass(frozen=True, slots=True)
class DueJob:
    """A job that can be handed over now, and where to."""

    printer: str
    host: str
    port: int
    id: int
    zpl: str
    tries: int


@dataclass(frozen=True, slots=True)
class Nameplate:
    """What a nameplate says of a unit."""

    id: int
    serial: str
    part: str
    name: str
    made_on: date


async def lock_spool(session: ReadSession) -> bool:
    """Whether this turn of the spool is ours, until the transaction ends."""
    return bool((await session.run(_LOCK_SPOOL))[0]["mine"])


async def lock_printer(session: Session, name: str) -> Printer:
    """Lock a printer, so that its jobs are numbered in the order they are stored, or raise NotFound."""
    columns = (Printer.id, Printer.name, Printer.dots_per_mm)
    row = (await session.execute(select(*columns).where(Printer.name == name).with_for_update())).one_or_none()
    if row is None:
        raise NotFound(kind="printer", name=name)
    return Printer(**row._mapping)


async def due_jobs(session: ReadSession, now: datetime) -> list[DueJob]:
    """Jobs to be handed over, in order, of each printer that isn't waiting for its next try."""
    return [DueJob(**row) for row in await session.run(_DUE, now=now)]


async def count_queued(session: ReadSession, printer_id: int) -> int:
    """How many jobs wait for a printer."""
    queued = select(func.count()).where(PrintJob.printer_id == printer_id, PrintJob.state == "queued")
    count: int = (await session.execute(queued)).scalar_one()
    return count


async def last_copy(session: ReadSession, *, unit_id: int | None, crate_id: int | None) -> PrintJob | None:
    """The copy of a unit's or crate's label that was asked for last; None: there is none."""
    mine = PrintJob.unit_id == unit_id if crate_id is None else PrintJob.crate_id == crate_id
    chosen = select(PrintJob.copy, PrintJob.payload).where(mine).order_by(PrintJob.copy.desc()).limit(1)
    row = (await session.execute(chosen)).one_or_none()
    return PrintJob(**row._mapping) if row else None


async def printers(session: ReadSession) -> list[PrinterSpec]:
    """Every printer, by name."""
    columns = [getattr(Printer, name) for name in PrinterSpec.model_fields]
    rows = await session.execute(select(*columns).order_by(Printer.name))
    return [PrinterSpec(**row) for row in rows.mappings()]


async def jobs(
    session: ReadSession,
    *,
    job: int | None = None,
    printer: str | None = None,
    subject: str | None = None,
    state: State | None = None,
    limit: int = 200,
) -> list[JobAnswer]:
    """List jobs, the newest first: one, those of a printer, of a unit or crate, or in a state."""
    told = func.coalesce(Unit.serial, Crate.sscc)
    own = {"job", "printer", "subject", "copy_number", "payload"}
    columns = [
        PrintJob.id.label("job"),
        Printer.name.label("printer"),
        told.label("subject"),
        PrintJob.copy.label("copy_number"),
        func.encode(PrintJob.payload, "hex").label("payload"),
        *(getattr(PrintJob, name) for name in JobAnswer.model_fields if name not in own),
    ]
    chosen = select(*columns).join(Printer, Printer.id == PrintJob.printer_id)
    chosen = chosen.outerjoin(Unit, Unit.id == PrintJob.unit_id).outerjoin(Crate, Crate.id == PrintJob.crate_id)
    asked = ((PrintJob.id, job), (Printer.name, printer), (told, subject), (PrintJob.state, state))
    for column, value in asked:
        if value is not None:
            chosen = chosen.where(column == value)
    rows = await session.execute(chosen.order_by(PrintJob.id.desc()).limit(limit))
    return [JobAnswer(**row) for row in rows.mappings()]


async def get_nameplate(session: ReadSession, serial: str) -> Nameplate:
    """What a unit's nameplate says, or raise NotFound. Made: on the day it was finished or, before that, today, where
    it was worked on last."""
    zone = select(Site.timezone).join(Line, Line.site_id == Site.id).join(Station, Station.line_id == Line.id)
    zone = zone.join(Cycle, Cycle.station_id == Station.id).where(Cycle.unit_id == Unit.id)
    there = func.coalesce(zone.order_by(Cycle.id.desc()).limit(1).scalar_subquery(), "UTC")
    made = cast(func.timezone(there, func.coalesce(Unit.finished_at, clock.now())), Date).label("made_on")
    chosen = select(Unit.id, Unit.serial, Part.number.label("part"), Part.name, made)
    chosen = chosen.join(Part, Part.id == Unit.part_id).where(Unit.serial == serial)
    row = (await session.execute(chosen)).one_or_none()
    if row is None:
        raise NotFound(kind="unit", name=serial)
    return Nameplate(**row._mapping)


async def find_labelled(session: ReadSession, code: str) -> str | None:
    """The serial of the unit whose label bears a code; None: no label does."""
    found = select(Unit.serial).join(PrintJob, PrintJob.unit_id == Unit.id)
    found = found.where(PrintJob.payload == code.encode(), PrintJob.copy == 1)
    return (await session.execute(found)).scalar_one_or_none()


async def crate_id(session: ReadSession, sscc: str) -> int:
    """The id of a crate that is known."""
    found: int = (await session.execute(select(Crate.id).where(Crate.sscc == sscc))).scalar_one()
    return found
