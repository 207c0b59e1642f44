"""Runs many seeds over all cores, and says what happened in all of them."""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.simulation.mutants import MUTANTS
from tests.simulation.run import Broken, replay, run_seed
from tests.simulation.server import stage
from tests.simulation.shrink import keep, shorten, told
from tests.simulation.tallies import Tally

CHUNK = 8
SHOWN = 3  # broken laws that are cut down and printed


@dataclass
class Done:
    """What some seeds came to."""

    tally: Tally = field(default_factory=Tally)
    broken: list[Broken] = field(default_factory=list)


def run_seeds(seeds: Sequence[int], steps: int) -> Done:
    """Run some seeds in this process, one stage for all of them."""
    return uvloop.run(_run_seeds(seeds, steps))


async def _run_seeds(seeds: Sequence[int], steps: int) -> Done:
    done = Done()
    async with stage() as set_stage:
        for seed in seeds:
            tally, broken = await run_seed(set_stage, seed, steps)
            done.tally.add(tally)
            done.broken += [broken] if broken is not None else []
    return done


def in_chunks(seeds: Sequence[int], size: int = CHUNK) -> Iterator[Sequence[int]]:
    """Cut seeds into chunks."""
    for begin in range(0, len(seeds), size):
        yield seeds[begin : begin + size]


def run_many(seeds: Sequence[int], steps: int, jobs: int, console: Console) -> Done:
    """Run seeds in processes of their own: the clock that they hold is the process's."""
    whole = Done()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, TimeRemainingColumn(), console=console) as progress,
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
    ):
        bar = progress.add_task("seeds", total=len(seeds))
        waiting = {pool.submit(run_seeds, chunk, steps): len(chunk) for chunk in in_chunks(seeds)}
        for future in as_completed(waiting):
            done = future.result()
            whole.tally.add(done.tally)
            whole.broken += done.broken
            word = f"seeds, {len(whole.broken)} broken" if whole.broken else "seeds"
            progress.update(bar, advance=waiting[future], description=word)
    return whole


@dataclass(frozen=True)
class Hunted:
    """Whether a mutant was found, where, and how short its shortest replay is."""

    name: str
    broken: Broken | None
    shortest: int | None = None


def hunt(name: str, seeds: Sequence[int], steps: int, replays: int = 0) -> Hunted:
    """Work with a fault until a law breaks that the same actions don't break without it."""
    return uvloop.run(_hunt(name, seeds, steps, replays))


async def _hunt(name: str, seeds: Sequence[int], steps: int, replays: int) -> Hunted:
    async with stage() as set_stage:
        for seed in seeds:
            with MUTANTS[name].patched():
                _, broken = await run_seed(set_stage, seed, steps)
            if broken is None or await replay(set_stage, broken.actions) is not None:
                continue
            with MUTANTS[name].patched():
                shortest = await shorten(set_stage, broken, replays) if replays else broken
            return Hunted(name, broken, len(shortest.actions))
    return Hunted(name, None)


def hunt_all(seeds: Sequence[int], steps: int, jobs: int) -> Iterator[Hunted]:
    """Hunt every mutant, one a process."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(hunt, MUTANTS, repeat(seeds), repeat(steps), repeat(20))


def show_broken(broken: Sequence[Broken], console: Console) -> None:
    """Cut down and print the first of each law that was broken."""
    folder = Path(tempfile.gettempdir())
    first = {one.law: one for one in sorted(broken, key=lambda one: -one.step)}
    for one in list(first.values())[:SHOWN]:
        shortest = uvloop.run(_shorten(one))
        console.print(told(shortest, one.step, keep(shortest, folder)), markup=False, highlight=False, soft_wrap=True)


async def _shorten(broken: Broken) -> Broken:
    async with stage() as set_stage:
        return await shorten(set_stage, broken)
