"""What one may ask of suspect units, and what they share."""

from typing import Annotated

from pydantic import Field

from mes.message import Message, Moment, Serial


class CommonalityRequest(Message):
    """Units of one part that went wrong: what do they share?"""

    serials: Annotated[list[Serial], Field(min_length=2, max_length=500, description="The suspect units.")]
    comparables: Annotated[
        int, Field(ge=50, le=2000, description="Good units to compare with, those made nearest in time.")
    ] = 1000


class FactorAnswer(Message):
    """One thing that units may have: lot, carton, station, tool, program, operator, shift, position, parameter."""

    kind: str
    name: str


class SharedAnswer(Message):
    """What suspects share. More than one factor: exactly the same units have them, nothing here tells them apart.

    `p`: of so many suspects having it by chance; `corrected_p`: of any factor looking so by chance. `further`: other
    units of the part that have it, in the whole record; None: of a parameter, within what was compared.
    """

    factors: list[FactorAnswer]
    suspects: int
    suspects_pct: float
    comparables: int
    comparables_pct: float
    p: float
    corrected_p: float
    stands_out: bool
    further: int | None


class CommonalityAnswer(Message):
    """What suspects share, the least likely by chance first; `gaps`: what is not known of them."""

    part: str
    suspects: int
    comparables: int
    since: Moment | None
    until: Moment | None
    compared: Annotated[int, Field(description="How many factors were compared.")]
    shared: list[SharedAnswer]
    gaps: list[str]

    @property
    def stands_out(self) -> bool:
        """Whether anything does."""
        return any(one.stands_out for one in self.shared)
