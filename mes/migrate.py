"""Brings a database to the newest schema."""

import asyncio
from datetime import timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Date, bindparam, text

from mes import clock
from mes.db import Database
from mes.statement import Prepared

MIGRATIONS = Path(__file__).parent.parent / "migrations"
MONTHS_AHEAD = 4
_ADD_MONTHS = Prepared(text("SELECT add_months(:first, :months) AS added").bindparams(bindparam("first", type_=Date)))


def config(url: str | None = None) -> Config:
    """Return alembic's configuration; `url` is the owner's address, else it is taken from the settings."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.attributes["url"] = url
    return made


async def migrate(url: str | None = None, revision: str = "head") -> None:
    """Run what is missing up to a revision. In a thread: alembic opens a loop of its own."""
    await asyncio.to_thread(command.upgrade, config(url), revision)


async def add_months(database: Database) -> int:
    """Make the partitions of the months to come; returns how many were added."""
    first = (clock.now() - timedelta(days=28)).date()
    async with database.engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None  # noqa: S101
        values = {"first": first, "months": MONTHS_AHEAD + 1}
        return int(await driver.fetchval(_ADD_MONTHS.sql, *(values[name] for name in _ADD_MONTHS.names)))
