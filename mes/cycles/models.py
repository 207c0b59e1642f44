"""Permits asked, cycles reported, and what a report broke."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Key, Table


class Permit(Table):
    """An answer to "may I?": each rule's verdict with its version, and the facts seen. A repeat finds it by its number.

    `verdicts`: rule -> [version, "kept" | "broken" | "waived"]; `waivers`: those it was granted by. `facts_at`: a
    gateway gave it while the MES was away, by facts of that moment; the verdicts are those of the MES afterwards.
    """

    __tablename__ = "permit"
    __table_args__ = (
        UniqueConstraint("station_id", "cycle", name="uq_permit_law4_station_cycle"),
        CheckConstraint("granted = (cardinality(refusals) = 0)", name="granted"),
        Index("ix_permit_unit_id", "unit_id", postgresql_where="unit_id IS NOT NULL"),
    )

    id: Mapped[Key]
    station_id: Mapped[int] = mapped_column(ForeignKey("station.id"))
    cycle: Mapped[str]
    asker: Mapped[str]
    serial: Mapped[str]
    unit_id: Mapped[int | None]
    lot_id: Mapped[int | None]
    step_id: Mapped[int | None]
    granted: Mapped[bool]
    refusals: Mapped[list[str]]
    verdicts: Mapped[dict[str, Any]]
    facts: Mapped[dict[str, Any]]
    waivers: Mapped[list[int]]
    operator: Mapped[str | None]
    second_operator: Mapped[str | None]
    asked_at: Mapped[datetime]
    facts_at: Mapped[datetime | None]


class Cycle(Table):
    """One cycle of a station on a unit or lot [ISA-95: segment response], as reported and as judged.

    `verdicts`: rule -> [version, "kept" | "broken" | "waived"]; `digest`: of the whole report, so that a repeat of it
    is told from another result under the same number. `heard_at`: when its gateway read it; NULL where it went straight
    on to the MES, whose own `reported_at` says so then.
    """

    __tablename__ = "cycle"
    __table_args__ = (
        UniqueConstraint("station_id", "cycle", name="uq_cycle_law4_station_cycle"),
        CheckConstraint("num_nonnulls(unit_id, lot_id) = 1", name="subject"),
        CheckConstraint("verdict IN ('passed', 'failed')", name="verdict"),
        CheckConstraint("station_verdict IN ('passed', 'failed')", name="station_verdict"),
        Index("ix_cycle_unit_id", "unit_id", postgresql_where="unit_id IS NOT NULL"),
        Index("ix_cycle_lot_id", "lot_id", postgresql_where="lot_id IS NOT NULL"),
        Index("ix_cycle_reported_at", "reported_at"),
        Index("ix_cycle_station_id", "station_id", "id"),
    )

    id: Mapped[Key]
    station_id: Mapped[int] = mapped_column(ForeignKey("station.id"))
    cycle: Mapped[str]
    asker: Mapped[str]
    unit_id: Mapped[int | None]
    lot_id: Mapped[int | None]
    step_id: Mapped[int]
    permit_id: Mapped[int | None]
    tool_id: Mapped[int | None]
    verdict: Mapped[str]
    station_verdict: Mapped[str]
    answer: Mapped[dict[str, Any]]
    program_revision: Mapped[str | None]
    operator: Mapped[str | None]
    second_operator: Mapped[str | None]
    waivers: Mapped[list[int]]
    verdicts: Mapped[dict[str, Any]]
    digest: Mapped[bytes]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    heard_at: Mapped[datetime | None]
    reported_at: Mapped[datetime]


class Finding(Table):
    """What a report broke, in the words of execution/rules.py."""

    __tablename__ = "finding"

    id: Mapped[Key]
    cycle_id: Mapped[int] = mapped_column(index=True)
    code: Mapped[str]
    rules_version: Mapped[int]
    facts: Mapped[dict[str, Any]]
