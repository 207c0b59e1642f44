"""The supplier's own data of each cell."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Table


class Cell(Table):
    """What the supplier's file says of one cell; empty where it says nothing."""

    __tablename__ = "cell"

    unit_id: Mapped[int] = mapped_column(ForeignKey("unit.id"), primary_key=True)
    carton: Mapped[str | None]
    ocv_v: Mapped[float | None]
    acir_mohm: Mapped[float | None]
    capacity_ah: Mapped[float | None]
    measured_at: Mapped[datetime | None]
