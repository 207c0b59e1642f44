"""Finds a shortest list of actions that still breaks the same law: leaves parts out, on a database made as new."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.simulation.run import Broken, replay
from tests.simulation.server import Stage
from tests.simulation.shift import Action

REPLAYS = 60


async def shorten(stage: Stage, broken: Broken, replays: int = REPLAYS) -> Broken:
    """Leave out ever smaller parts while the law still breaks; at most so many replays."""
    best, left = broken, replays
    share = 2
    while left > 0 and len(best.actions) > 1:
        size = max(1, len(best.actions) // share)
        for begin in range(0, len(best.actions), size):
            kept = best.actions[:begin] + best.actions[begin + size :]
            left -= 1
            if kept and (found := await _breaks(stage, kept, broken)) is not None:
                best, share = found, max(share - 1, 2)
                break
            if left <= 0:
                return best
        else:
            if size == 1:
                return best
            share = min(share * 2, len(best.actions))
    return best


async def _breaks(stage: Stage, actions: Sequence[Action], broken: Broken) -> Broken | None:
    """Whether these break the same law; a race is tried twice, since it may be won by chance."""
    is_race = any(action["do"] == "together" for action in actions)
    for _ in range(2 if is_race else 1):
        found = await replay(stage, actions)
        if found is not None and found.law == broken.law:
            found.seed = broken.seed
            return found
    return None


def keep(broken: Broken, folder: Path) -> Path:
    """Write the actions down, to be done again; the file."""
    path = folder / f"simulation-seed-{broken.seed}-law-{broken.law}.json"
    path.write_text("[\n" + ",\n".join(json.dumps(action) for action in broken.actions) + "\n]\n")
    return path


def told(broken: Broken, whole: int, path: Path) -> str:
    """The seed, the step, the law, what was seen, and how to see it again."""
    actions = "\n".join(f"  {json.dumps(action)}" for action in broken.actions)
    return (
        f"seed {broken.seed}, law {broken.law} (step {whole} of the whole shift)\n{broken.seen}\n"
        f"shortest replay found, {len(broken.actions)} actions:\n{actions}\n"
        f"again: .venv/bin/python -m tests.simulation --replay {path}\n"
    )
