"""The auditor shares nothing with what it audits, and it can fail: faults put in on purpose are found."""

import random
import subprocess
import sys

import pytest

from tests.simulation.auditor.rows import Cycle, Disposition
from tests.simulation.auditor.standing import standing
from tests.simulation.choosing import Chance
from tests.simulation.foreman import Foreman
from tests.simulation.mutants import MUTANTS
from tests.simulation.run import Broken, on_stage, replay, run_seed
from tests.simulation.server import make_template, stage
from tests.simulation.shift import Action
from tests.simulation.shrink import shorten

SEEDS, STEPS = 4, 100


def test_the_auditor_imports_nothing_of_the_mes() -> None:
    listed = "import sys, tests.simulation.auditor.audit; print([m for m in sys.modules if m.split('.')[0] == 'mes'])"
    done = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def cycle(id_: int, verdict: str = "passed") -> Cycle:
    return Cycle(id_, 1, str(id_), 1, None, 1, None, verdict, {}, [], "")


@pytest.mark.parametrize(
    ("done", "decided", "state", "ready"),
    [
        ("", [], "issued", ["10"]),
        ("10", [], "in_process", ["20", "21", "22"]),
        ("10 20 22", [], "in_process", ["30"]),
        ("10 20 21 30 -40", [], "in_process", ["41"]),
        ("10 20 21 30 -40 41", [], "in_process", ["20"]),
        ("10 20 21 30 40 50", [], "finished", []),
        ("10 20 21 30 40 50", [("rework", "21", 6)], "in_process", ["21", "22"]),
        ("10 20 22 30 40 50", [("rework", "21", 6)], "in_process", ["21", "22"]),
        ("10 20 21 30 40 50", [("stock", None, 6)], "removed", []),
        ("10 20 21 30 40 50", [("stock", None, 6), ("retest_passed", None, 6)], "finished", []),
        ("10 20 21 30 40 50", [("scrap", None, 3), ("rework", "20", 4)], "scrapped", ["20"]),
    ],
)
def test_where_a_module_stands(done: str, decided: list[tuple[str, str, int]], state: str, ready: list[str]) -> None:
    cycles = [
        (cycle(n, "failed" if operation.startswith("-") else "passed"), operation.lstrip("-"))
        for n, operation in enumerate(done.split(), 1)
    ]
    decisions = [
        Disposition(n, 1, None, what, operation, after, None) for n, (what, operation, after) in enumerate(decided)
    ]
    stands = standing("MOD", is_made=True, cycles=cycles, decisions=decisions)
    assert stands.state == state
    if state != "scrapped":
        assert sorted(stands.ready()) == ready


@pytest.mark.parametrize("name", ["one-signature", "recorded-again", "unasked-is-fine", "not-journaled"])
async def test_a_fault_is_found_and_cut_down(name: str) -> None:
    await make_template()
    with MUTANTS[name].patched():
        async with stage() as set_stage:
            broken: Broken | None = None
            for seed in range(1, SEEDS + 1):
                _, broken = await run_seed(set_stage, seed, STEPS)
                if broken is not None:
                    break
            assert broken is not None, f"{name} was not found"
            shortest = await shorten(set_stage, broken, replays=25)
            assert len(shortest.actions) <= min(len(broken.actions), 6)
    async with stage() as set_stage:
        assert await replay(set_stage, shortest.actions) is None, "without the fault the same actions break nothing"


async def test_a_seed_says_the_same_again() -> None:
    """What is chosen comes of the seed and of what was heard; without races, both are the same each time."""
    await make_template()
    async with stage() as set_stage:
        shifts: list[list[Action]] = []
        for _ in range(2):
            async with on_stage(set_stage) as under_way:
                foreman = Foreman(Chance(random.Random(7), under_way.auditor.book), is_alone=True)
                shifts.append([])
                for _ in range(60):
                    shifts[-1].append(action := foreman.next())
                    await under_way.auditor.check(await under_way.perform(action))
        assert shifts[0] == shifts[1]
