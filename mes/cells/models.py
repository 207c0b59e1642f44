"""The supplier's own data of each cell, what was measured of it here, and its grades."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Closing, Entry, Key, Table, closing_index


class Cell(Table):
    """What the supplier's file says of one cell; empty where it says nothing."""

    __tablename__ = "cell"
    __table_args__ = (
        Index("ix_cell_carton", "carton", postgresql_where="carton IS NOT NULL"),
        Index("ix_cell_date_code", "date_code", postgresql_where="date_code IS NOT NULL"),
    )

    unit_id: Mapped[int] = mapped_column(ForeignKey("unit.id"), primary_key=True)
    carton: Mapped[str | None]
    ocv_v: Mapped[float | None]
    acir_mohm: Mapped[float | None]
    capacity_ah: Mapped[float | None]
    measured_at: Mapped[datetime | None]
    date_code: Mapped[str | None]
    entry: Mapped[Entry]


class CellTest(Table):
    """One reading of a cell, from a station or a file (`source`); empty where nothing was measured."""

    __tablename__ = "cell_test"
    __table_args__ = (UniqueConstraint("unit_id", "tested_at"),)

    id: Mapped[Key]
    unit_id: Mapped[int] = mapped_column(ForeignKey("unit.id"))
    tested_at: Mapped[datetime]
    is_retest: Mapped[bool]
    ocv_v: Mapped[float | None]
    acir_mohm: Mapped[float | None]
    capacity_ah: Mapped[float | None]
    mass_g: Mapped[float | None]
    diameter_mm: Mapped[float | None]
    height_mm: Mapped[float | None]
    temperature_c: Mapped[float | None]
    visual_ok: Mapped[bool | None]
    source: Mapped[str]
    recorded_at: Mapped[datetime]


class LotGrading(Table):
    """One grading of a lot: medians, counts, the sample's verdict; `flags`: what keeps the lot from release."""

    __tablename__ = "lot_grading"
    __table_args__ = (Index("ix_lot_grading_lot_id", "lot_id", "id"),)

    id: Mapped[Key]
    lot_id: Mapped[int] = mapped_column(ForeignKey("lot.id"))
    revision_id: Mapped[int] = mapped_column(ForeignKey("product_revision.id"))
    graded_at: Mapped[datetime]
    graded_by: Mapped[str]
    summary: Mapped[dict[str, Any]]
    flags: Mapped[list[str]]


class CellGrade(Table):
    """A cell's grade, or why it has none, and the values it was judged by. The one that isn't ended counts."""

    __tablename__ = "cell_grade"
    __table_args__ = (
        CheckConstraint("(grade IS NULL) = (cardinality(reasons) > 0)", name="grade"),
        Index("uq_cell_grade_unit_id", "unit_id", unique=True, postgresql_where="ended_at IS NULL"),
        Index("ix_cell_grade_grading_id", "grading_id"),
        closing_index("cell_grade"),
    )

    id: Mapped[Key]
    unit_id: Mapped[int] = mapped_column(ForeignKey("unit.id"))
    grading_id: Mapped[int] = mapped_column(ForeignKey("lot_grading.id"))
    grade: Mapped[str | None]
    reasons: Mapped[list[str]]
    ocv_v: Mapped[float | None]
    acir_mohm: Mapped[float | None]
    capacity_ah: Mapped[float | None]
    k_mv_h: Mapped[float | None]
    tested_at: Mapped[datetime | None]
    graded_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    closing_id: Mapped[Closing]
