"""The supplier's own data of each cell."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Table


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
