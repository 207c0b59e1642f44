"""A synthetic history of packs, written straight into the ledgers: cells in modules in packs, a result for each."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from mes import clock
from mes.bench.plant import ACTOR, BenchPlant
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan

MODULES, CELLS_A_LOT, PACKS_A_DAY, AT_ONCE = 8, 10_000, 500, 500
WELDED, TESTED = 14, 4  # values of a result
OUTSIDE = (90.0, 110.0)  # of welds: about two in a thousand values


def plant(cells: int) -> dict[str, Any]:
    """Two welding stations, one for tests; a pack of eight modules of cells."""
    pull = {"name": "weld_pull_n", "unit": "N", "count": WELDED, "min": 80, "max": 120}
    capacity = {"name": "capacity_ah", "unit": "Ah", "count": TESTED, "min": 90, "max": 120}
    stations = [
        {"code": code, "name": code, "operations": [operation]}
        for code, operation in (("W-1", "10"), ("W-2", "10"), ("T-1", "20"))
    ]
    line = {"code": "B", "name": "Bench", "stations": stations}
    return {
        "sites": [{"code": "BENCH", "name": "Bench", "lines": [line]}],
        "parts": [
            {"number": "CELL", "name": "Cell", "trace": "serial"},
            {"number": "MOD", "name": "Module", "trace": "serial", "serial_pattern": "M{number:07}"},
            {"number": "PACK", "name": "Pack", "trace": "serial", "serial_pattern": "P{number:07}"},
        ],
        "products": [
            {
                "part": "MOD",
                "bom": [{"part": "CELL", "operation": "10", "quantity": cells // MODULES}],
                "route": [{"operation": "10", "name": "Weld", "characteristics": [pull]}],
            },
            {
                "part": "PACK",
                "bom": [{"part": "MOD", "operation": "20", "quantity": MODULES}],
                "route": [{"operation": "20", "name": "Test", "characteristics": [capacity]}],
            },
        ],
    }


@dataclass(frozen=True)
class Written:
    """What was written: how many packs of how many cells, the last of them when, and the seconds that it took."""

    packs: int
    cells: int
    until: datetime
    seconds: float

    @property
    def full_lots(self) -> int:
        """How many lots are used up whole, but for what was scrapped."""
        return max(self.packs * self.cells // CELLS_A_LOT, 1)


# Ids are computed: pack p has a block of :block units, itself first, then its modules, then its cells, then a spare
# cell for each module; of every hundredth module the first cell was replaced by its spare.
_SHAPE = f"""
    WITH shape AS (
        SELECT p, p * (1 + m + c + m) AS base, m, c, c / m AS per, CAST($3 AS timestamptz)
               + make_interval(secs => p * 86400.0 / {PACKS_A_DAY}) AS at,
               (SELECT id FROM work_order WHERE number = 'BENCH') AS order_id
        FROM generate_series(CAST($1 AS bigint), CAST($2 AS bigint)) AS p,
             (SELECT CAST($4 AS bigint) AS m, CAST($5 AS bigint) AS c) AS of)
"""  # noqa: S608
_UNITS = f"""
    {_SHAPE},
    made AS (
        SELECT base + 1 AS id, 'P' || lpad(p::text, 7, '0') AS serial, 'PACK' AS part, at, order_id FROM shape
        UNION ALL SELECT base + 2 + k, 'M' || lpad((p * m + k)::text, 7, '0'), 'MOD', at, order_id
                  FROM shape, generate_series(0, m - 1) AS k)
    INSERT INTO unit (id, serial, part_id, lot_id, order_id, revision_id, state, created_at, finished_at)
    OVERRIDING SYSTEM VALUE
    SELECT d.id, d.serial, a.id, NULL, d.order_id, r.id, 'finished', d.at, d.at
    FROM made d JOIN part a ON a.number = d.part JOIN product_revision r ON r.part_id = a.id
    UNION ALL
    SELECT base + 2 + m + k, 'C' || lpad((p * (c + m) + k)::text, 10, '0'), a.id, l.id, NULL, NULL,
           CASE WHEN k < c AND k % per = 0 AND (p * m + k / per) % 100 = 0 THEN 'scrapped' ELSE 'received' END, at, NULL
    FROM shape CROSS JOIN part a CROSS JOIN generate_series(0, c + m - 1) AS k
    JOIN lot l ON l.number = 'CELL-' || (p * c + least(k, c - 1)) / {CELLS_A_LOT}
    WHERE a.number = 'CELL'
"""  # noqa: S608 - of this file's own constants
# A pack's own result has the number of its block, its modules' the ones after it.
_CYCLES = f"""
    {_SHAPE},
    results AS (
        SELECT p * (m + 1) + 1 + k AS id, base + 1 + k AS unit_id, at, p,
               CASE WHEN k = 0 THEN 'T-1' WHEN (p + k) % 2 = 0 THEN 'W-1' ELSE 'W-2' END AS station,
               CASE WHEN k = 0 THEN 'PACK' ELSE 'MOD' END AS part
        FROM shape CROSS JOIN generate_series(0, m) AS k),
    placed AS (
        SELECT d.*, s.id AS station_id, t.id AS step_id FROM results d JOIN station s ON s.code = d.station
        JOIN part a ON a.number = d.part JOIN product_revision r ON r.part_id = a.id
        JOIN step t ON t.revision_id = r.id),
    valued AS (
        INSERT INTO measurement (cycle_id, at, step_id, numbers, texts, failed)
        SELECT id, at, step_id,
               CASE part WHEN 'MOD' THEN array(
                   SELECT 100 + 6.5 * (random() + random() + random() + random() - 2 + 0 * d.id)
                   FROM generate_series(1, {WELDED}))
               ELSE array(SELECT 105 + random() + 0 * d.id FROM generate_series(1, {TESTED})) END, '{{}}', '{{}}'
        FROM placed d)
    INSERT INTO cycle (id, station_id, cycle, asker, unit_id, step_id, verdict, station_verdict, answer, waivers,
                       verdicts, digest, started_at, ended_at, reported_at)
    OVERRIDING SYSTEM VALUE
    SELECT id, station_id, 'b-' || id, 'bench', unit_id, step_id, 'passed', 'passed',
           '{{"failures": [], "findings": [], "failure_count": 0}}', '{{}}', '{{}}', sha256(int8send(id)),
           at - interval '1 minute', at, at
    FROM placed
"""  # noqa: S608
_EDGES = f"""
    {_SHAPE},
    edges AS (
        SELECT base + 1 AS parent_id, base + 2 + k AS child_id, NULL AS lot, 'MOD' AS part, k + 1 AS position,
               p * (m + 1) + 1 AS cycle_id, at, false AS is_out
        FROM shape CROSS JOIN generate_series(0, m - 1) AS k
        UNION ALL
        SELECT base + 2 + k / per, base + 2 + m + k, 'CELL-' || (p * c + k) / {CELLS_A_LOT}, 'CELL', k % per + 1,
               p * (m + 1) + 2 + k / per, at, k % per = 0 AND (p * m + k / per) % 100 = 0
        FROM shape CROSS JOIN generate_series(0, c - 1) AS k
        UNION ALL
        SELECT base + 2 + k, base + 2 + m + c + k, 'CELL-' || (p * c + c - 1) / {CELLS_A_LOT}, 'CELL', 1,
               p * (m + 1) + 2 + k, at + interval '1 minute', false
        FROM shape CROSS JOIN generate_series(0, m - 1) AS k WHERE (p * m + k) % 100 = 0)
    INSERT INTO installation (parent_id, child_id, lot_id, part_id, position, quantity, cycle_id, installed_at,
                              removed_cycle_id, removed_at, closing_id)
    SELECT d.parent_id, d.child_id, l.id, a.id, d.position, 1, d.cycle_id, d.at,
           CASE WHEN d.is_out THEN d.cycle_id END, CASE WHEN d.is_out THEN d.at + interval '1 minute' END,
           CASE WHEN d.is_out THEN nextval('closing_id_seq') END
    FROM edges d JOIN part a ON a.number = d.part LEFT JOIN lot l ON l.number = d.lot
"""  # noqa: S608
_LOTS = f"""
    INSERT INTO lot (number, part_id, state, supplier, supplier_lot, quantity, quantity_left, country, received_at)
    SELECT 'CELL-' || n, a.id, 'released', 'Bench', 'S-' || n, {CELLS_A_LOT}, {CELLS_A_LOT}, 'US', $2
    FROM generate_series(0, CAST($1 AS bigint)) AS n, part a WHERE a.number = 'CELL'
"""  # noqa: S608
_ORDER = """
    WITH made AS (
        INSERT INTO work_order (number, part_id, quantity, finished, state, priority, created_at)
        SELECT 'BENCH', id, $1, $1, 'completed', 0, $2 FROM part WHERE number = 'PACK' RETURNING id)
    INSERT INTO order_revision (order_id, part_id, revision_id)
    SELECT made.id, r.part_id, r.id FROM made, product_revision r
"""


async def write_history(bench: BenchPlant, packs: int, cells: int, on_packs: Callable[[int], None]) -> Written:
    """Write so many packs of so many cells each, ended now; the ledgers' triggers are on."""
    await bench.database.transact(apply_plan, PlantFiles.model_validate(plant(cells)), ACTOR)
    until = clock.now()
    since = until - timedelta(days=packs / PACKS_A_DAY)
    owner = await asyncpg.connect(bench.dsn)
    try:
        begun = time.perf_counter()
        months = (until.year - since.year) * 12 + until.month - since.month + 1
        await owner.fetchval("SELECT add_months($1, $2)", since.date(), months)
        await owner.execute(_ORDER, packs, since)
        await owner.execute(_LOTS, packs * cells // CELLS_A_LOT, since)
        await owner.execute("ANALYZE lot, part, product_revision, step, station, work_order")
        for first in range(0, packs, AT_ONCE):
            last = min(first + AT_ONCE, packs) - 1
            for statement in (_UNITS, _CYCLES, _EDGES):
                await owner.execute(statement, first, last, since, MODULES, cells)
            on_packs(last + 1)
        for table in ("unit", "cycle"):
            await owner.execute(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")  # noqa: S608
        await owner.execute("VACUUM (ANALYZE) unit, installation, cycle, measurement, lot")
        return Written(packs, cells, until, time.perf_counter() - begun)
    finally:
        await owner.close()
