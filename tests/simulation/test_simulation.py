"""Thirty seeds on every run; `make simulate` runs many more. A failure prints its seed and a shortest replay."""

from pathlib import Path

import pytest

from tests.simulation.run import run_seed
from tests.simulation.server import make_template, stage
from tests.simulation.shrink import keep, shorten, told

SEEDS, AT_ONCE, STEPS = 15, 5, 110


@pytest.mark.parametrize("first", range(1, SEEDS + 1, AT_ONCE))
async def test_no_law_is_broken(first: int, tmp_path: Path) -> None:
    await make_template()
    async with stage() as set_stage:
        for seed in range(first, first + AT_ONCE):
            tally, broken = await run_seed(set_stage, seed, STEPS)
            if broken is not None:
                shortest = await shorten(set_stage, broken)
                pytest.fail(told(shortest, broken.step, keep(shortest, tmp_path)))
            assert tally.steps == STEPS
