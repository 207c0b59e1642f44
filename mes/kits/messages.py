"""What one may say about kits of matched cells."""

from typing import Annotated

from pydantic import Field

from mes.message import Code, LotNumber, Message, Moment, Reason, Serial


class MatchRequest(Message):
    """Match cells into kits: for the pieces of an order, or for stock by part.

    The pool is every graded cell that is free, of released lots: those named, else the newest 20.
    """

    order: Annotated[Serial | None, Field(description="Kits for the pieces of this order that have none.")] = None
    part: Annotated[Code | None, Field(description="Part whose product file has `matching`.")] = None
    kits: Annotated[int | None, Field(ge=1, le=10_000, description="How many, at most; none: all that can be.")] = None
    lots: Annotated[list[LotNumber], Field(max_length=200, description="Lots to choose from.")] = []
    together: Annotated[
        int,
        Field(ge=1, le=1000, description="Kits matched at once: more narrows the groups, and mixes more cartons."),
    ] = 9


class GoalAnswer(Message):
    """One goal of the matching: what it came to, and the best it could have come to had it alone counted."""

    name: str
    value: float
    best_alone: float
    unit: str


class KitAnswer(Message):
    """A kit in short. Spreads: (greatest - least) / mean, in %; those of the worst group."""

    kit: str
    part: str
    unit: str | None
    state: str
    lots: list[str]
    cartons: int
    grades: list[str]
    group_spread_pct: float
    capacity_spread_pct: float
    acir_spread_pct: float | None


class MatchAnswer(Message):
    """What was matched; what each goal came to; what was left of the pool, by reason; why there are no more kits."""

    part: str
    pool: int
    kits: list[KitAnswer]
    goals: list[GoalAnswer]
    left: dict[str, int]
    notes: list[str]


class KitCellAnswer(Message):
    """A cell of a kit, with the values it was matched by."""

    position: int
    group: int
    serial: str
    lot: str | None
    carton: str | None
    grade: str | None
    capacity_ah: float | None
    acir_mohm: float | None


class KitContent(Message):
    """A kit with its cells by position, to fill a holder by."""

    kit: KitAnswer
    made_at: Moment
    made_by: str
    goals: list[GoalAnswer]
    cells: list[KitCellAnswer]


class KitRelease(Message):
    """A kit isn't used: its cells go back to the pool."""

    kit: Code
    reason: Reason


class CellAssignment(Message):
    """Put another free cell at a position of a kit, if the kit still keeps its rules."""

    kit: Code
    position: Annotated[int, Field(ge=1, le=10_000)]
    serial: Serial
    reason: Reason
