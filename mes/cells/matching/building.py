"""Builds kits of chosen lots, and keeps those that break no rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mes.cells.matching.balance import Ints, balance
from mes.cells.matching.choice import Task, ranked, slices
from mes.cells.matching.limits import check

_SPARE = 300  # cells of which a kit that breaks a rule may take some instead of its own
_SAID = 3  # broken rules named of the best attempt

Part = tuple[Ints, int]  # cells of one blend, and how many groups of each kit they fill


@dataclass(frozen=True, slots=True)
class Made:
    """A kit's cells by position, its spread between group sums, and what that came to where it alone counted."""

    cells: Ints
    group_spread_pct: float
    least_pct: float


def build(task: Task, parts: Sequence[Part], kits: int) -> tuple[list[Made], list[str]]:
    """Build up to `kits` kits; with fewer, leaving out cells that fit badly, where that makes more of them good.

    Gives the good kits, and of those that it couldn't make why, and what the best attempt came to.
    """
    best: list[Made] = []
    notes: list[str] = []
    tried = kits
    while tried > len(best):
        good, broken = _attempt(task, parts, tried)
        if broken and not notes:
            notes = [_note(task, parts, min(broken, key=len))]
        if len(good) > len(best):
            best = good
        if not broken:
            break
        tried -= max(1, len(broken) // 2)
    return best, notes if len(best) < kits else []


def _attempt(task: Task, parts: Sequence[Part], kits: int) -> tuple[list[Made], list[list[str]]]:
    """Build kits: the good ones, and for each other one what it breaks."""
    blend = np.zeros(len(task.cells), dtype=np.intp)
    lots = np.unique(task.lot[np.concatenate([cells for cells, _ in parts])])
    is_apart = len(lots) > task.rules.lots_per_group
    tables: list[Ints] = []
    rests: list[Ints] = []
    for number, (cells, groups) in enumerate(parts):
        blend[cells] = number if is_apart else 0
        wanted = kits * groups * task.shape.per_group
        order = ranked(task, cells)
        if len(order) < wanted:
            return [], [[f"{len(order)} cells fit, {wanted} are asked"]]
        tables.append(slices(task, order[:wanted], kits))
        rests.append(order[wanted : wanted + _SPARE])
    spare = np.concatenate(rests)
    good: list[Made] = []
    failed: list[list[str]] = []
    for made in _balance(task, np.hstack(tables), blend):
        kit, broken = made, _broken(task, made)
        if len(spare) and (broken or made.group_spread_pct > task.goals.aim_pct):
            columns = np.concatenate([made.cells, spare])
            (again,) = _balance(task, columns[None, :], blend)
            if not _broken(task, again) and (broken or again.group_spread_pct < made.group_spread_pct):
                kit, broken = again, []
                spare = np.setdiff1d(columns, again.cells)
        if broken:
            failed.append(broken)
        else:
            good.append(kit)
    return good, failed


def _balance(task: Task, table: Ints, blend: Ints) -> list[Made]:
    acir = None if task.acir is None else task.acir[table]
    found = balance(task.capacity[table], acir, blend[table], task.shape, task.rules, task.goals.aim_pct)
    return [Made(row[one.order], one.group_spread_pct, one.least_pct) for row, one in zip(table, found, strict=True)]


def _broken(task: Task, made: Made) -> list[str]:
    return check([task.cells[at] for at in made.cells], task.shape, task.rules)


def _note(task: Task, parts: Sequence[Part], broken: Sequence[str]) -> str:
    cells = sum(len(cells) for cells, _ in parts)
    lots = sorted({task.cells[at].lot for part, _ in parts for at in part})
    more = f" and {len(broken) - _SAID} more" if len(broken) > _SAID else ""
    named = f"lot{'s' * (len(lots) > 1)} {', '.join(map(str, lots))}"
    return f"no further kit of {cells} cells of {named}; the best attempt: {'; '.join(broken[:_SAID])}{more}"
