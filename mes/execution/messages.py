"""The two messages of the station door and their answers: *may I?* and *this happened*."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from mes.execution.rules.words import Reason
from mes.message import PRINTABLE, Amount, Code, CycleNumber, LotNumber, Message, Moment, Name, Serial
from mes.message import Reason as HoldReason

MAX_VALUES = 5_000
MAX_POINTS = 20_000
Verdict = Literal["passed", "failed"]
Text = Annotated[str, StringConstraints(max_length=200, pattern=PRINTABLE)]
Text4k = Annotated[str, StringConstraints(max_length=4_000, pattern=PRINTABLE)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Value = Annotated[bool | Number | Text | None, Field(union_mode="smart")]
Position = Annotated[int, Field(ge=1, le=100_000)]


Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Component(Message):
    """A unit that is fitted at a position. What a camera read back is judged as well, where there is one."""

    part: Code
    serial: Serial
    position: Position = 1
    read_position: Annotated[Position | None, Field(description="The position that was read back.")] = None
    polarity_ok: Annotated[bool | None, Field(description="Whether it stands the right way up.")] = None


class Removal(Message):
    """A unit that came out, and where it goes: to scrap, to stock for a re-test, or to the review board."""

    serial: Serial
    to: Literal["scrap", "stock", "review"] = "review"


def _removal(read: object) -> object:
    return {"serial": read} if isinstance(read, str) else read


class _Work(Message):
    """What every message says of the work and of those who do it."""

    station: Code
    serial: Annotated[Serial, Field(description="Serial of the unit, or number of the lot.")]
    operation: Annotated[
        Code | None, Field(description="Which step, where the station does several; default: the one that is next.")
    ] = None
    operator: Name | None = None
    second_operator: Annotated[Name | None, Field(description="Where the step needs two persons.")] = None
    tool: Code | None = None
    program_revision: Name | None = None
    recipe_digest: Annotated[Digest | None, Field(description="Of the recipe that the machine holds, read back.")] = (
        None
    )
    components: Annotated[
        list[Component], Field(max_length=1_000, description="Units fitted, or about to be, with their positions.")
    ] = []
    removals: Annotated[
        list[Annotated[Removal, BeforeValidator(_removal)]],
        Field(max_length=1_000, description="Units taken out, or about to be."),
    ] = []

    @property
    def people(self) -> tuple[str, ...]:
        """Who is named."""
        return tuple(name for name in (self.operator, self.second_operator) if name)


class _Asking(_Work):
    lots: Annotated[list[LotNumber], Field(max_length=100, description="Numbers of the lots it will use up.")] = []


class PermitRequest(_Asking):
    """*May I?* A station asks before it works on a unit (or, in receiving, on a lot).

    `cycle` is the asker's own number: the same number gets the same answer, however often it is asked.
    """

    cycle: CycleNumber
    asker: Name


class Refusal(Message):
    """One reason against, what clears it, and which roles may."""

    code: Reason
    text: str
    clears: str
    who: list[str] = []


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
    waivers: Annotated[list[int], Field(description="Waivers that this permit was granted by.")] = []


class OfflinePermit(Message):
    """What a gateway answered while the MES was away, by facts as of `facts_at` (none: it had none)."""

    request: PermitRequest
    granted: bool
    refusals: Annotated[list[Reason], Field(max_length=100)] = []
    details: Annotated[dict[Reason, Text4k], Field(max_length=100)] = {}
    asked_at: Moment
    facts_at: Moment | None = None

    @model_validator(mode="after")
    def _says_why(self) -> "OfflinePermit":
        if self.granted == bool(self.refusals):
            raise ValueError("a refusal names its reasons, and a permit has none")
        return self


class OfflineAnswer(Message):
    """Why a permit that was given without the MES should not have been; its unit is held. Empty: it was right."""

    station: str
    cycle: str
    serial: str
    contradictions: list[Refusal] = []


class WhyRequest(_Asking):
    """Would a station be refused for this unit or lot? It may name what it would work with, as a permit does."""

    def as_request(self) -> PermitRequest:
        """The question as the station would put it; its number belongs to nobody."""
        return PermitRequest(cycle="why", asker="why", **self.model_dump())


class RuleVerdict(Message):
    """What one rule says: kept, broken or waived."""

    rule: Reason
    version: int
    verdict: Literal["kept", "broken", "waived"]


class WhyAnswer(Message):
    """What a station would be told now: asked without effect. `next_step`: what can be done with the unit."""

    station: str
    serial: str
    granted: bool
    operation: str | None
    next_step: str
    refusals: list[Refusal]
    waivers: list[int]
    verdicts: list[RuleVerdict]
    facts: dict[str, str]


class ConsumedLot(Message):
    """A quantity of a lot that was used up."""

    lot: LotNumber
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


class ResultReport(_Work):
    """*This happened.* A station reports what it did to a unit; always recorded, even when unwelcome."""

    # Values, curves and components stand in ledgers of their own; the journal keeps the digest of the whole.
    journal_omits: ClassVar[set[str]] = {"values", "curves", "components"}
    digest_omits: ClassVar[set[str]] = {"heard_at"}

    cycle: CycleNumber
    asker: Name
    verdict: Verdict
    started_at: Moment
    ended_at: Moment
    heard_at: Annotated[
        Moment | None, Field(description="When its gateway read it, if it had to keep it until the MES was back.")
    ] = None
    values: Annotated[
        dict[Name, Annotated[list[Value], Field(max_length=MAX_VALUES)]],
        Field(default_factory=dict, max_length=200, description="Values by characteristic, in order of position."),
    ]
    curves: Annotated[list[CurveReport], Field(max_length=100)] = []
    lots: Annotated[list[ConsumedLot], Field(max_length=100)] = []

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

    code: Reason
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
    waivers: list[int] = []
    unit_state: str


class FirstArticleSignature(Message):
    """A second person has checked a station's first article."""

    station: Code
    verdict: Verdict


class FirstArticleAnswer(Message):
    """The signature as recorded. `is_open`: another first article of the station still waits."""

    station: str
    why: str
    verdict: Verdict
    is_open: bool


class CheckReport(Message):
    """A check of a station, or of one of its tools. Of a master run, say what the station called the master.

    A known-bad master that the station called passed is a check that failed: the station can't be trusted.
    """

    station: Code
    tool: Code | None = None
    kind: Literal["known_good", "known_bad", "daily", "calibration"]
    verdict: Verdict
    note: Name | None = None


class CheckAnswer(Message):
    """The check as recorded. When it failed: every unit since the last good check, to be held on confirmation."""

    check: int
    station: str
    tool: str | None
    kind: str
    passed: bool
    since: Moment | None
    suspects: Annotated[list[str], Field(description="At most 1,000 are listed.")]
    has_more: bool


class HoldSinceCheck(Message):
    """Confirm a failed check: hold every unit since the last good one."""

    check: int
    reason: HoldReason


class WaiverRequest(Message):
    """Let named units, or what passes a station or an operation in a window of time, deviate from one rule."""

    rule: Reason
    serials: Annotated[list[Serial] | None, Field(min_length=1, max_length=1_000)] = None
    station: Code | None = None
    operation: Code | None = None
    starts_at: Moment | None = None
    ends_at: Moment
    reason: HoldReason

    @model_validator(mode="after")
    def _bounded(self) -> "WaiverRequest":
        if self.serials is None and self.station is None and self.operation is None:
            raise ValueError("expected serials, a station or an operation: nothing is waived for the whole plant")
        return self


class WaiverNumber(Message):
    """Revoke a waiver."""

    waiver: int
    reason: HoldReason


class WaiverAnswer(Message):
    """A waiver as recorded."""

    waiver: int
    rule: Reason
    serials: list[str]
    station: str | None
    operation: str | None
    starts_at: Moment
    ends_at: Moment
    reason: str
    approved_by: str
    approved_role: str
    revoked_at: Moment | None
    revoked_by: str | None


class MoveRequest(Message):
    """Bring a unit or a lot to another place; `serial` may be a lot's number. A hold may stop it."""

    serial: Serial
    location: Name


class MoveAnswer(Message):
    """Whether it was moved, and why not."""

    serial: str
    location: str
    moved: bool
    refusals: list[Refusal] = []
