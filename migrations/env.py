"""Runs migrations as the owner of the tables, over the same driver as the application."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from mes.db import driver_url
from mes.settings import get_settings
from mes.tables import metadata


def run(connection: Connection) -> None:
    """Migrate in one transaction; waiting long for a lock would stop the plant, so it gives up soon."""
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        connection.execute(text("SET LOCAL statement_timeout = '15min'"))
        context.run_migrations()


async def run_online() -> None:
    """Connect as the owner and migrate."""
    url = context.config.attributes.get("url")
    if url is None:
        owner = get_settings().owner_database_url or get_settings().database_url
        if owner is None:
            raise SystemExit("Set MES_OWNER_DATABASE_URL to the database to migrate.")
        url = owner.get_secret_value()
    engine = create_async_engine(driver_url(url))
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


asyncio.run(run_online())
