"""The two messages of the station door and their answers: *may I?* and *this happened*."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from mes.execution.rules import FindingCode, Reason
from mes.message import PRINTABLE, Amount, Code, CycleNumber, Message, Moment, Name, Serial

MAX_VALUES = 5_000
MAX_POINTS = 20_000
Verdict = Literal["passed", "failed"]
Text = Annotated[str, StringConstraints(max_length=200, pattern=PRINTABLE)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Value = Annotated[bool | Number | Text | None, Field(union_mode="smart")]
Position = Annotated[int, Field(ge=1, le=100_000)]


class PermitRequest(Message):
    """*May I?* A station asks before it works on a unit (or, in receiving, on a lot).

    `cycle` is the asker's own number: the same number gets the same answer, however often it is asked.
    """

    station: Code
    cycle: CycleNumber
    asker: Name
    serial: Annotated[Serial, Field(description="Serial of the unit, or number of the lot.")]
    operator: Name | None = None


class Refusal(Message):
    """One reason against, and what clears it."""

    code: Reason
    text: str
    clears: str


class RecipeAnswer(Message):
    """The recipe to work with; the digest must equal the one in the machine."""

    name: str
    digest: str
    parameters: dict[str, float | str | bool]


class ExpectedComponent(Message):
    """What the step fits: positions 1..quantity of a serial-traced part, or a quantity of a lot-traced one."""

    part: str
    trace: Literal["serial", "lot", "none"]
    quantity: float
    unit_of_measure: str
    groups: int


class ExpectedCharacteristic(Message):
    """What the step measures: `count` values, each within lower..upper, or equal to `expected`."""

    name: str
    kind: Literal["number", "boolean", "text", "curve"]
    unit: str
    count: int
    lower: float | None
    upper: float | None
    expected: str | None


class PermitAnswer(Message):
    """Yes, with the recipe and what is expected; or no, with every reason, gravest first."""

    granted: bool
    station: str
    cycle: str
    serial: str
    operation: str | None = None
    part: str | None = None
    recipe: RecipeAnswer | None = None
    components: list[ExpectedComponent] = []
    characteristics: list[ExpectedCharacteristic] = []
    refusals: list[Refusal] = []


class Component(Message):
    """A unit that was fitted at a position."""

    part: Code
    serial: Serial
    position: Position = 1


class ConsumedLot(Message):
    """A quantity of a lot that was used up."""

    lot: Serial
    quantity: Amount


class CurveReport(Message):
    """A curve: x and y of one point each, in the units of its characteristic."""

    characteristic: Name
    ordinal: Annotated[int, Field(ge=1, le=10_000)] = 1
    x: Annotated[list[Number], Field(min_length=2, max_length=MAX_POINTS)]
    y: Annotated[list[Number], Field(min_length=2, max_length=MAX_POINTS)]

    @model_validator(mode="after")
    def _same_length(self) -> "CurveReport":
        if len(self.x) != len(self.y):
            raise ValueError(f"x has {len(self.x)} points and y {len(self.y)}: expected as many")
        return self


class ResultReport(Message):
    """*This happened.* A station reports what it did to a unit; always recorded, even when unwelcome."""

    # Values, curves and components stand in ledgers of their own; the journal keeps the digest of the whole.
    journal_omits: ClassVar[set[str]] = {"values", "curves", "components"}

    station: Code
    cycle: CycleNumber
    asker: Name
    serial: Annotated[Serial, Field(description="Serial of the unit, or number of the lot.")]
    verdict: Verdict
    started_at: Moment
    ended_at: Moment
    values: Annotated[
        dict[Name, Annotated[list[Value], Field(max_length=MAX_VALUES)]],
        Field(default_factory=dict, max_length=200, description="Values by characteristic, in order of position."),
    ]
    curves: Annotated[list[CurveReport], Field(max_length=100)] = []
    components: Annotated[list[Component], Field(max_length=1_000)] = []
    lots: Annotated[list[ConsumedLot], Field(max_length=100)] = []
    removals: Annotated[list[Serial], Field(max_length=1_000, description="Units taken out of this one.")] = []
    tool: Code | None = None
    program_revision: Name | None = None
    operator: Name | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "ResultReport":
        if self.ended_at < self.started_at:
            raise ValueError(f"ended_at {self.ended_at} is before started_at {self.started_at}")
        return self


class Failure(Message):
    """A value outside its limits (or missing: null). `index` counts from 1."""

    characteristic: str
    index: int
    value: float | str | None
    expected: str


class Finding(Message):
    """What the report broke. It is recorded, and the unit is on hold because of it."""

    code: FindingCode
    text: str
    clears: str


class ReportAnswer(Message):
    """The result as recorded. `verdict` is judged by the MES; the station's own stands beside it."""

    station: str
    cycle: str
    serial: str
    operation: str | None
    verdict: Verdict
    station_verdict: Verdict
    failures: list[Failure] = []
    failure_count: int = 0
    findings: list[Finding] = []
    unit_state: str
