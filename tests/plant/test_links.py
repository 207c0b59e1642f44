"""What gateways say of their links to the stations."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from mes import clock
from mes.actor import Actor
from mes.db import Database
from mes.errors import NotFound
from mes.journal import Act
from mes.plant.messages import LinkReport
from mes.plant.models import Station, StationLink
from mes.plant.service import record_links

AT = datetime(2027, 3, 1, 6, tzinfo=UTC)


def said(*links: tuple[str, str, int]) -> LinkReport:
    """Make a report of (station, state, dead letters)."""
    stations = [{"station": s, "state": state, "since": AT, "dead_letters": n} for s, state, n in links]
    return LinkReport.model_validate({"gateway": "line-pc-1", "stations": stations})


async def acts(database: Database) -> int:
    """Count the journal's entries of links."""
    async with database.reading() as session:
        statement = select(func.count()).select_from(Act).where(Act.name == "plant.record_links")
        return int((await session.execute(statement)).scalar_one())


LINKS = (
    select(
        Station.code,
        StationLink.gateway,
        StationLink.state,
        StationLink.since,
        StationLink.heard_at,
        StationLink.dead_letters,
    )
    .join(Station, Station.id == StationLink.station_id)
    .order_by(Station.code)
)


async def test_links_are_kept_and_only_changes_are_journaled(plant: Database, admin: Actor) -> None:
    first = said(("GC1-040", "connected", 0), ("GC1-020", "lost", 2))
    with clock.held(AT):
        await plant.transact(record_links, first, admin)
        clock.advance(timedelta(seconds=15))
        await plant.transact(record_links, first, admin)
        async with plant.reading() as session:
            heard = AT + timedelta(seconds=15)
            kept = [tuple(row) for row in await session.execute(LINKS)]
        assert kept == [
            ("GC1-020", "line-pc-1", "lost", AT, heard, 2),
            ("GC1-040", "line-pc-1", "connected", AT, heard, 0),
        ]
        assert await acts(plant) == 1
        await plant.transact(record_links, said(("GC1-020", "connected", 0)), admin)
    assert await acts(plant) == 2


async def test_unknown_stations_are_named_and_nothing_is_kept(plant: Database, admin: Actor) -> None:
    with pytest.raises(NotFound, match="station GC1-999, NOPE"):
        await plant.transact(
            record_links, said(("GC1-999", "lost", 0), ("GC1-020", "lost", 0), ("NOPE", "lost", 0)), admin
        )
    async with plant.reading() as session:
        assert (await session.execute(LINKS)).all() == []


def test_a_station_is_named_once() -> None:
    with pytest.raises(ValidationError, match="each station once"):
        said(("GC1-020", "lost", 0), ("GC1-020", "connected", 0))
