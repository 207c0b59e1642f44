"""Runs one seed, or a list of actions, on a fresh database, and says what broke."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.simulation.auditor.laws import LawBroken
from tests.simulation.choosing import Chance
from tests.simulation.foreman import Foreman
from tests.simulation.plant import START
from tests.simulation.server import Stage
from tests.simulation.shift import Action, Shift, shift
from tests.simulation.tallies import Tally

THOROUGH = 60  # steps between two looks at every row


@dataclass
class Broken:
    """A law that was broken, and the actions that led there."""

    seed: int
    step: int
    law: int
    seen: str
    actions: list[Action] = field(default_factory=list)


async def run_seed(stage: Stage, seed: int, steps: int) -> tuple[Tally, Broken | None]:
    """Make a shift of so many steps."""
    tally = Tally(seeds=1)
    done: list[Action] = []
    async with on_stage(stage) as under_way:
        foreman = Foreman(Chance(random.Random(seed), under_way.auditor.book))
        for step in range(1, steps + 1):
            action = foreman.next()
            done.append(action)
            if broken := await _step(under_way, action, tally, is_thorough=step % THOROUGH == 0 or step == steps):
                return tally, Broken(seed, step, broken.law, broken.seen, done)
        tally.packs = sum(under_way.tables.state[u] == "finished" for u in foreman.chance.units("PACK"))
    return tally, None


async def replay(stage: Stage, actions: Sequence[Action]) -> Broken | None:
    """Do a list of actions again."""
    tally = Tally()
    async with on_stage(stage) as under_way:
        for step, action in enumerate(actions, 1):
            if broken := await _step(under_way, action, tally, is_thorough=step == len(actions)):
                return Broken(0, step, broken.law, broken.seen, list(actions[:step]))
    return None


@asynccontextmanager
async def on_stage(stage: Stage) -> AsyncIterator[Shift]:
    """Begin a shift on a stage made as new."""
    await stage.clear()
    async with shift(stage.database, stage.eyes, START) as under_way:
        yield under_way


async def _step(under_way: Shift, action: Action, tally: Tally, *, is_thorough: bool) -> LawBroken | None:
    said = await under_way.perform(action)
    parts = action.get("actions", [action])
    if any("crash" in part for part in parts):
        tally.crashes += 1
        await under_way.auditor.settle()
    try:
        tally.note(await under_way.auditor.check(said, is_thorough=is_thorough))
    except LawBroken as broken:
        return broken
    return None
