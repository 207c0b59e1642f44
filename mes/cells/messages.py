"""What one may say about lots of serialised parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, SkipValidation

from mes.materials.messages import LotReceipt
from mes.message import Amount, Message


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """How one of our fields is read from a supplier's file."""

    field: str
    heading: str
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class SupplierRows:
    """A supplier's file, read: a row per unit, in the order of the file; `lines` are its line numbers."""

    lines: Sequence[int]
    serials: Sequence[str]
    cells: Sequence[tuple[str | None, float | None, float | None, float | None, datetime | None, str | None]]
    has_data: bool


class UnitReceipt(LotReceipt):
    """A lot of a serialised part arrives with a file of its units. `quantity` must be the number of rows."""

    quantity: Annotated[Amount | None, Field(description="Rows expected in the file; empty: as many as it has.")] = None  # type: ignore[assignment]
    file_name: Annotated[str, Field(max_length=200)]
    file_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    rows: Annotated[SkipValidation[Any], Field(exclude=True, repr=False)]


class UnitReceiptAnswer(Message):
    """What was received."""

    lot: str
    units: int
    state: str
