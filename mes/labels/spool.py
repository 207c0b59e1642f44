"""Hands waiting labels to their printers, in order: a dead printer keeps its jobs waiting and nobody else's."""

import asyncio
from collections.abc import Sequence
from itertools import groupby

import structlog

from mes import clock
from mes.actor import Actor, Role
from mes.db import Database
from mes.labels.messages import PrintOutcome
from mes.labels.queries import DueJob, due_jobs, lock_spool
from mes.labels.service import record_outcome

SPOOL = Actor("label spool", Role.STATION)
CONNECT_S, TAKE_S = 5, 15
TURN_S = 30  # then others may have a turn; with one job's limits still within the database's limit of idle time
_logger = structlog.get_logger()


async def spool_labels(database: Database) -> None:
    """Take one turn: hand over what is due, unless another process is at it."""
    async with database.reading() as session:
        if not await lock_spool(session):
            return
        async with database.reading() as fresh:  # seen after the lock was had: what the last turn did is done
            due = await due_jobs(fresh, clock.now())
        async with asyncio.TaskGroup() as printers:
            for _, waiting in groupby(due, key=lambda job: job.printer):
                printers.create_task(_print_all(database, list(waiting)))


async def _print_all(database: Database, waiting: Sequence[DueJob]) -> None:
    until = asyncio.get_running_loop().time() + TURN_S
    for job in waiting:
        if asyncio.get_running_loop().time() > until:
            return
        error = await _hand_over(job)
        await database.transact(record_outcome, PrintOutcome(job=job.id, error=error), SPOOL)
        if error is not None:
            if job.tries == 0:
                _logger.warning("printer is gone", printer=job.printer, error=error)
            return
        if job.tries:
            _logger.info("printer is back", printer=job.printer)


async def _hand_over(job: DueJob) -> str | None:
    """Why a job couldn't be handed over; None: the printer has taken every byte and closed the connection."""
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(job.host, job.port)
        try:
            async with asyncio.timeout(TAKE_S):
                writer.write(job.zpl.encode())
                writer.write_eof()
                await writer.drain()
                while await reader.read(65_536):
                    pass  # a printer may talk back; what counts is that it ends the connection without an error
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()  # what isn't closed by now never will be
    except TimeoutError:
        return f"{job.host}:{job.port} didn't take it in time"
    except (OSError, UnicodeError) as error:  # a name that can't be looked up is either
        return f"{job.host}:{job.port}: {getattr(error, 'strerror', None) or error}"[:500]
    return None
