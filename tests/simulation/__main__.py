"""`python -m tests.simulation`: many seeds, the mutants, or a replay."""

import argparse
import json
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mes.execution.rules import Reason
from tests.simulation.many import hunt_all, run_many, show_broken
from tests.simulation.mutants import MUTANTS
from tests.simulation.run import Broken, replay
from tests.simulation.server import serving, stage
from tests.simulation.tallies import Tally

# said of a report alone, or kept by the journal alone
NEVER_REFUSED = {Reason.OFFLINE, Reason.PERMIT_MISSING, Reason.PERMIT_REFUSED, Reason.COMPONENT_MISSING}
NEVER_FOUND = {Reason.OFFLINE, Reason.STATION_UNKNOWN, Reason.UNIT_UNKNOWN, Reason.NOT_IN_ROUTE}


def main() -> int:
    """Read the command line and do it; the exit code."""
    said = argparse.ArgumentParser(prog="python -m tests.simulation")
    said.add_argument("--seeds", type=int, default=50)
    said.add_argument("--first", type=int, default=1)
    said.add_argument("--steps", type=int, default=300)
    said.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1), help="round trips leave a core idle")
    said.add_argument("--replay", type=Path)
    said.add_argument("--mutants", action="store_true", help="must be found within --seeds each")
    said.add_argument("--mutant", choices=MUTANTS, help="with --replay: the fault to work with")
    asked = said.parse_args()
    console = Console()
    with serving():
        if asked.replay:
            return _replay(asked.replay, asked.mutant, console)
        if asked.mutants:
            return _mutants(range(asked.first, asked.first + asked.seeds), asked.steps, asked.jobs, console)
        began = time.monotonic()
        done = run_many(range(asked.first, asked.first + asked.seeds), asked.steps, asked.jobs, console)
        _summary(done.tally, time.monotonic() - began, console)
        if done.broken:
            show_broken(done.broken, console)
            seeds = ", ".join(str(broken.seed) for broken in done.broken)
            console.print(f"[bold red]{len(done.broken)} of {asked.seeds} seeds broke a law: {seeds}[/]")
            return 1
        console.print(f"[bold green]no law was broken in {asked.seeds} seeds[/]")
    return 0


def _mutants(seeds: Sequence[int], steps: int, jobs: int, console: Console) -> int:
    table = Table("mutant", "the fault", "found", "seed", "law", "step", "shortest", title="Deliberate faults")
    found = 0
    for hunted in track(hunt_all(seeds, steps, jobs), "mutants", len(MUTANTS), console=console):
        broken = hunted.broken
        found += broken is not None
        row = (
            (str(broken.seed), str(broken.law), str(broken.step), str(hunted.shortest)) if broken else ("", "", "", "")
        )
        table.add_row(hunted.name, MUTANTS[hunted.name].says, "yes" if broken else "[bold red]no[/]", *row)
    console.print(table)
    console.print(f"{found} of {len(MUTANTS)} found")
    return 0 if found == len(MUTANTS) else 1


def _replay(path: Path, mutant: str | None, console: Console) -> int:
    actions = json.loads(path.read_text())

    async def again() -> Broken | None:
        with MUTANTS[mutant].patched() if mutant else nullcontext():
            async with stage() as set_stage:
                return await replay(set_stage, actions)

    broken = uvloop.run(again())
    console.print(
        f"law {broken.law}, action {broken.step}: {broken.seen}" if broken else "no law is broken", markup=False
    )
    return 1 if broken else 0


def _summary(tally: Tally, seconds: float, console: Console) -> None:
    per_step = seconds / max(tally.steps, 1) * 1000
    console.print(
        f"{tally.seeds} seeds, {tally.steps} steps, {tally.messages} messages, {tally.packs} packs finished, "
        f"{tally.crashes} crashes, {tally.waived} waivers used, {seconds:.0f} s ({per_step:.2f} ms a step)"
    )
    for title in ("acts", "outcomes", "refusals", "findings"):
        counted = ", ".join(f"{name} {count}" for name, count in getattr(tally, title).most_common())
        console.print(f"[bold]{title}[/] {counted}", highlight=False)
    for title, never in (("refusals", NEVER_REFUSED), ("findings", NEVER_FOUND)):
        missing = [reason.value for reason in Reason if reason not in never and not getattr(tally, title)[reason.value]]
        console.print(f"[bold]{title} never seen:[/] {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    raise SystemExit(main())
