"""`mes bench import`: a supplier's file received as a lot, against PostgreSQL's own COPY of the same columns."""

import asyncio
import multiprocessing
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import polars as pl

from mes import clock
from mes.bench.plant import ACTOR, BenchPlant, bench_plant, scratch_server
from mes.cells.service import read_receipt, receive_units
from mes.db import open_database
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.settings import Settings

PART, CARTON, WARM_UP = "BENCH-CELL", 160, 1000
WAYS = ("import", "COPY")
HEADINGS: dict[str, dict[str, Any]] = {
    "serial": {"column": "Cell ID"},
    "carton": {"column": "Carton"},
    "ocv_v": {"column": "OCV (V)", "min": 2.0, "max": 3.7},
    "acir_mohm": {"column": "ACIR (mOhm)", "min": 0.5, "max": 10.0},
    "capacity_ah": {"column": "Capacity (Ah)", "min": 5.0, "max": 30.0},
    "measured_at": {"column": "Measured at"},
    "date_code": {"column": "Date code"},
}
PLANT: dict[str, Any] = {
    "parts": [{"number": PART, "name": "Bench cell", "trace": "serial", "unit": "pcs", "receiving": HEADINGS}]
}
UNIT = ["id", "serial", "part_id", "lot_id", "state", "created_at"]
CELL = ["unit_id", *(field for field in HEADINGS if field != "serial")]


@dataclass(frozen=True)
class ImportFigures:
    """What one round measured; rows a second by either way, and the most memory the import took."""

    rows_per_s: float
    copy_rows_per_s: float
    peak_memory_mb: float


def measure_import(count: int, rounds: int, on_step: Callable[[int, str], None]) -> list[ImportFigures]:
    """Measure some rounds of so many cells each way, in one run, on one server."""
    with scratch_server() as server, TemporaryDirectory() as folder:
        return asyncio.run(_measure(server, Path(folder), count, rounds, on_step))


async def _measure(
    server: Any, folder: Path, count: int, rounds: int, on_step: Callable[[int, str], None]
) -> list[ImportFigures]:
    figures = []
    async with bench_plant(server) as plant:
        await plant.database.transact(apply_plan, PlantFiles.model_validate(PLANT), ACTOR)
        await _import(plant, _cells("warm-up", WARM_UP), folder / "warm-up.csv")
        owner = await asyncpg.connect(plant.dsn)
        for n in range(rounds):
            # the tables grow: each way is the first of a round in turn
            for half, way in enumerate(WAYS if n % 2 == 0 else reversed(WAYS)):
                on_step(2 * n + half, f"round {n + 1}: {way}")
                cells = _cells(f"{way}-{n}", count)
                await owner.execute("CHECKPOINT")
                if way == "import":
                    import_s, peak_mb = await _import(plant, cells, folder / f"{n}.csv")
                else:
                    copy_s = await _copy(owner, cells, folder)
            figures.append(ImportFigures(count / import_s, count / copy_s, peak_mb))
        await owner.close()
    return figures


def _cells(prefix: str, count: int) -> pl.DataFrame:
    """A supplier's cells, by our fields."""
    n = pl.int_range(count)
    first = clock.now().replace(microsecond=0, tzinfo=None)
    return pl.select(n.alias("n")).select(
        serial=pl.format("{}-LFP32140-{}", pl.lit(prefix), pl.col("n").cast(pl.String).str.zfill(8)),
        carton=pl.format("{}-K{}", pl.lit(prefix), pl.col("n") // CARTON),
        ocv_v=(3.26 + pl.col("n") % 97 / 1e4).round(4),
        acir_mohm=(2.1 + pl.col("n") % 89 / 1e3).round(3),
        capacity_ah=(15.0 + pl.col("n") % 301 / 1e3).round(3),
        measured_at=(pl.lit(first) + pl.col("n") * timedelta(seconds=1)).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        date_code=pl.format("26W{}", pl.col("n") % 52),
    )


async def _import(plant: BenchPlant, cells: pl.DataFrame, path: Path) -> tuple[float, float]:
    """Receive a file in a process of its own: seconds, and its peak memory in MB."""
    cells.rename({field: named["column"] for field, named in HEADINGS.items()}).write_csv(path)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return await asyncio.get_running_loop().run_in_executor(process, receive_file, plant.url, path)


def receive_file(url: str, path: Path) -> tuple[float, float]:
    """Do what `mes receive` does: seconds, and the peak memory of this process in MB."""

    async def work() -> float:
        database = open_database(Settings(database_url=None, owner_database_url=None), url)
        receipt = {"lot": path.stem, "part": PART, "supplier": "Bench", "supplier_lot": path.stem, "country": "US"}
        begun = time.perf_counter()
        message = await read_receipt(database, receipt, await asyncio.to_thread(path.read_bytes), path.name)
        await database.transact(receive_units, message, ACTOR)
        took = time.perf_counter() - begun
        await database.close()
        return took

    seconds = asyncio.run(work())
    peak_kb = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return seconds, int(peak_kb[0]) / 1024


async def _copy(owner: asyncpg.Connection, cells: pl.DataFrame, folder: Path) -> float:
    """Copy files that are ready for it, ids and all: seconds."""
    first = await owner.fetchval("SELECT nextval('unit_id_seq')")
    await owner.execute("SELECT setval('unit_id_seq', $1)", first + cells.height - 1)
    lot = await owner.fetchrow("SELECT id AS lot_id, part_id FROM lot WHERE number = 'warm-up'")
    ids = pl.int_range(first, first + cells.height)
    known = {**lot, "state": "received", "created_at": clock.now()}
    units = cells.select(ids.alias("id"), "serial", *(pl.lit(value).alias(name) for name, value in known.items()))
    units.select(UNIT).write_csv(folder / "unit", include_header=False)
    cells.select(ids.alias("unit_id"), *CELL[1:]).write_csv(folder / "cell", include_header=False)
    begun = time.perf_counter()
    async with owner.transaction():
        await owner.copy_to_table("unit", source=folder / "unit", columns=UNIT, format="csv")
        await owner.copy_to_table("cell", source=folder / "cell", columns=CELL, format="csv")
    return time.perf_counter() - begun
