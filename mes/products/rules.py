"""What a released revision is at run time: steps, characteristics, components; and the digests that name content."""

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any


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


@dataclass(frozen=True, slots=True)
class RecipePlan:
    """The parameters a station works with; the digest is their identity."""

    name: str
    digest: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BomItemPlan:
    """A component of a revision, fitted at one operation; serial-traced ones at positions 1..quantity."""

    part_id: int
    part: str
    trace: str
    unit_of_measure: str
    operation: str
    quantity: float
    groups: int


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
    components: tuple[BomItemPlan, ...]


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


def find_step(plan: ProductPlan, operations: Collection[str]) -> StepPlan | None:
    """Find the first step of the route that one of a station's operations does."""
    return next((step for operation, step in plan.steps.items() if operation in operations), None)


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
