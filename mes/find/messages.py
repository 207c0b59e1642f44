"""What one may ask the record, and what it answers."""

from typing import Annotated, Literal

from pydantic import Field

from mes.find.language import LONGEST
from mes.message import Message, Moment

Basis = Literal["unit", "lot", "position", "unknown"]
Place = Literal["in stock", "in process", "finished", "packed", "shipped", "scrapped", "inside"]
QuestionText = Annotated[
    str, Field(min_length=1, max_length=LONGEST, description="e.g. lot = L-7 or (station = ST-330 and tool = W2)")
]


class FoundUnit(Message):
    """A unit that is affected.

    `basis`: it fits itself (unit); something that is known by its lot alone was used up in it (lot); what fits sits in
    it at a position (position); the record doesn't know enough of it to say no (unknown). `place`: where it is now;
    inside: of another that is affected as well.
    """

    serial: str
    part: str
    basis: Basis
    place: Place
    crate: str | None = None
    shipped_to: str | None = None


class Recipient(Message):
    """To whom affected units were shipped."""

    shipped_to: str
    units: int


class Found(Message):
    """What is affected: counts of all of it, and the first of its units, those that are in no other first.

    `question`: as it was understood. `places`: where what is in no other is now. `unknown`: of all, those of which the
    record doesn't know enough; `gaps` say so in words.
    """

    question: str
    as_of: Moment | None
    affected: int
    unknown: int
    places: dict[Place, int]
    recipients: list[Recipient]
    lots: list[str]
    units: list[FoundUnit]
    gaps: list[str]
