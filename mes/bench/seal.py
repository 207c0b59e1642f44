"""`mes bench seal`: reports a second with and without the sealer, in turn, and how fast the record is verified."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from mes.bench.by_hand import KEEP_FROM_SEALING, LET_SEAL
from mes.bench.load import Measured
from mes.bench.plant import BenchPlant, bench_plant, scratch_server, serving
from mes.bench.station import drive_permits, drive_reports, fill
from mes.embedded_postgres import EmbeddedPostgres
from mes.seal.verify import Verdict, verify_all

_SEALED = "SELECT coalesce(max(id), 0) FROM seal"
IDLE_S = 2.0  # without a new seal: all is sealed
OnStep = Callable[[int, str], None]


@dataclass(frozen=True)
class SealFigures:
    """What one run measured: rounds of both kinds, in turn."""

    sealed: list[Measured]
    unsealed: list[Measured]
    seals: int
    verdict: Verdict
    verify_s: float


def measure_seals(reports: int, rounds: int, workers: int, on_step: OnStep) -> SealFigures:
    """Measure some rounds of so many reports each way, in one run, on one server."""
    with scratch_server() as server:
        return asyncio.run(_measure(server, reports, rounds, workers, on_step))


async def _measure(server: EmbeddedPostgres, reports: int, rounds: int, workers: int, on_step: OnStep) -> SealFigures:
    lead = reports // 2  # before the clock starts, so that the sealer is as far behind then as at the end
    async with bench_plant(server) as plant:
        units, components = await fill(plant, (lead + reports) * 2 * rounds)
        sealed: list[Measured] = []
        unsealed: list[Measured] = []
        guard = await asyncpg.connect(plant.dsn)
        async with serving(plant, workers):
            for step in range(2 * rounds):
                on_step(step, "sealing what is there")
                await _until_sealed(guard)
                is_sealed = step % 2 == 0
                on_step(step, "with the sealer" if is_sealed else "without")
                if not is_sealed:
                    await guard.execute(KEEP_FROM_SEALING)
                measured = await _round(plant, units, components, lead, reports)
                (sealed if is_sealed else unsealed).append(measured)
                if not is_sealed:
                    await guard.execute(LET_SEAL)
            await _until_sealed(guard)
        on_step(2 * rounds, "verifying")
        seals = await guard.fetchval(_SEALED)
        await guard.close()
        begun = time.perf_counter()
        verdict = await verify_all(plant.database)
        return SealFigures(sealed, unsealed, seals, verdict, time.perf_counter() - begun)


async def _round(plant: BenchPlant, units: list[str], components: list[str], lead: int, count: int) -> Measured:
    mine = [units.pop() for _ in range(lead + count)]
    await drive_permits(plant, mine)
    await drive_reports(plant, mine[:lead], components)
    return await drive_reports(plant, mine[lead:], components)


async def _until_sealed(connection: asyncpg.Connection) -> None:
    newest, since = -1, time.perf_counter()
    while time.perf_counter() - since < IDLE_S:
        if (now := await connection.fetchval(_SEALED)) != newest:
            newest, since = now, time.perf_counter()
        await asyncio.sleep(0.1)
