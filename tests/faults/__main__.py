"""`python -m tests.faults`: each fault of the table once, then so many at random; prints the table."""

import argparse
import asyncio
import logging
import random
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.faults.auditor import audited
from tests.faults.printing import print_table
from tests.faults.shift import shift
from tests.faults.striking import Striker, Struck


def main() -> int:
    """Read the command line and do it; the exit code."""
    said = argparse.ArgumentParser(prog="python -m tests.faults")
    said.add_argument("--faults", type=int, default=100, help="so many at random, after each of them once")
    said.add_argument("--seed", type=int, default=1)
    said.add_argument("--longest", type=float, default=60, help="seconds that a cut lasts at most")
    said.add_argument("--keep", type=Path, help="a folder to leave the logs in")
    asked = said.parse_args()
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # the PLCs are meant to refuse
    with tempfile.TemporaryDirectory() as folder:
        kept = asked.keep or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        return asyncio.run(_run(kept, asked.faults, asked.seed, asked.longest))


async def _run(folder: Path, faults: int, seed: int, longest_s: float) -> int:
    console, began = Console(width=140), time.monotonic()

    def tell(one: Struck) -> None:
        at = one.stations[0] if len(one.stations) == 1 else "all"
        lasted, over = one.healed_at - one.began_at, one.back_at - one.healed_at
        console.print(f"{one.began_at - began:6.1f}  {one.fault.name}  {at}  {lasted:.1f} s, over after {over:.1f} s")

    async with shift(folder, seed) as running:
        striker = Striker(running, random.Random(seed), at_most_s=longest_s, tell=tell)
        await striker.each_once()
        await striker.at_random(faults)
        await running.finish()
        audit = await audited(running, striker.struck)
    print_table(console, striker.struck, audit)
    for wrong in audit.wrong:
        console.print(f"[bold red]{wrong}[/]", highlight=False, markup=True)
    console.print(
        f"{len(striker.struck)} faults, seed {seed}, {time.monotonic() - began:.0f} s: {len(audit.wrong)} wrong"
    )
    return 1 if audit.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
