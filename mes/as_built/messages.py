"""The as-built record as told."""

from typing import Annotated, Any, Literal

from pydantic import Field

from mes.execution.messages import WaiverAnswer
from mes.genealogy.messages import Place, TreeNode
from mes.message import Day, Message, Moment
from mes.quality.messages import HoldAnswer
from mes.shipping.messages import CrateStay

GapKind = Literal["component", "origin", "document", "step", "value"]
StepState = Literal["passed", "failed", "void", "replaced", "not_reported"]


class Gap(Message):
    """Something that the plan asks for and the record doesn't have. `count`: of how many things."""

    kind: GapKind
    serial: str
    part: str
    text: str
    count: int


class Share(Message):
    """How much of what the plan asks for is known; in percent rounded down, so that 100 means all."""

    kind: GapKind | Literal["all"]
    asked: int
    known: int
    known_pct: float


class Values(Message):
    """What a cycle measured of one characteristic, each in its place; null: not measured.

    `failed`: places, from 1, that were outside the limits.
    """

    name: str
    kind: str
    unit: str
    lower: float | None
    upper: float | None
    expected: str | None
    values: list[float | str | None]
    failed: list[int]
    missing: int


class CurveKept(Message):
    """A curve of a cycle, and where it is drawn."""

    characteristic: str
    unit: str
    ordinal: int
    points: int
    picture: str


class ArticleKept(Message):
    """That a cycle was a first article, why, and who signed it."""

    why: str
    signed_at: Moment | None
    signed_by: str | None
    sign_verdict: str | None


class Attempt(Message):
    """One cycle of a unit at a step. `cycle_id`: by which curves are found."""

    cycle_id: int
    cycle: str
    station: str
    verdict: str
    station_verdict: str
    started_at: Moment
    ended_at: Moment
    reported_at: Moment
    tool: str | None
    program_revision: str | None
    operator: str | None
    second_operator: str | None
    waivers: list[int]
    findings: list[dict[str, Any]]
    first_article: ArticleKept | None
    values: list[Values]
    curves: list[CurveKept]


class StepRecord(Message):
    """A step of a unit's route and every cycle on it.

    `void`: it passed, and a later rework made that void. `replaced`: an alternative to it stands in its place.
    """

    operation: str
    name: str
    is_rework: bool
    state: StepState
    recipe: str | None
    recipe_digest: str | None
    attempts: list[Attempt]


class UnitBuilt(Message):
    """A unit that was worked on: what it was built to, and its steps. `parent`: what it is in; null: the record's own.

    `digest`: of the revision's plan.
    """

    serial: str
    part: str
    name: str
    state: str
    revision: int | None
    digest: str | None
    order: str | None
    erp_reference: str | None
    lot: str | None
    parent: str | None
    position: int | None
    created_at: Moment
    finished_at: Moment | None
    location: str | None
    steps: list[StepRecord]


class Removed(Message):
    """A part that was in the unit, or in one of its units, and came out; `decision`: what became of it then."""

    part: str
    serial: str | None
    lot: str | None
    parent: str
    position: int | None
    installed_at: Moment
    removed_at: Moment
    operation: str | None
    decision: str | None
    reason: str | None


class Document(Message):
    """A document that came with a lot; `sha256`: of its bytes."""

    kind: str
    file_name: str
    sha256: str


class LotRecord(Message):
    """A lot that something in the unit is of, or that such a lot came from (`made_of`)."""

    lot: str
    part: str
    state: str
    supplier: str
    supplier_lot: str
    country: str
    date_code: str | None
    received_at: Moment
    expires_on: Day | None
    made_of: list[str]
    documents: list[Document]


class LabelRecord(Message):
    """A copy of the unit's label; `code`: what its code says."""

    copy_number: int
    code: str
    reason: str | None
    printed_at: Moment | None


class Decision(Message):
    """A disposition of a unit in the record."""

    serial: str
    decision: str
    operation: str | None
    reason: str
    decided_at: Moment
    decided_by: str


class SignalRecord(Message):
    """A signal of a control chart that a cycle of the record gave; open while `closed_at` is null."""

    signal: int
    chart: int
    serial: str
    operation: str
    characteristic: str
    station: str
    rules: list[str]
    blocks: bool
    opened_at: Moment
    closed_at: Moment | None
    closed_by: str | None
    close_reason: str | None


class SealsSeen(Message):
    """Whether the record's rows are as they were sealed. `misfit`: the first that isn't."""

    fits: bool
    rows: int
    seals: int
    unsealed: Annotated[int, Field(description="Rows that no seal covers yet.")]
    misfit: str | None


class AsBuiltRecord(Message):
    """All that is known of one unit as it is built, and all that its plan asks for and isn't known.

    `units`: the unit itself first, then what was made for it, level by level. `seals`: null: not verified this time.
    """

    read_at: Moment
    serial: str
    part: str
    shares: Annotated[list[Share], Field(description="How complete the record is: in all, then by kind.")]
    gaps: list[Gap]
    labels: list[LabelRecord]
    places: list[Place]
    crates: list[CrateStay]
    tree: TreeNode
    units: list[UnitBuilt]
    removed: list[Removed]
    lots: list[LotRecord]
    holds: list[HoldAnswer]
    dispositions: list[Decision]
    waivers: list[WaiverAnswer]
    signals: list[SignalRecord]
    seals: SealsSeen | None = None
