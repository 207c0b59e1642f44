"""The migrations make what the models say, and there is one head."""

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from mes.migrate import config, migrate
from mes.tables import LEDGERS, metadata
from tests.conftest import copied, server_url


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


BEFORE = """
    SET session_replication_role = replica;  -- what is told here stands alone, without what it refers to
    INSERT INTO lot (number, part_id, state, supplier, supplier_lot, quantity, quantity_left, country, received_at)
    VALUES ('L1', 1, 'released', 'Acme', 'S1', 5, 5, 'US', now());
    INSERT INTO unit (serial, part_id, state, created_at) VALUES ('U1', 1, 'received', now());
    INSERT INTO containment (lot_id, reason, opened_at, opened_by) VALUES (1, 'dents', now(), 'quinn');
    INSERT INTO hold (lot_id, containment_id, reason, opened_at, opened_by, released_at, released_by, release_reason)
    VALUES (1, 1, 'dents', now(), 'quinn', now(), 'quinn', 'polished');
    INSERT INTO hold (unit_id, reason, opened_at, opened_by) VALUES (1, 'scratch', now(), 'quinn');
    INSERT INTO installation (parent_id, child_id, part_id, position, quantity, cycle_id, installed_at, removed_at,
                              removed_cycle_id)
    VALUES (2, 1, 1, 1, 1, 7, now(), now(), 8);
    INSERT INTO permit (station_id, cycle, asker, serial, granted, refusals, facts, rules_version, asked_at)
    VALUES (1, 'c1', 'plc', 'U1', false, '{on_hold}', '{}', 1, now());
    SET session_replication_role = origin;
"""


async def test_what_was_recorded_before_is_told_in_the_new_ledgers_words() -> None:
    async with copied("template1") as name:
        await migrate(server_url(name), "2026_11_22_first_schema")
        connection = await asyncpg.connect(server_url(name).replace("+asyncpg", ""))
        try:
            await connection.execute(BEFORE)
            await migrate(server_url(name))
            told = {
                "SELECT question->>'lot' FROM containment": "L1",
                "SELECT role || ' ' || signed_by FROM hold_signature": "quality quinn",
                "SELECT stops::text || release_roles::text FROM hold WHERE unit_id = 1": "{consume,ship}{quality}",
                "SELECT decision || cycle_id FROM disposition WHERE unit_id = 1": "stock8",
                "SELECT state FROM unit": "removed",
                "SELECT count(closing_id) || ' of ' || count(*) FROM hold": "1 of 2",
                "SELECT count(closing_id) || ' of ' || count(*) FROM installation": "1 of 1",
                "SELECT verdicts::text FROM permit": '{"on_hold": [1, "broken"]}',
            }
            assert {query: await connection.fetchval(query) for query in told} == told
            with pytest.raises(asyncpg.RestrictViolationError):
                await connection.execute("UPDATE containment SET reason = 'none'")
        finally:
            await connection.close()


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(config("postgresql://")).get_heads()) == 1


def test_every_ledger_is_a_table() -> None:
    assert set(LEDGERS) <= set(metadata.tables)
