"""What one may say about holds, containments and dispositions."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mes.actor import Role
from mes.find.messages import QuestionText
from mes.message import CartonName, Code, LotNumber, Message, Moment, Name, Reason, Serial

Stop = Literal["move", "consume", "ship"]
Signer = Literal[Role.QUALITY, Role.SUPERVISOR, Role.ADMIN]


class StationWindow(Message):
    """Everything that passed a station between two moments; with a tool or a program, only what was done with it."""

    station: Code
    tool: Code | None = None
    program_revision: Name | None = None
    since: Moment
    until: Moment

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until < self.since:
            raise ValueError(f"until {self.until} is before since {self.since}")
        return self


class ContainRequest(Message):
    """Hold what is named, and everything that contains it. Exactly one way of naming it.

    `stops`: what the hold keeps from happening. `at_operation`: an intercept; work goes on until this operation.
    `release_roles`: each must sign for the release, each by another person.
    """

    lot: LotNumber | None = None
    serial: Serial | None = None
    serials: Annotated[list[Serial] | None, Field(min_length=1, max_length=10_000)] = None
    carton: Annotated[
        CartonName | None, Field(description="Carton, as its label is scanned or the supplier's file names it.")
    ] = None
    date_code: Annotated[Name | None, Field(description="The supplier's date code, of lots and of single pieces.")] = (
        None
    )
    supplier: Annotated[Name | None, Field(description="With a date code: whose.")] = None
    order: Name | None = None
    window: StationWindow | None = None
    question: Annotated[
        QuestionText | None,
        Field(description="Whatever it fits; and until it is closed whatever comes to fit it: see `mes find --help`."),
    ] = None
    reason: Reason
    stops: Annotated[list[Stop], Field(min_length=1)] = ["consume", "ship"]
    at_operation: Code | None = None
    release_roles: Annotated[list[Signer], Field(min_length=1)] = [Role.QUALITY, Role.SUPERVISOR]

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        ways = ("lot", "serial", "serials", "carton", "date_code", "order", "window", "question")
        if sum(getattr(self, way) is not None for way in ways) != 1:
            raise ValueError(f"expected exactly one of {', '.join(ways)}")
        if self.supplier is not None and self.date_code is None:
            raise ValueError("a supplier is named with a date code only")
        if len(set(self.stops)) < len(self.stops) or len(set(self.release_roles)) < len(self.release_roles):
            raise ValueError("expected each stop and each role once")
        return self


class ContainAnswer(Message):
    """What was held: the subjects, and the units that contain them."""

    containment: int
    lot: str | None
    serial: str | None
    subjects: int
    held: list[str]


class CloseRequest(Message):
    """Close the question of a containment: what comes from now on is held no more; what is held stays held."""

    containment: int
    reason: Reason


class Arrivals(Message):
    """Ask the open question of a containment again, and hold what has come to fit it."""

    containment: int
    most: Annotated[int, Field(ge=1, le=100_000, description="At a time.")] = 2_000


class ContainmentAnswer(Message):
    """A containment with a question: what was affected when it was opened, and what it holds now."""

    containment: int
    question: str
    reason: str
    opened_at: Moment
    opened_by: str
    affected: int
    places: dict[str, int]
    held: int
    later: Annotated[
        int, Field(description="Of the holds ever set, those set by reports, or by the watch for what arrives.")
    ]
    closed_at: Moment | None
    closed_by: str | None
    close_reason: str | None


class ReleaseRequest(Message):
    """Sign for the release of all holds of one containment."""

    containment: int
    reason: Reason


class ReleaseHoldRequest(Message):
    """Sign for the release of one hold."""

    hold: int
    reason: Reason


class ReleaseAnswer(Message):
    """How many holds were released, how many were signed and still wait, and for which roles."""

    released: int
    waiting: int = 0
    owed: list[str] = []


class HoldAnswer(Message):
    """A hold."""

    hold: int
    containment: int | None
    serial: str | None
    lot: str | None
    order: str | None = None
    reason: str
    stops: list[str]
    at_operation: str | None
    release_roles: list[str]
    signed: list[str]
    opened_at: Moment
    opened_by: str
    released_at: Moment | None
    released_by: str | None
    release_reason: str | None


class DisposeRequest(Message):
    """The review board's decision about a unit: scrap it, or open the rework of one of its operations."""

    serial: Serial
    decision: Literal["scrap", "rework"]
    operation: Annotated[Code | None, Field(description="With rework: the operation that counts as failed.")] = None
    reason: Reason

    @model_validator(mode="after")
    def _operation(self) -> Self:
        if (self.decision == "rework") != (self.operation is not None):
            raise ValueError("an operation is named with rework, and only then")
        return self


class DisposeLotRequest(Message):
    """Quality's decision about a lot: release it for use, or reject it (purged, sent back, used no more)."""

    lot: LotNumber
    decision: Literal["release", "reject"]
    reason: Reason


class LotState(Message):
    """A lot's state, after what was decided."""

    lot: str
    state: str
    disposition: int


class RetestReport(Message):
    """The re-test of a unit that came out of another: back to stock, or to scrap."""

    serial: Serial
    verdict: Literal["passed", "failed"]
    reason: Reason


class UnitState(Message):
    """A unit's state, after what was decided."""

    serial: str
    state: str
    disposition: int


class DispositionRecord(Message):
    """A decision about a unit, as recorded."""

    decision: str
    operation: str | None
    reason: str
    decided_at: Moment
    decided_by: str
