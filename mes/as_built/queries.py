"""Reads of the as-built record: each is one statement for all units of the record at once."""

from collections.abc import Collection, Sequence
from typing import Any

import asyncpg
from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.as_built.messages import Decision, Document, LabelRecord, LotRecord, Removed, SignalRecord
from mes.db import ReadSession
from mes.execution.messages import WaiverAnswer
from mes.quality.messages import HoldAnswer
from mes.statement import Prepared

IDS = ARRAY(BigInteger)
_UNITS = Prepared(
    text(
        """
        SELECT u.id, u.serial, p.number AS part, p.name, u.state, r.revision, r.digest, o.number AS "order",
               o.erp_reference, l.number AS lot, u.created_at, u.finished_at, u.location, u.revision_id, u.order_id,
               u.lot_id
        FROM unit u JOIN part p ON p.id = u.part_id LEFT JOIN product_revision r ON r.id = u.revision_id
        LEFT JOIN work_order o ON o.id = u.order_id LEFT JOIN lot l ON l.id = u.lot_id
        WHERE u.id = ANY(:units)
        """
    ).bindparams(bindparam("units", type_=IDS))
)
_CYCLES = Prepared(
    text(
        """
        SELECT c.id, c.unit_id, c.step_id, p.revision_id, p.operation, c.cycle, s.code AS station, c.verdict,
               c.station_verdict, c.started_at, c.ended_at, c.reported_at, t.code AS tool, c.program_revision,
               c.operator, c.second_operator, c.waivers, (c.answer -> 'findings')::text AS findings, m.numbers,
               m.texts, m.failed, f.why, f.signed_at, f.signed_by, f.sign_verdict
        FROM cycle c JOIN station s ON s.id = c.station_id JOIN step p ON p.id = c.step_id
        LEFT JOIN tool t ON t.id = c.tool_id
        LEFT JOIN measurement m ON m.cycle_id = c.id AND m.at = c.reported_at
        LEFT JOIN first_article f ON f.cycle_id = c.id AND f.station_id = c.station_id
        WHERE c.unit_id = ANY(:units) ORDER BY c.id
        """
    ).bindparams(bindparam("units", type_=IDS))
)
_CURVES = Prepared(
    text(
        """
        SELECT v.cycle_id, h.name AS characteristic, h.unit, v.ordinal, v.points
        FROM curve v JOIN characteristic h ON h.id = v.characteristic_id
        WHERE v.cycle_id = ANY(:cycles) ORDER BY v.cycle_id, h.ordinal, v.ordinal
        """
    ).bindparams(bindparam("cycles", type_=IDS))
)
_LABELS = Prepared(
    text(
        """
        SELECT copy AS copy_number, payload, reason, printed_at FROM print_job WHERE unit_id = :unit_id ORDER BY copy
        """
    ).bindparams(bindparam("unit_id", type_=BigInteger))
)
_REMOVED = Prepared(
    text(
        """
        SELECT p.number AS part, u.serial, l.number AS lot, w.serial AS parent, i.position, i.installed_at,
               i.removed_at, s.operation, d.decision, d.reason, i.child_id
        FROM installation i JOIN unit w ON w.id = i.parent_id LEFT JOIN unit u ON u.id = i.child_id
        LEFT JOIN lot l ON l.id = i.lot_id JOIN part p ON p.id = coalesce(u.part_id, i.part_id)
        LEFT JOIN cycle c ON c.id = i.removed_cycle_id LEFT JOIN step s ON s.id = c.step_id
        LEFT JOIN disposition d ON d.unit_id = i.child_id AND d.cycle_id = i.removed_cycle_id
        WHERE i.parent_id = ANY(:units) AND i.removed_at IS NOT NULL ORDER BY i.removed_at, i.id
        """
    ).bindparams(bindparam("units", type_=IDS))
)
_LOTS = Prepared(
    text(
        """
        WITH RECURSIVE known AS (
            SELECT id FROM lot WHERE number = ANY(:lots)
            UNION SELECT y.from_lot_id FROM lot_lineage y JOIN known k ON k.id = y.lot_id)
        SELECT l.id, l.number AS lot, p.number AS part, l.state, l.supplier, l.supplier_lot, l.country, l.date_code,
               l.received_at, l.expires_on,
               array(SELECT DISTINCT o.number FROM lot_lineage y JOIN lot o ON o.id = y.from_lot_id
                     WHERE y.lot_id = l.id ORDER BY o.number) AS made_of,
               array(SELECT d.kind FROM lot_document d WHERE d.lot_id = l.id ORDER BY d.id) AS kinds,
               array(SELECT d.file_name FROM lot_document d WHERE d.lot_id = l.id ORDER BY d.id) AS files,
               array(SELECT d.digest FROM lot_document d WHERE d.lot_id = l.id ORDER BY d.id) AS digests
        FROM known k JOIN lot l ON l.id = k.id JOIN part p ON p.id = l.part_id ORDER BY p.number, l.number
        """
    ).bindparams(bindparam("lots", type_=ARRAY(Text)))
)
_HOLDS = Prepared(
    text(
        """
        SELECT h.id AS hold, h.containment_id AS containment, u.serial, l.number AS lot, o.number AS "order", h.reason,
               h.stops, h.at_operation, h.release_roles,
               array(SELECT s.role || ' ' || s.signed_by FROM hold_signature s WHERE s.hold_id = h.id
                     ORDER BY s.id) AS signed,
               h.opened_at, h.opened_by, h.released_at, h.released_by, h.release_reason
        FROM hold h LEFT JOIN unit u ON u.id = h.unit_id LEFT JOIN lot l ON l.id = h.lot_id
        LEFT JOIN work_order o ON o.id = h.order_id
        WHERE h.unit_id = ANY(:units) OR h.lot_id = ANY(:lots) OR h.order_id = ANY(:orders) ORDER BY h.id
        """
    ).bindparams(*(bindparam(name, type_=IDS) for name in ("units", "lots", "orders")))
)
_DISPOSITIONS = Prepared(
    text(
        """
        SELECT u.serial, d.decision, d.operation, d.reason, d.decided_at, d.decided_by
        FROM disposition d JOIN unit u ON u.id = d.unit_id WHERE d.unit_id = ANY(:units) ORDER BY d.id
        """
    ).bindparams(bindparam("units", type_=IDS))
)
_REWORKS = Prepared(
    text(
        """
        SELECT unit_id, operation, max(after_cycle) AS after_cycle FROM disposition
        WHERE unit_id = ANY(:units) AND decision = 'rework' GROUP BY unit_id, operation
        """
    ).bindparams(bindparam("units", type_=IDS))
)
# Those that name a unit of the record, and those that a permit or a cycle of one made use of.
_WAIVERS = Prepared(
    text(
        """
        SELECT w.id AS waiver, w.rule,
               array(SELECT u.serial FROM unit u WHERE u.id = ANY(w.unit_ids) ORDER BY u.id) AS serials,
               s.code AS station, w.operation, w.starts_at, w.ends_at, w.reason, w.approved_by, w.approved_role,
               w.revoked_at, w.revoked_by
        FROM waiver w LEFT JOIN station s ON s.id = w.station_id
        WHERE w.unit_ids && :units OR w.id IN (
            SELECT unnest(waivers) FROM permit WHERE unit_id = ANY(:units)
            UNION SELECT unnest(waivers) FROM cycle WHERE unit_id = ANY(:units))
        ORDER BY w.id
        """
    ).bindparams(bindparam("units", type_=IDS))
)
_SIGNALS = Prepared(
    text(
        """
        SELECT g.id AS signal, g.chart_id AS chart, u.serial, h.operation, h.characteristic, s.code AS station,
               g.rules, g.blocks, g.opened_at, g.closed_at, g.closed_by, g.close_reason
        FROM signal g JOIN chart h ON h.id = g.chart_id JOIN station s ON s.id = h.station_id
        JOIN cycle c ON c.id = g.cycle_id JOIN unit u ON u.id = c.unit_id
        WHERE g.cycle_id = ANY(:cycles) ORDER BY g.id
        """
    ).bindparams(bindparam("cycles", type_=IDS))
)


async def units(session: ReadSession, ids: Collection[int]) -> dict[int, asyncpg.Record]:
    """Units as they stand, by id."""
    return {row["id"]: row for row in await session.run(_UNITS, units=sorted(ids))}


async def cycles(session: ReadSession, ids: Sequence[int]) -> list[asyncpg.Record]:
    """Every cycle of units, with its values and whether it was a first article, in order."""
    return await session.run(_CYCLES, units=ids)


async def curves(session: ReadSession, ids: Sequence[int]) -> list[asyncpg.Record]:
    """The curves of cycles, without their points."""
    return await session.run(_CURVES, cycles=ids)


async def labels(session: ReadSession, unit_id: int) -> list[LabelRecord]:
    """Each copy of a unit's label."""
    rows = await session.run(_LABELS, unit_id=unit_id)
    return [LabelRecord(**{k: v for k, v in row.items() if k != "payload"}, code=_said(row["payload"])) for row in rows]


def _said(payload: bytes) -> str:
    """What a code says, its separators by name."""
    return "".join(c if c.isprintable() else f"<{ord(c):02X}>" for c in payload.decode("utf-8", "replace"))


async def removed(session: ReadSession, ids: Sequence[int]) -> tuple[list[Removed], list[int]]:
    """What came out of units, in order of time; and the ids of the units that did."""
    rows = [dict(row) for row in await session.run(_REMOVED, units=ids)]
    children = [row.pop("child_id") for row in rows]
    return [Removed(**row) for row in rows], [child for child in children if child is not None]


async def lots(session: ReadSession, numbers: Sequence[str]) -> tuple[list[LotRecord], list[int]]:
    """Lots and those that they came from, with their documents; and their ids."""
    rows = [dict(row) for row in await session.run(_LOTS, lots=numbers)]
    ids = [row.pop("id") for row in rows]
    return [_lot(row) for row in rows], ids


def _lot(row: dict[str, Any]) -> LotRecord:
    papers = zip(row.pop("kinds"), row.pop("files"), row.pop("digests"), strict=True)
    return LotRecord(**row, documents=[Document(kind=k, file_name=f, sha256=d) for k, f, d in papers])


async def holds_on(
    session: ReadSession, *, unit_ids: Collection[int], lot_ids: Collection[int], order_ids: Collection[int]
) -> list[HoldAnswer]:
    """Every hold on units, lots or orders, released ones too, in order."""
    asked = {"units": sorted(unit_ids), "lots": sorted(lot_ids), "orders": sorted(order_ids)}
    return [HoldAnswer(**row) for row in await session.run(_HOLDS, **asked)]


async def decisions(session: ReadSession, ids: Collection[int]) -> list[Decision]:
    """What was decided about units, in order of time."""
    return [Decision(**row) for row in await session.run(_DISPOSITIONS, units=sorted(ids))]


async def reworks(session: ReadSession, ids: Sequence[int]) -> dict[tuple[int, str], int]:
    """By unit and operation its last cycle when quality last opened a rework."""
    return {(row["unit_id"], row["operation"]): row["after_cycle"] for row in await session.run(_REWORKS, units=ids)}


async def waivers(session: ReadSession, ids: Sequence[int]) -> list[WaiverAnswer]:
    """Waivers that name units, or were used by them."""
    return [WaiverAnswer(**row) for row in await session.run(_WAIVERS, units=ids)]


async def signals(session: ReadSession, cycle_ids: Sequence[int]) -> list[SignalRecord]:
    """Signals that cycles gave, open or closed."""
    return [SignalRecord(**row) for row in await session.run(_SIGNALS, cycles=cycle_ids)]
