"""`mes bench contain`: ten thousand units held by a question while sixteen stations report; how long they wait."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from mes import clock
from mes.bench.load import Measured
from mes.bench.plant import bench_plant, scratch_server, serving
from mes.bench.station import STATION, drive_permits, drive_reports, fill

OnStep = Callable[[int, str], None]
_SLIPPED = """
    SELECT count(*) FROM (SELECT DISTINCT unit_id FROM cycle WHERE unit_id IS NOT NULL) c
    WHERE NOT EXISTS (SELECT FROM hold h WHERE h.unit_id = c.unit_id AND h.released_at IS NULL)
"""


def measure_containment(units: int, meanwhile: int, workers: int, on_step: OnStep) -> dict[str, float]:
    """Hold so many units that passed a station, while so many more pass it; all of them must be held in the end."""
    with scratch_server() as server:
        return asyncio.run(_measure(server, units, meanwhile, workers, on_step))


async def _measure(server: Any, units: int, meanwhile: int, workers: int, on_step: OnStep) -> dict[str, float]:
    async with bench_plant(server) as plant:
        on_step(0, "making units")
        mine, components = await fill(plant, units + 2 * meanwhile)
        async with serving(plant, workers), plant.connection() as quality:
            on_step(1, "working on them")
            await drive_permits(plant, mine)
            await drive_reports(plant, [mine.pop() for _ in range(units)], components)
            alone = await drive_reports(plant, [mine.pop() for _ in range(meanwhile)], components)
            on_step(2, "holding them while others are reported")
            question = f"station = {STATION} and at 2020-01-01T00:00Z..{clock.now().replace(year=9999).isoformat()}"
            load = asyncio.create_task(drive_reports(plant, mine, components))
            await asyncio.sleep(0.2)
            begun = time.perf_counter()
            body = {"question": question, "reason": "bench", "stops": ["consume", "ship"]}
            answer = await quality.post("/api/containments", body)
            contain_s = time.perf_counter() - begun
            beside = await load
        async with plant.database.reading() as session:
            slipped = await session.driver.fetchval(_SLIPPED)
    return _figures(answer["subjects"], contain_s, alone, beside, slipped)


def _figures(held: int, contain_s: float, alone: Measured, beside: Measured, slipped: int) -> dict[str, float]:
    return {
        "held_at_once": held,
        "contain_s": contain_s,
        "longest_wait_ms": beside.percentile_ms(100),
        "report_p99_ms": beside.percentile_ms(99),
        "longest_wait_without_ms": alone.percentile_ms(100),
        "slipped": slipped,
    }
