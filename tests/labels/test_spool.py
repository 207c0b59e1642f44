"""Labels wait for a printer that is gone, and come out in order, each at least once, when it is back."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from mes import clock
from mes.db import Database
from mes.errors import NotFound
from mes.labels import spool
from mes.labels.messages import JobAnswer, LabelRequest, PrinterSpec, PrintOutcome
from mes.labels.queries import jobs
from mes.labels.service import print_label, record_outcome, set_printer
from mes.labels.spool import SPOOL, spool_labels
from tests.build import line as build
from tests.build import small
from tests.labels.printer import RawPrinter, free_port, running
from tests.labels.reading import texts

MORNING = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def morning() -> Iterator[None]:
    with clock.held(MORNING):
        yield


@pytest.fixture
async def packs(database: Database) -> list[str]:
    """Serials of an order of packs."""
    await small.make(database)
    return list((await small.order(database, quantity=6))["PACK"])


async def a_printer(database: Database, name: str = "P1") -> RawPrinter:
    """A printer that is known, and switched off."""
    printer = RawPrinter(free_port())
    spec = PrinterSpec(name=name, host="127.0.0.1", port=printer.port)
    await database.transact(set_printer, spec, build.ACTOR)
    return printer


async def ask(database: Database, *serials: str, printer: str = "P1", **more: Any) -> list[JobAnswer]:
    requests = [LabelRequest(subject=serial, printer=printer, **more) for serial in serials]
    return [await database.transact(print_label, request, build.ACTOR) for request in requests]


async def told(database: Database) -> list[JobAnswer]:
    """All jobs, the oldest first."""
    async with database.reading() as session:
        return (await jobs(session))[::-1]


def serials_on(printer: RawPrinter) -> list[str]:
    return [texts(label)[2] for label in printer.labels]


async def test_labels_wait_for_a_printer_and_come_out_in_order(database: Database, packs: list[str]) -> None:
    printer = await a_printer(database)
    await ask(database, *packs)
    with capture_logs() as logs:
        for _ in range(3):
            await spool_labels(database)
        first, *others = await told(database)
        assert (first.state, first.tries) == ("queued", 1), "asked again at once it isn't tried again"
        assert first.last_error is not None
        assert str(printer.port) in first.last_error
        assert {(job.state, job.tries, job.last_error) for job in others} == {("queued", 0, None)}
        clock.advance(timedelta(seconds=1))
        await spool_labels(database)
        clock.advance(timedelta(seconds=2))
        async with running(printer):
            await spool_labels(database)
    assert serials_on(printer) == packs
    assert [(job.state, job.printed_at, job.copy_number) for job in await told(database)] == [
        ("printed", clock.now(), 1) for _ in packs
    ]
    assert [log["event"] for log in logs] == ["printer is gone", "printer is back"]


async def test_a_label_that_was_broken_off_is_sent_again_whole_and_is_no_new_copy(
    database: Database, packs: list[str]
) -> None:
    printer = await a_printer(database)
    await ask(database, *packs)
    printer.dies_in = 3
    async with running(printer):
        await spool_labels(database)
        assert serials_on(printer) == packs[:2]
        assert [job.state for job in await told(database)] == ["printed"] * 2 + ["queued"] * 4
        clock.advance(timedelta(seconds=1))
        await spool_labels(database)
    assert serials_on(printer) == packs
    assert [(job.tries, job.copy_number) for job in await told(database)] == [(int(n == 2), 1) for n in range(6)]


async def test_what_was_under_way_when_a_server_died_is_sent_again(database: Database, packs: list[str]) -> None:
    printer = await a_printer(database)
    await ask(database, *packs)
    printer.hangs = True
    async with running(printer):
        turn = asyncio.create_task(spool_labels(database))
        await printer.taken.wait()
        turn.cancel()
        await asyncio.wait([turn])
        printer.hangs = False
        await spool_labels(database)
    assert serials_on(printer) == packs
    assert printer.connections == len(packs) + 1


async def test_what_a_printer_never_ends_is_no_label_yet(
    database: Database, packs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "TAKE_S", 0.05)
    printer = await a_printer(database)
    printer.hangs = True
    await ask(database, packs[0])
    async with running(printer):
        await spool_labels(database)
        assert printer.taken.is_set()
    job = (await told(database))[0]
    assert (job.state, job.last_error) == ("queued", f"127.0.0.1:{printer.port} didn't take it in time")


async def test_a_name_that_can_t_be_looked_up_keeps_its_labels_only(database: Database, packs: list[str]) -> None:
    await database.transact(set_printer, PrinterSpec(name="P0", host="no..name"), build.ACTOR)
    printer = await a_printer(database)
    await ask(database, packs[0], printer="P0")
    await ask(database, packs[1])
    async with running(printer):
        await spool_labels(database)
    assert [job.state for job in await told(database)] == ["queued", "printed"]


async def test_of_many_servers_one_prints(database: Database, packs: list[str]) -> None:
    printer = await a_printer(database)
    await ask(database, *packs)
    async with running(printer):
        await asyncio.gather(*(spool_labels(database) for _ in range(4)))
        await spool_labels(database)
    assert serials_on(printer) == packs


async def test_a_dead_printer_keeps_nobody_else_waiting(database: Database, packs: list[str]) -> None:
    await a_printer(database)
    other = await a_printer(database, "P2")
    await ask(database, *packs[:3])
    await ask(database, *packs[3:], printer="P2")
    async with running(other):
        await spool_labels(database)
    assert serials_on(other) == packs[3:]
    assert [job.state for job in await told(database)] == ["queued"] * 3 + ["printed"] * 3


async def test_waiting_labels_follow_their_printer_to_its_new_address(database: Database, packs: list[str]) -> None:
    await a_printer(database)
    await ask(database, packs[0])
    await spool_labels(database)
    clock.advance(timedelta(seconds=1))
    async with running(await a_printer(database)) as replacement:
        await spool_labels(database)
    assert serials_on(replacement) == packs[:1]


async def test_tries_are_further_and_further_apart_up_to_five_minutes(database: Database, packs: list[str]) -> None:
    await a_printer(database)
    job = (await ask(database, packs[0]))[0].job
    waits = []
    for _ in range(12):
        await database.transact(record_outcome, PrintOutcome(job=job, error="gone"), SPOOL)
        async with database.reading() as session:
            try_at = await session.driver.fetchval("SELECT try_at FROM print_job WHERE id = $1", job)
        waits.append((try_at - clock.now()).total_seconds())
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


async def test_what_was_printed_stays_printed(database: Database, packs: list[str]) -> None:
    await a_printer(database)
    job = (await ask(database, packs[0]))[0].job
    await database.transact(record_outcome, PrintOutcome(job=job), SPOOL)
    with pytest.raises(NotFound):
        await database.transact(record_outcome, PrintOutcome(job=job, error="late"), SPOOL)
    assert (await told(database))[0].state == "printed"
