"""What one may say about lots of serialised parts."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, SkipValidation

from mes.materials.messages import LotReceipt
from mes.message import Amount, LotNumber, Message, Moment, Name, Serial


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """How one of our fields is read from a supplier's file."""

    field: str
    heading: str
    lower: float | None
    upper: float | None


class UnitReceipt(LotReceipt):
    """A lot of a serialised part arrives with a file of its units. `quantity` must be the number of rows.

    `rows`: the file as polars.DataFrame, a row per unit: `line`, `serial` and the columns of `cell` that it has.
    """

    quantity: Annotated[Amount | None, Field(description="Rows expected in the file; empty: as many as it has.")] = None  # type: ignore[assignment]
    file_name: Annotated[str, Field(max_length=200)]
    file_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    rows: Annotated[SkipValidation[Any], Field(exclude=True, repr=False)]


class UnitReceiptAnswer(Message):
    """What was received."""

    lot: str
    units: int
    state: str


Measured = Annotated[float | None, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class CellReading(Message):
    """One reading of one cell; what isn't given wasn't measured."""

    serial: Serial
    tested_at: Moment
    is_retest: bool = False
    ocv_v: Measured = None
    acir_mohm: Measured = None
    capacity_ah: Measured = None
    mass_g: Measured = None
    diameter_mm: Measured = None
    height_mm: Measured = None
    temperature_c: Measured = None
    visual_ok: bool | None = None


class TestReport(Message):
    """Readings of cells, of any lots, from a station or a file."""

    journal_omits: ClassVar[set[str]] = {"readings"}  # the ledger has them, the journal their digest

    source: Annotated[Name, Field(description="Station code, or the file's name.")]
    readings: Annotated[list[CellReading], Field(min_length=1, max_length=200_000)]


class TestAnswer(Message):
    """How many readings were recorded, and how many had been recorded before."""

    recorded: int
    repeated: int


class GradeRequest(Message):
    """Grade the cells of a lot by the readings so far and the newest rules of its part."""

    lot: LotNumber


class SampleAnswer(Message):
    """The sample of a lot by ISO 2859-1: how many are asked and accepted, how many were measured and bad."""

    size: int
    accepts: int
    measured: int
    bad: int
    flag: str | None


class RefusedCell(Message):
    """A cell without a grade, and why."""

    serial: str
    reasons: list[str]


class GradingAnswer(Message):
    """A lot's grading. `shown`: the first cells refused; `flags`: why the lot is in quarantine."""

    lot: str
    part: str
    state: str
    flags: list[str]
    cells: int
    graded: int
    refused: int
    grades: dict[str, int]
    reasons: dict[str, int]
    medians: dict[str, float]
    sample: SampleAnswer | None
    shown: list[RefusedCell]
