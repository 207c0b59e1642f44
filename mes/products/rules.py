"""What a released revision is at run time: steps, characteristics, components; and the digests that name content."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mes.products.cell_rules import IncomingSpec, MatchingSpec
from mes.products.chart_spec import ChartSpec


@dataclass(frozen=True, slots=True)
class CharacteristicPlan:
    """What a step measures, `count` times. Booleans are stored as 0 and 1, so `lower` = `upper` = 1 expects true.

    `offset` is the place of the first value in the cycle's `numbers` (numbers, booleans) or `texts`; 0 for a curve.
    """

    id: int
    name: str
    kind: str
    unit: str
    count: int
    offset: int
    lower: float | None
    upper: float | None
    expected: str | None
    spc: ChartSpec | None = None


@dataclass(frozen=True, slots=True)
class RecipePlan:
    """The parameters a station works with; the digest is their identity."""

    name: str
    digest: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Clock:
    """Minutes that must, or may, pass between the end of `after` and the start of the step that has the clock."""

    after: str
    at_least_min: float | None = None
    at_most_min: float | None = None


LISTS = ("rework_of", "repeats", "refits", "documents")  # of a step's conditions


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a step asks for beyond its predecessors: the parameters of the rules, as the plant's file gives them.

    Rework: a step with `rework_of` is open only after one of these has failed, and must pass before that is tried
    again; its pass voids the passes of `repeats`; it may take out and fit what the operations in `refits` fit.
    """

    clocks: tuple[Clock, ...] = ()
    attempts: int | None = None
    certificate: str | None = None
    persons: int = 0
    first_article: bool = False
    documents: tuple[str, ...] = ()
    from_kit: bool = False
    is_complete: bool = False
    ships: bool = False
    program: str | None = None
    reads_back: bool = False
    instead_of: str | None = None
    rework_of: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()
    refits: tuple[str, ...] = ()

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> "Conditions":
        """Read what `stored` keeps of a step."""
        clocks = tuple(Clock(**clock) for clock in stored.get("clocks", ()))
        lists = {name: tuple(stored.get(name, ())) for name in LISTS}
        return cls(**{**stored, **lists, "clocks": clocks})


@dataclass(frozen=True, slots=True)
class BomItemPlan:
    """A component of a revision, fitted at one operation; serial-traced ones at positions 1..quantity.

    `alternates`: ids of the parts that may stand in its place, by number.
    """

    part_id: int
    part: str
    trace: str
    unit_of_measure: str
    operation: str
    quantity: float
    groups: int
    alternates: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step of a route, with all that a cycle on it is judged by."""

    id: int
    operation: str
    ordinal: int
    name: str
    predecessors: tuple[str, ...]
    recipe: RecipePlan | None
    characteristics: tuple[CharacteristicPlan, ...]
    number_count: int
    text_count: int
    components: tuple[BomItemPlan, ...]  # those of the operations it refits or replaces too
    conditions: Conditions = Conditions()

    @property
    def is_blocked_by_signals(self) -> bool:
        """Whether a signal of one of its charts stops the station."""
        return any(c.spc is not None and "block" in c.spc.on_signal for c in self.characteristics)

    @property
    def is_main(self) -> bool:
        """Whether every unit must pass it: no rework, and no alternative to another step."""
        return not self.conditions.rework_of and self.conditions.instead_of is None


@dataclass(frozen=True, slots=True)
class ProductPlan:
    """A released revision as a whole; `steps` by operation, in the order of the route."""

    revision_id: int
    part_id: int
    part: str
    revision: int
    digest: str
    steps: dict[str, StepPlan]
    bom: tuple[BomItemPlan, ...]
    incoming: IncomingSpec | None = None
    matching: MatchingSpec | None = None


def offsets(kinds: Iterable[tuple[str, int]]) -> tuple[list[int], int, int]:
    """Lay (kind, count) pairs out in their order: their offsets, and how many numbers and texts there are in all."""
    places: list[int] = []
    numbers = texts = 0
    for kind, count in kinds:
        if kind == "text":
            places.append(texts)
            texts += count
        elif kind == "curve":
            places.append(0)
        else:
            places.append(numbers)
            numbers += count
    return places, numbers, texts


def digest(content: Any) -> str:
    """SHA-256 of content's canonical JSON (keys sorted, no blanks), in hexadecimal."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
