"""Takes orders for labels, and notes what became of them."""

from sqlalchemy import func, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert

from mes.db import Session
from mes.errors import Conflict, NotFound
from mes.labels.designs import design
from mes.labels.messages import JobAnswer, LabelRequest, PrinterSpec, PrintOutcome
from mes.labels.models import Printer, PrintJob
from mes.labels.queries import count_queued, jobs, lock_printer
from mes.labels.zpl import to_zpl

LONGEST_WAIT_S = 300


class ReprintUnexplained(Conflict):
    """The label of {subject} was printed {copies} times: a further copy needs its reason."""


class PrinterBusy(Conflict):
    """{waiting} labels wait for printer {printer}, drawn for {dots_per_mm} dots/mm: let them be printed first, or give
    the new printer a name of its own."""


async def set_printer(session: Session, message: PrinterSpec) -> PrinterSpec:
    """Name a printer, or say where it is now. While labels wait, its resolution stays: they are drawn for it."""
    values = message.model_dump()
    added = upsert(Printer).values(values).on_conflict_do_nothing(index_elements=["name"]).returning(Printer.id)
    if (await session.execute(added)).first() is None:
        known = await lock_printer(session, message.name)
        waiting = await count_queued(session, known.id)
        if waiting and known.dots_per_mm != message.dots_per_mm:
            raise PrinterBusy(waiting=waiting, printer=known.name, dots_per_mm=known.dots_per_mm)
        await session.execute(update(Printer).where(Printer.id == known.id).values(values))
    return message


async def print_label(session: Session, message: LabelRequest) -> JobAnswer:
    """Queue a label for a printer; a reprint is counted and needs its reason."""
    printer = await lock_printer(session, message.printer)
    drawn = await design(session, message, message.battery)
    if drawn.copies and message.reason is None:
        raise ReprintUnexplained(subject=message.subject, copies=drawn.copies)
    values = {
        "printer_id": printer.id,
        "kind": message.kind,
        "unit_id": drawn.unit_id,
        "crate_id": drawn.crate_id,
        "copy": drawn.copies + 1,
        "reason": message.reason if drawn.copies else None,
        "payload": drawn.payload,
        "zpl": to_zpl(drawn.layout, printer.dots_per_mm),
        "state": "queued",
        "queued_at": session.at,
        "queued_by": session.actor.name,
        "tries": 0,
    }
    number: int = (await session.execute(insert(PrintJob).values(values).returning(PrintJob.id))).scalar_one()
    session.tell("label", job=number, subject=message.subject, printer=message.printer)
    return (await jobs(session, job=number))[0]


async def record_outcome(session: Session, message: PrintOutcome) -> None:
    """Note that a job was printed, or why not and when it is tried again: after 1 s, 2 s, 4 s ... 5 min."""
    queued = update(PrintJob).where(PrintJob.id == message.job, PrintJob.state == "queued")
    if message.error is None:
        changed = queued.values(state="printed", printed_at=session.at)
    else:
        wait_s = func.least(LONGEST_WAIT_S, func.power(2, func.least(PrintJob.tries, 20)))
        wait = func.make_interval(0, 0, 0, 0, 0, 0, wait_s)
        changed = queued.values(tries=PrintJob.tries + 1, last_error=message.error, try_at=session.at + wait)
    if not (await session.execute(changed)).rowcount:
        raise NotFound(kind="queued label", name=message.job)
    session.tell("label", job=message.job, printed=message.error is None)
