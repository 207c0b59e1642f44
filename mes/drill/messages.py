"""What a drill asks for, and how drills went."""

from typing import Annotated, Literal

from pydantic import Field

from mes.message import Message, Moment

Kind = Literal["lot", "station", "failure"]


class DrillResult(Message):
    """How a drill went, to be kept."""

    kind: Kind
    question: str
    seconds: Annotated[float, Field(ge=0)]
    affected: int
    unknown: int
    missing: Annotated[list[str], Field(max_length=1_000)]
    surplus: Annotated[list[str], Field(max_length=1_000)]
    places: dict[str, int]


class DrillAnswer(DrillResult):
    """A drill that was kept. Exact: nothing is missing and nothing is too much."""

    drill: int
    drilled_at: Moment
    drilled_by: str

    @property
    def is_exact(self) -> bool:
        """Whether the list was what the independent count says."""
        return not (self.missing or self.surplus)
