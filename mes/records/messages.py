"""Records as told."""

from typing import Annotated, Any, Literal

from pydantic import Field

from mes.cells.messages import SampleAnswer
from mes.execution.messages import WaiverAnswer
from mes.genealogy.messages import Place
from mes.message import Day, Message, Moment
from mes.quality.messages import DispositionRecord, HoldAnswer
from mes.shipping.messages import CrateStay


class CycleRecord(Message):
    """One cycle of a unit: where, when, with what verdicts, and what it broke."""

    station: str
    operation: str
    name: str
    cycle: str
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
    failure_count: int
    failures: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    values: dict[str, list[float | str | None]]


class RefusalRecord(Message):
    """A permit that was refused: which rules, and what broke each."""

    station: str
    cycle: str
    asked_at: Moment
    reasons: list[str]
    details: dict[str, str]


class History(Message):
    """All that is recorded of one unit, in order of time."""

    serial: str
    part: str
    revision: int | None
    state: str
    order: str | None
    lot: str | None
    carton: str | None
    supplier_data: dict[str, float | str | None]
    cycles: list[CycleRecord]
    refusals: list[RefusalRecord]
    places: list[Place]
    holds: list[HoldAnswer]
    dispositions: list[DispositionRecord]
    waivers: list[WaiverAnswer]
    crates: list[CrateStay]


class StationNow(Message):
    """A station as it is now. `link`: connected, lost, silent (its gateway isn't heard), or none."""

    station: str
    name: str
    line: str
    link: str
    serial: str | None
    since: Moment | None
    last_verdict: str | None
    last_at: Moment | None
    passed: int
    failed: int
    refused: int
    dead_letters: int
    kept: Annotated[int, Field(description="Results and answers that its gateway keeps for the MES.")] = 0
    skew_s: Annotated[float | None, Field(description="How far its clock is ahead, in seconds.")] = None
    encrypted: Annotated[bool, Field(description="Whether its gateway speaks with it encrypted.")] = True


class LineNow(Message):
    """The line as it is now; counts are of the last 24 hours."""

    at: Moment
    stations: list[StationNow]
    finished: dict[str, int]
    in_process: dict[str, int]
    open_holds: int
    open_signals: Annotated[int, Field(description="Of control charts.")]
    held_units: list[str]
    orders: list[dict[str, Any]]


class Ready(Message):
    """Whether the MES can work, and why not."""

    ready: bool
    database: str
    schema_revision: str | None
    outbox_age_s: float


class GradingRecord(Message):
    """A lot's last grading. `readings`: what a histogram can be drawn of."""

    part: str
    graded_at: Moment
    graded_by: str
    flags: list[str]
    cells: int
    grades: dict[str, int]
    reasons: dict[str, int]
    sample: SampleAnswer | None
    readings: list[str]


class CurveRecord(Message):
    """A curve of a unit, by joint position (`ordinal`), tool, program and attempt. `picture`: where it is drawn."""

    cycle_id: int
    cycle: str
    operation: str
    step: str
    characteristic: str
    unit: str
    ordinal: int
    attempt: Annotated[int, Field(description="Which of the unit's cycles at this step it was, from 1.")]
    tool: str | None
    program_revision: str | None
    station: str
    started_at: Moment
    ended_at: Moment
    reported_at: Moment
    verdict: Annotated[str, Field(description="Of the whole cycle.")]
    points: int
    bytes: Annotated[int, Field(description="As it is stored.")]
    picture: str


class CurvePage(Message):
    """Curves of a unit, the newest first, and how many there are in all."""

    total: int
    curves: list[CurveRecord]


class CurveWindow(Message):
    """Limits that belong to an axis of a curve, and what the joint itself measured."""

    characteristic: str
    axis: Literal["x", "y"]
    unit: str
    lower: float | None
    upper: float | None
    value: float | None


class CurveDrawn(Message):
    """A curve as numbers. `good`: how many good ones its picture has behind it."""

    curve: CurveRecord
    windows: list[CurveWindow]
    x_label: str
    x: list[float]
    y: list[float]
    good: int


class ScanAnswer(Message):
    """A code as it was read, and what of it is known here."""

    kind: str
    serial: str | None
    lot: str | None
    part: Annotated[str | None, Field(description="The code's own part; else the unit's, the lot's or the pattern's.")]
    supplier: str | None
    supplier_part: str | None
    quantity: str | None
    sscc: str | None
    made_on: Day | None
    expires_on: Day | None
    elements: dict[str, str]
    is_known: Annotated[bool, Field(description="Whether it names a unit or lot that was received or made.")]
