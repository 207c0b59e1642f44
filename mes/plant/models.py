"""Sites, lines, stations and tools: where work is done, and with what."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Key, Table


class Site(Table):
    """A plant at one address [ISA-95: site]."""

    __tablename__ = "site"

    id: Mapped[Key]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    timezone: Mapped[str]


class Line(Table):
    """A production line [ISA-95: production line]."""

    __tablename__ = "line"

    id: Mapped[Key]
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    shift_starts: Mapped[list[str]]


class Station(Table):
    """A place where a cycle happens [ISA-95: work unit]. Its code is unique in the plant.

    `known_good_h`, `known_bad_h`, `daily_h`: within how many hours each check is due again; NULL: not asked for.
    """

    __tablename__ = "station"

    id: Mapped[Key]
    line_id: Mapped[int] = mapped_column(ForeignKey("line.id"))
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    ordinal: Mapped[int]
    operations: Mapped[list[str]]
    known_good_h: Mapped[float | None]
    known_bad_h: Mapped[float | None]
    daily_h: Mapped[float | None]


class Tool(Table):
    """A tool at a station."""

    __tablename__ = "tool"

    id: Mapped[Key]
    station_id: Mapped[int] = mapped_column(ForeignKey("station.id"), index=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    calibration_due: Mapped[date | None]


class StationLink(Table):
    """What a gateway last said of its connection to a station."""

    __tablename__ = "station_link"
    __table_args__ = (CheckConstraint("state IN ('connected', 'lost')", name="state"),)

    station_id: Mapped[int] = mapped_column(ForeignKey("station.id"), primary_key=True)
    gateway: Mapped[str]
    state: Mapped[str]
    since: Mapped[datetime]
    heard_at: Mapped[datetime]
    dead_letters: Mapped[int]
    kept: Mapped[int]
    skew_s: Mapped[float | None]
    encrypted: Mapped[bool]
