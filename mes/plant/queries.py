"""Reads of sites, lines, stations, tools and links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Text, bindparam, select, text

from mes.db import ReadSession
from mes.errors import NotFound
from mes.plant.models import Line, Site, Station, Tool
from mes.statement import Prepared

_FIND_STATION = Prepared(
    text(
        """
        SELECT s.id, s.code, s.name, s.ordinal, s.operations, l.id AS line_id, l.code AS line
        FROM station s JOIN line l ON l.id = s.line_id WHERE s.code = :code
        """
    ).bindparams(bindparam("code", type_=Text))
)


@dataclass(frozen=True, slots=True)
class StationRow:
    """A station as it stands."""

    id: int
    code: str
    name: str
    ordinal: int
    operations: tuple[str, ...]
    line_id: int
    line: str


@dataclass(frozen=True, slots=True)
class LineRow:
    """A line as it stands."""

    id: int
    code: str
    name: str
    site: str


async def find_station(session: ReadSession, code: str) -> StationRow | None:
    """Find a station by its code. One prepared statement: every permit asks it."""
    rows = await session.run(_FIND_STATION, code=code)
    return _station(rows[0]) if rows else None


async def get_station(session: ReadSession, code: str) -> StationRow:
    """Read a station by its code, or raise NotFound."""
    station = await find_station(session, code)
    if station is None:
        raise NotFound(kind="station", name=code)
    return station


async def list_stations(session: ReadSession) -> Sequence[StationRow]:
    """List every station, by line and its order."""
    return await _stations(session, _STATIONS)


async def station_tools(session: ReadSession, station_id: int) -> dict[str, int]:
    """The ids of a station's tools, by code."""
    rows = await session.execute(select(Tool.code, Tool.id).where(Tool.station_id == station_id))
    return {row.code: row.id for row in rows}


async def list_lines(session: ReadSession) -> Sequence[LineRow]:
    """List the lines, by code."""
    columns = (Line.id, Line.code, Line.name, Site.code.label("site"))
    rows = await session.execute(select(*columns).join(Site, Site.id == Line.site_id).order_by(Line.code))
    return [LineRow(**row) for row in rows.mappings()]


_STATIONS = (
    select(
        Station.id,
        Station.code,
        Station.name,
        Station.ordinal,
        Station.operations,
        Line.id.label("line_id"),
        Line.code.label("line"),
    )
    .join(Line, Line.id == Station.line_id)
    .order_by(Line.code, Station.ordinal, Station.code)
)


async def _stations(session: ReadSession, statement: Select[*tuple[Any, ...]]) -> Sequence[StationRow]:
    return [_station(row) for row in (await session.execute(statement)).mappings()]


def _station(row: Mapping[Any, Any]) -> StationRow:
    return StationRow(**{**row, "operations": tuple(row["operations"])})
