"""`mes bench trace`: what is asked of a large record: a pack as built, where a lot is, which units a station's values
single out."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from statistics import median
from typing import Any

from pydantic import BaseModel

from mes.as_built.service import as_built
from mes.bench.history import MODULES, OUTSIDE, PACKS_A_DAY, Written, write_history
from mes.bench.plant import BenchPlant, bench_plant, scratch_server
from mes.db import ReadSession
from mes.find.service import find
from mes.genealogy.trace import trace, where_used

DAYS, SHOWN = 7, 100_000
OnPacks = Callable[[int], None]


def measure_trace(packs: int, cells: int, asked: int, on_packs: OnPacks) -> dict[str, float]:
    """Write a history and ask of it; medians of so many questions of each kind, each of another pack or lot."""
    with scratch_server() as server:
        return asyncio.run(_measure(server, packs, cells, asked, on_packs))


async def _measure(server: Any, packs: int, cells: int, asked: int, on_packs: OnPacks) -> dict[str, float]:
    async with bench_plant(server) as plant:
        written = await write_history(plant, packs, cells, on_packs)
        chance = random.Random(1)  # noqa: S311 - the same packs in each run
        serials = [f"P{chance.randrange(packs):07}" for _ in range(asked)]
        lots = [f"CELL-{chance.randrange(written.full_lots)}" for _ in range(asked)]
        as_built_ms, traced = await _ask(plant, trace, serials)
        record_ms, _ = await _ask(plant, as_built, serials)
        where_used_ms, used = await _ask(plant, where_used, lots)
        sideways_ms, found = await _ask(plant, _sideways, [_question(written)] * max(asked // 5, 3))
        async with plant.database.reading() as session:
            size = await session.driver.fetchval("SELECT pg_database_size(current_database())")
    _check(written, traced, used, found)
    return {
        "packs": float(packs),
        "as_built_p50_ms": as_built_ms,
        "record_p50_ms": record_ms,
        "where_used_lot_ms": where_used_ms,
        "where_used_packs": median(len(one.packs) for one in used),
        "sideways_7d_ms": sideways_ms,
        "sideways_units": float(found[0].affected),
        "database_gb": size / 1e9,
        "write_s": written.seconds,
    }


def _question(written: Written) -> str:
    since = written.until - timedelta(days=DAYS)
    low, high = OUTSIDE
    period = f"{since:%Y-%m-%dT%H:%MZ}..{written.until + timedelta(minutes=1):%Y-%m-%dT%H:%MZ}"
    return f"passed (station = W-1 and at {period} and value weld_pull_n outside {low:g}..{high:g})"


async def _sideways(session: ReadSession, question: str) -> Any:
    return await find(session, question, limit=SHOWN)


async def _ask(
    plant: BenchPlant, read: Callable[[ReadSession, str], Awaitable[BaseModel]], names: list[str]
) -> tuple[float, list[Any]]:
    """Ask once for each name, to the answer's JSON: the median in ms. What the first one alone costs isn't counted."""
    took, answers = [], []
    for name in [names[0], *names]:
        begun = time.perf_counter()
        async with plant.database.reading() as session:
            answer = await read(session, name)
        answer.model_dump_json()
        took.append(1000 * (time.perf_counter() - begun))
        answers.append(answer)
    return median(took[1:]), answers


def _check(written: Written, traced: list[Any], used: list[Any], found: list[Any]) -> None:
    """A figure of a wrong answer is worth nothing."""
    for one in traced:
        inside = sum(len(module.inside) for module in one.tree.inside)
        if (len(one.tree.inside), inside) != (MODULES, written.cells // MODULES * MODULES):
            raise RuntimeError(f"{one.serial}: {len(one.tree.inside)} modules, {inside} cells")
    for one in used:
        least = min(written.packs, 10_000 // written.cells)
        if not least <= len(one.packs) <= least + 2:
            raise RuntimeError(f"{one.lot}: in {len(one.packs)} packs, expected about {least}")
    share = found[0].affected / (min(DAYS, written.packs / PACKS_A_DAY) * PACKS_A_DAY * MODULES / 2)
    if not 0 < share < 2:
        raise RuntimeError(f"{found[0].affected} units outside, {share:.0%} of those that passed")
