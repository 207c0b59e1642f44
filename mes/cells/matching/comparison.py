"""Sets matched kits beside the two ways of doing without: random groups and sorted blocks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mes.cells.matching.balance import Floats, Ints, spread
from mes.cells.matching.pool import Kit, PoolCell, Shape

_SHUFFLES = 20


@dataclass(frozen=True, slots=True)
class Way:
    """One way to fill groups: the worst kit's spread between group sums, and the worst group's ACIR spread, in %."""

    name: str
    group_spread_pct: float
    acir_spread_pct: float | None


def compare(pool: Iterable[PoolCell], kits: Sequence[Kit], shape: Shape) -> tuple[Way, ...]:
    """Fill the kits in three ways, with the same cells: as matched, at random, in sorted blocks. No kits: nothing.

    random: the median of 20 shuffles. sorted blocks: the cells in the order of their capacity. Both heed no rule.
    """
    if not kits:
        return ()
    by_id = {cell.id: cell for cell in pool}
    used = [by_id[cell] for kit in kits for cell in kit.cells]
    capacity = np.array([cell.capacity_ah for cell in used], dtype=float)
    has_acir = kits[0].acir_spread_pct is not None
    acir = np.array([cell.acir_mohm for cell in used], dtype=float) if has_acir else np.ones(len(used))

    def spreads(order: Ints) -> Floats:
        between = spread(capacity[order].reshape(-1, shape.groups, shape.per_group).sum(2))
        return np.array([between.max(), spread(acir[order].reshape(-1, shape.per_group)).max()])

    random = np.random.default_rng(0)
    found = {
        "matched": spreads(np.arange(len(used))),
        "random": np.median([spreads(random.permutation(len(used))) for _ in range(_SHUFFLES)], axis=0),
        "sorted blocks": spreads(np.argsort(capacity, kind="stable")),
    }
    return tuple(Way(name, float(s[0]), float(s[1]) if has_acir else None) for name, s in found.items())


def report(ways: Sequence[Way]) -> str:
    """Say what the ways came to, one line each."""
    if not ways:
        return "no kit was matched"
    lines = [f"{'cells in groups':16}{'between groups':>16}{'ACIR in a group':>17}"]
    for way in ways:
        acir = "no value" if way.acir_spread_pct is None else f"{way.acir_spread_pct:.2f} %"
        lines.append(f"{way.name:16}{f'{way.group_spread_pct:.4f} %':>16}{acir:>17}")
    return "\n".join(lines)
