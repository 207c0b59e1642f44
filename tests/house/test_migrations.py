"""The migrations make what the models say, and there is one head."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from mes.migrate import config
from mes.tables import LEDGERS, metadata
from tests.conftest import server_url


async def test_the_schema_does_not_drift_from_the_models(database_name: str) -> None:
    engine = create_async_engine(server_url(database_name))
    async with engine.connect() as connection:
        differences = await connection.run_sync(_differences)
    await engine.dispose()
    assert differences == []


def _differences(connection: Connection) -> list[object]:
    def mine(_: object, name: str | None, kind: str, *__: object) -> bool:
        partition = kind == "table" and name is not None and name.startswith(("act_", "measurement_"))
        return not partition

    context = MigrationContext.configure(connection, opts={"include_object": mine, "compare_type": True})
    return list(compare_metadata(context, metadata))


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(config("postgresql://")).get_heads()) == 1


def test_every_ledger_is_a_table() -> None:
    assert set(LEDGERS) <= set(metadata.tables)
