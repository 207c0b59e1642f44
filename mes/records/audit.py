"""Counts what must never be, law by law: run nightly, after each bench, and in tests."""

from sqlalchemy import text

from mes.db import ReadSession

LAWS: dict[str, str] = {
    "law 1: a unit is in one place": """
        SELECT child_id FROM installation WHERE removed_at IS NULL AND child_id IS NOT NULL
        GROUP BY child_id HAVING count(*) > 1""",
    "law 2: a position holds one unit": """
        SELECT parent_id FROM installation WHERE removed_at IS NULL AND child_id IS NOT NULL
        GROUP BY parent_id, part_id, position HAVING count(*) > 1""",
    "law 4: a fact is recorded once": """
        SELECT station_id FROM cycle GROUP BY station_id, cycle HAVING count(*) > 1""",
    "law 5: a unit is built to the revision its order was released with": """
        SELECT u.id FROM unit u LEFT JOIN order_revision r ON r.order_id = u.order_id AND r.part_id = u.part_id
        WHERE u.order_id IS NOT NULL AND r.revision_id IS DISTINCT FROM u.revision_id""",
    "law 6: what a held part is in is held, or was released": """
        SELECT i.parent_id FROM hold h JOIN installation i
            ON (i.child_id = h.unit_id OR i.lot_id = h.lot_id) AND i.removed_at IS NULL
        WHERE h.released_at IS NULL AND NOT EXISTS (SELECT FROM hold p WHERE p.unit_id = i.parent_id)""",
    "law 6: no hold is closed without its signatures": """
        SELECT h.id FROM hold h WHERE h.released_at IS NOT NULL AND EXISTS (
            SELECT FROM unnest(h.release_roles) AS r (role) WHERE NOT EXISTS (
                SELECT FROM hold_signature s WHERE s.hold_id = h.id AND s.role = r.role))""",
    "what came out of a unit has its disposition": """
        SELECT i.id FROM installation i WHERE i.removed_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM disposition d WHERE d.unit_id = i.child_id AND d.cycle_id = i.removed_cycle_id)""",
    "no part in use is scrap or waits for its re-test, but for a finding": """
        SELECT u.id FROM unit u JOIN installation i ON i.child_id = u.id AND i.removed_at IS NULL
        WHERE u.state IN ('scrapped', 'removed') AND NOT EXISTS (
            SELECT FROM finding f WHERE f.cycle_id = i.cycle_id
            AND f.code IN ('component_scrapped', 'component_untested'))""",
    "law 7: every cycle has its values": """
        SELECT c.id FROM cycle c WHERE NOT EXISTS (
            SELECT FROM measurement m WHERE m.cycle_id = c.id AND m.at = c.reported_at)""",
    "law 8: an order counts what was finished": """
        SELECT o.id FROM work_order o WHERE o.finished <> (
            SELECT count(*) FROM unit u WHERE u.order_id = o.id AND u.part_id = o.part_id AND u.state = 'finished')""",
    "law 9: what is left of a lot is what came in less what was used and what became another lot": """
        SELECT l.id FROM lot l WHERE l.quantity_left <> l.quantity - coalesce((
            SELECT sum(i.quantity) FROM installation i WHERE i.lot_id = l.id AND i.child_id IS NULL), 0)
            - coalesce((SELECT sum(y.quantity) FROM lot_lineage y WHERE y.from_lot_id = l.id), 0)""",
    "law 9: a lot that came from others is what came from them": """
        SELECT l.id FROM lot l JOIN lot_lineage y ON y.lot_id = l.id
        GROUP BY l.id HAVING sum(y.quantity) <> l.quantity""",
    "law 10: every permit and cycle is journaled": """
        SELECT 1 FROM (SELECT (SELECT count(*) FROM cycle) AS cycles,
            (SELECT count(*) FROM act WHERE name = 'execution.report_result') AS acts) AS n WHERE cycles <> acts""",
    "no orphans: every edge leads to units and lots that are there": """
        SELECT i.id FROM installation i LEFT JOIN unit p ON p.id = i.parent_id LEFT JOIN unit c ON c.id = i.child_id
        LEFT JOIN lot l ON l.id = i.lot_id LEFT JOIN cycle y ON y.id = i.cycle_id
        WHERE p.id IS NULL OR y.id IS NULL OR (i.child_id IS NOT NULL AND c.id IS NULL)
           OR (i.lot_id IS NOT NULL AND l.id IS NULL)
           OR (i.child_id IS NOT NULL AND i.lot_id IS NOT NULL AND c.lot_id IS DISTINCT FROM i.lot_id)""",
}


async def audit(session: ReadSession) -> dict[str, int]:
    """Count the rows that break each law: all zero, unless something is very wrong."""
    return {
        law: int((await session.execute(text(f"SELECT count(*) FROM ({broken}) AS broken"))).scalar_one())  # noqa: S608
        for law, broken in LAWS.items()
    }
