"""What matching is asked and what it answers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PoolCell:
    """A cell to match. `lot`: its lot's id; `carton`: as its lot names it.

    `is_apart`: set apart, with a carton that is damaged or hasn't arrived; `is_odd`: left over, wanted to be used.
    """

    id: int
    capacity_ah: float | None
    acir_mohm: float | None
    lot: int
    carton: str | None
    age_d: float
    grade: str | None
    model: str
    is_apart: bool = False
    is_odd: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """A kit's series groups, and the cells in parallel in each."""

    groups: int
    per_group: int

    def __post_init__(self) -> None:
        if self.groups < 1 or self.per_group < 1:
            raise ValueError(f"a kit of {self.groups} groups of {self.per_group} cells")

    @property
    def cells(self) -> int:
        """Count a kit's cells."""
        return self.groups * self.per_group


@dataclass(frozen=True, slots=True)
class Rules:
    """What a kit must keep, named as a product's `matching` names it; `math.inf` lifts a limit.

    A kit's cells are of one model always. `grades`: those that may be used; none named: each, and cells without one.
    """

    grades: tuple[str, ...] = ()
    one_grade: bool = False
    lots_per_group: int = 1
    lots_per_kit: int = 2
    max_age_d: float | None = None
    capacity_spread_pct: float = 1.5
    acir_spread_pct: float = 8
    group_spread_pct: float = 0.3


First = Literal["odd", "old", "middle"]


@dataclass(frozen=True, slots=True)
class Goals:
    """What counts beyond the rules, where goals pull against each other.

    aim_pct: spread between group sums that is good enough: below it a lower ACIR spread counts more. 0: group sums
        first, whatever the ACIR spread.
    together: kits that are matched out of neighbouring cartons at once. More narrows ACIR in the groups, and puts cells
        of more cartons into each kit; with 1 a kit takes cells as they were packed.
    first: which cells are used where not all are needed, in this order: "odd", "old", and those whose values lie in
        the "middle" of their lot's.
    """

    aim_pct: float = 0.008
    together: int = 9
    first: tuple[First, ...] = ("odd", "old", "middle")


@dataclass(frozen=True, slots=True)
class Kit:
    """Matched cells by position, and what they come to. `cartons`: how many; None of them known: 0.

    `acir_spread_pct` and `capacity_spread_pct` are those of the worst group.
    """

    cells: tuple[int, ...]
    model: str
    grades: tuple[str, ...]
    lots: tuple[int, ...]
    cartons: int
    group_sums_ah: tuple[float, ...]
    group_spread_pct: float
    capacity_spread_pct: float
    acir_spread_pct: float | None


@dataclass(frozen=True, slots=True)
class GoalSeen:
    """What one goal came to, and the best it could have come to had it counted alone."""

    name: str
    value: float
    best_alone: float
    unit: str


@dataclass(frozen=True, slots=True)
class Matched:
    """The kits; of each cell in none of them, why; the goals; and why there are no more kits, in words."""

    kits: tuple[Kit, ...]
    left: Mapping[int, str]
    goals: tuple[GoalSeen, ...]
    notes: tuple[str, ...]


def is_value(value: float | None) -> bool:
    """Whether something was measured at all."""
    return value is not None and math.isfinite(value) and value > 0
