"""Builds what tests start from, through the same acts as a plant: orders, lots, permits, results, packs."""

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mes import clock
from mes.actor import Actor, Role
from mes.cells.service import read_receipt, receive_units
from mes.db import Database
from mes.execution.messages import (
    Component,
    ConsumedLot,
    CurveReport,
    PermitAnswer,
    PermitRequest,
    ReportAnswer,
    ResultReport,
)
from mes.execution.permits import request_permit
from mes.execution.reports import report_result
from mes.materials.messages import LotReceipt
from mes.materials.service import receive_lot
from mes.orders.messages import OrderEvent, OrderRequest
from mes.orders.queries import serials
from mes.orders.service import create_order, move_order
from mes.products.queries import get_plan
from mes.products.rules import ProductPlan, StepPlan
from mes.quality.messages import ReleaseRequest
from mes.quality.service import release_containment
from mes.stock import LOT_PARTS, SERIAL_PARTS
from mes.units.queries import get_unit

ACTOR = Actor("builder", Role.ADMIN)
QUALITY = Actor("quinn", Role.QUALITY)
SUPERVISOR = Actor("sam", Role.SUPERVISOR)
AT = clock.now()
CELL_HEADINGS = "Cell ID,Carton,OCV (V),ACIR (mOhm),Capacity (Ah),Measured at"
MODULE_STEPS = ("020", "030", "040", "050", "060", "070", "080", "090")
PACK_STEPS = ("100", "110", "120", "130", "140", "150", "160", "170", "180")
PAPERS = [
    {"kind": kind, "file_name": f"{kind}.pdf", "content": "JVBERi0="}
    for kind in ("un383_test_summary", "certificate", "origin_declaration")
]
_cycles = itertools.count(1)


def good_values(step: StepPlan) -> dict[str, list[Any]]:
    """Values of a step that all pass."""
    return {c.name: [_good(c)] * c.count for c in step.characteristics if c.kind != "curve"}


def _good(c: Any) -> Any:
    if c.kind == "text":
        return c.expected or "text"
    if c.kind == "boolean":
        return c.lower != 0
    if c.lower is not None and c.upper is not None:
        return (c.lower + c.upper) / 2
    return c.lower if c.lower is not None else c.upper if c.upper is not None else 1.0


def cell_file(prefix: str, count: int, carton_of: int = 160) -> bytes:
    """Write a supplier's file of `count` cells."""
    out = io.StringIO()
    out.write(CELL_HEADINGS + "\n")
    for n in range(1, count + 1):
        out.write(f"{prefix}{n:06},{prefix}C{n // carton_of:04},3.265,2.21,15.12,2026-10-01T08:00:00Z\n")
    return out.getvalue().encode()


async def receive_file(database: Database, lot: str, part: str, content: bytes, **more: Any) -> None:
    """Receive a lot of a serialised part."""
    receipt = {"lot": lot, "part": part, "supplier": "Acme", "supplier_lot": f"S-{lot}", "country": "CN"} | more
    if part == "CELL-LFP-15":
        receipt.setdefault("documents", PAPERS)
    receipt.setdefault("quantity", Decimal(max(content.count(b"\n") - 1, 1)))
    message = await read_receipt(database, receipt, content, f"{lot}.csv")
    await database.transact(receive_units, message, ACTOR)


async def permit(database: Database, station: str, serial: str, cycle: str | None = None) -> PermitAnswer:
    """Ask."""
    message = PermitRequest(station=station, cycle=cycle or f"t-{next(_cycles)}", asker="test", serial=serial)
    return await database.transact(request_permit, message, ACTOR)


def result(station: str, serial: str, **more: Any) -> ResultReport:
    """A report; `more` are the fields of ResultReport."""
    fields: dict[str, Any] = {
        "station": station,
        "cycle": f"t-{next(_cycles)}",
        "asker": "test",
        "serial": serial,
        "verdict": "passed",
        "started_at": AT,
        "ended_at": AT,
    }
    return ResultReport(**(fields | more))


async def report(database: Database, station: str, serial: str, **more: Any) -> ReportAnswer:
    """Report; `more` are the fields of ResultReport."""
    return await database.transact(report_result, result(station, serial, **more), ACTOR)


async def release(database: Database, containment: int, reason: str = "inspected and clean") -> int:
    """Sign for the release of a containment in both roles; how many holds were released."""
    message = ReleaseRequest(containment=containment, reason=reason)
    await database.transact(release_containment, message, QUALITY)
    return (await database.transact(release_containment, message, SUPERVISOR)).released


async def plan_of(database: Database, serial: str) -> ProductPlan:
    """Read the plan a unit is built to."""
    async with database.reading() as session:
        unit = await get_unit(session, serial)
        assert unit.revision_id is not None
        return await get_plan(session, unit.revision_id)


@dataclass
class Shelf:
    """What lies ready to be built in: cells and other serialised parts, in order, and a lot of every other part."""

    cells: list[str]
    serials: dict[str, list[str]]
    lots: dict[str, str]
    modules: list[str] = field(default_factory=list)

    def take(self, part: str, count: int, module: str | None = None) -> list[str]:
        """Take serials of a part off the shelf."""
        if module is not None and part.startswith("M16"):
            return [module]
        source = self.cells if part == "CELL-LFP-15" else self.serials[part]
        taken, source[:count] = source[:count], []
        return taken


async def stock(database: Database, packs: int = 1, lot: str = "L1", cells_per_pack: int = 112) -> Shelf:
    """Receive a lot of cells and of everything else, enough for some packs, and pass receiving inspection."""
    count = packs * cells_per_pack
    await receive_file(database, f"CELL-{lot}", "CELL-LFP-15", cell_file(f"{lot}C", count))
    await report_step(database, "GC1-010", f"CELL-{lot}")
    parts: dict[str, list[str]] = {}
    for part in SERIAL_PARTS:
        parts[part] = [f"{part}-{lot}-{n:04}" for n in range(1, packs + 3)]
        body = "Serial,Carton\n" + "".join(f"{serial},C1\n" for serial in parts[part])
        await receive_file(database, f"{part}-{lot}", part, body.encode())
    lots = await receive_lots(database, lot)
    return Shelf([f"{lot}C{n:06}" for n in range(1, count + 1)], parts, lots)


async def receive_lots(database: Database, suffix: str = "L1", quantity: int = 10_000) -> dict[str, str]:
    """Receive a lot of every lot-traced part; lot numbers by part."""
    lots = {}
    for part in (*LOT_PARTS, "HOLDER-10P"):
        lots[part] = f"{part}-{suffix}"
        message = LotReceipt(
            lot=lots[part],
            part=part,
            quantity=Decimal(quantity),
            supplier="Bolt & Co",
            supplier_lot=f"B-{suffix}",
            country="US",
        )
        await database.transact(receive_lot, message, ACTOR)
    return lots


async def order(
    database: Database, quantity: int = 1, part: str = "GC48-105", number: str = "WO-1"
) -> Mapping[str, Sequence[str]]:
    """Create and release an order; the serials issued, by part."""
    await database.transact(create_order, OrderRequest(order=number, part=part, quantity=quantity), ACTOR)
    await database.transact(move_order, OrderEvent(order=number, event="release"), ACTOR)
    async with database.reading() as session:
        return (await serials(session, number)).serials


async def report_step(
    database: Database, station: str, serial: str, shelf: Shelf | None = None, module: str | None = None, **more: Any
) -> ReportAnswer:
    """Ask and report one step as it should be: good values, every component, every lot."""
    cycle = f"t-{next(_cycles)}"
    answer = await permit(database, station, serial, cycle)
    assert answer.granted, answer.refusals
    values = {c.name: [_good(c)] * c.count for c in answer.characteristics if c.kind != "curve"}
    components, lots = [], []
    for item in answer.components:
        if item.trace == "serial":
            assert shelf is not None
            taken = shelf.take(item.part, int(item.quantity), module)
            components += [Component(part=item.part, serial=s, position=n) for n, s in enumerate(taken, start=1)]
        elif item.trace == "lot":
            assert shelf is not None
            lots.append(ConsumedLot(lot=shelf.lots[item.part], quantity=Decimal(str(item.quantity))))
    drawn = [(c.name, n) for c in answer.characteristics if c.kind == "curve" for n in range(1, c.count + 1)]
    curves = [CurveReport(characteristic=name, ordinal=n, x=[0, 1], y=[0, 1]) for name, n in drawn]
    fields: dict[str, Any] = {"cycle": cycle, "values": values, "curves": curves}
    fields |= {"components": components, "lots": lots}
    return await report(database, station, serial, **(fields | more))


async def module(database: Database, shelf: Shelf, serial: str, upto: str = "090") -> None:
    """Build a module."""
    for step in MODULE_STEPS:
        answer = await report_step(database, f"GC1-{step}", serial, shelf)
        assert answer.verdict == "passed", answer
        assert not answer.findings, answer.findings
        if step == upto:
            return


async def pack(database: Database, shelf: Shelf, serial: str, module_serial: str, upto: str = "180") -> None:
    """Build a pack of a finished module."""
    for step in PACK_STEPS:
        answer = await report_step(database, f"GC1-{step}", serial, shelf, module_serial)
        assert answer.verdict == "passed", answer
        assert not answer.findings, answer.findings
        if step == upto:
            return
