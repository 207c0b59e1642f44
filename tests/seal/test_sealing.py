"""Sealing beside writers: no row is missed, none is found wrong that isn't, and it costs the same however many rows."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mes import clock
from mes.db import Database
from mes.seal.anchor import require_genuine
from mes.seal.messages import Anchor
from mes.seal.sealer import Sealer
from mes.seal.verify import verify_all
from tests.build import line as build
from tests.conftest import server_url

ADD = """
    WITH c AS (INSERT INTO containment (question, reason, opened_at, opened_by)
               VALUES ('{"n": 1}', 'load', now(), 'test') RETURNING id)
    INSERT INTO recipe (name, digest, parameters) SELECT 'r', 'd' || id, '{}' FROM c RETURNING id
"""
CERTIFY = """
    INSERT INTO certificate (person, name, granted_at, granted_by, expires_at)
    VALUES ('ann', 'HV', now(), 'test', now()) RETURNING id
"""
WITHDRAW = """
    UPDATE certificate SET withdrawn_at = now(), withdrawn_by = 'test', withdraw_reason = 'load' WHERE id = $1
"""
COUNT = """
    SELECT (SELECT count(*) FROM containment), (SELECT count(*) FROM recipe), (SELECT count(*) FROM certificate),
           (SELECT count(closing_id) FROM certificate), (SELECT count(withdrawn_at) FROM certificate)
"""
DRAW = "SELECT nextval('cycle_id_seq')"
FIND = (
    "INSERT INTO measurement (cycle_id, at, step_id, numbers, texts, failed) VALUES ($1, now(), 1, '{1}', '{}', '{}')"
)


async def application(name: str) -> asyncpg.Connection:
    """A connection with the application's rights."""
    return await asyncpg.connect(server_url(name).replace("+asyncpg", ""), server_settings={"role": "mes_app"})


async def covered(database: Database, stream: str) -> int:
    """How many rows of a stream are sealed."""
    asked = "SELECT coalesce(sum(rows), 0) FROM seal_part p JOIN seal_stream s ON s.id = p.stream_id WHERE s.name = $1"
    async with database.reading() as session:
        return int(await session.driver.fetchval(asked, stream))


async def test_a_number_drawn_early_and_seen_late_is_waited_for(database: Database, database_name: str) -> None:
    slow, fast = await application(database_name), await application(database_name)
    sealer = Sealer(database)
    try:
        begun = slow.transaction()
        await begun.start()
        drawn = await slow.fetchval(DRAW)  # a number, and not even an id of a transaction yet
        for _ in range(3):
            await fast.execute(FIND, await fast.fetchval(DRAW))
            await sealer.turn()
            assert await covered(database, "measurement") == 0
        assert (await verify_all(database)).unsealed == 3
        await slow.execute(FIND, drawn)
        await begun.commit()
        await sealer.turn()
        assert await covered(database, "measurement") == 4
    finally:
        await slow.close()
        await fast.close()
    verdict = await verify_all(database)
    assert (verdict.misfit, verdict.unsealed, verdict.rows) == (None, 0, 4)


async def test_beside_writers_that_end_out_of_order_nothing_is_missed(database: Database, database_name: str) -> None:
    chance, end = random.Random(7), clock.now() + timedelta(seconds=5)

    async def write() -> None:
        connection = await application(database_name)
        certificate = None
        while clock.now() < end:
            transaction = connection.transaction()
            await transaction.start()
            for _ in range(chance.randrange(1, 4)):
                await connection.execute(ADD)
                await asyncio.sleep(chance.choice((0, 0, 0.001, 0.01, 0.2)))
            closed = certificate and chance.random() < 0.5
            if closed:
                await connection.execute(WITHDRAW, certificate)
            new = await connection.fetchval(CERTIFY)
            is_kept = chance.random() < 0.8
            await (transaction.commit() if is_kept else transaction.rollback())
            if is_kept:
                certificate = new
        await connection.close()

    async def seal() -> None:
        sealer = Sealer(database, most=chance.choice((7, 1000)))
        while clock.now() < end:
            await sealer.turn()
            verdict = await verify_all(database)
            assert verdict.misfit is None
            await asyncio.sleep(0.01)

    await asyncio.gather(*(write() for _ in range(5)), seal(), seal())
    await Sealer(database).turn()
    verdict = await verify_all(database)
    async with database.reading() as session:
        *rows, withdrawn = await session.driver.fetchrow(COUNT)
    assert min(rows) > 10
    assert rows[-1] == withdrawn
    assert (verdict.misfit, verdict.unsealed, verdict.rows) == (None, 0, sum(rows))


async def test_the_application_may_add_seals_and_no_more(database: Database, database_name: str) -> None:
    connection = await application(database_name)
    try:
        for attack in (
            "INSERT INTO seal_stream OVERRIDING SYSTEM VALUE SELECT * FROM seal_stream",
            "UPDATE seal SET hash = ''",
            "DELETE FROM seal_part",
            "UPDATE certificate SET closing_id = 1",
            "SELECT setval('act_id_seq', 1)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(attack)
    finally:
        await connection.close()


async def test_a_turn_costs_the_same_however_many_rows(plant: Database, statements: list[str]) -> None:
    sealer, counts = Sealer(plant), []
    with clock.held(clock.now()):  # a new minute would be told
        await sealer.turn()
        for count in (10, 2000):
            await build.receive_file(plant, f"CELL-{count}", "CELL-LFP-15", build.cell_file(f"X{count}C", count))
            statements.clear()
            assert await sealer.turn() > 2 * count
            counts.append(len(statements))
    assert counts[0] == counts[1]
    assert counts[0] < 20
    statements.clear()
    assert await sealer.turn() == 0
    assert len(statements) <= 6


async def test_a_large_backlog_is_sealed_in_bites(plant: Database) -> None:
    await build.receive_file(plant, "CELL-1", "CELL-LFP-15", build.cell_file("X", 1000))
    await Sealer(plant, most=300).turn()
    verdict = await verify_all(plant)
    assert (verdict.misfit, verdict.unsealed) == (None, 0)
    assert verdict.seals > 3
    assert verdict.rows > 2000


async def test_the_first_seal_of_a_minute_is_told_signed(database: Database) -> None:
    key = Ed25519PrivateKey.generate()
    sealer = Sealer(database, key)
    with clock.held(clock.now().replace(second=10)):
        for step in (0, 20, 20, 20):  # the last is in the next minute
            clock.advance(timedelta(seconds=step))
            await database.transact(*some_act())
            assert await sealer.turn()
    async with database.reading() as session:
        told = [row["payload"] for row in await session.driver.fetch("SELECT payload FROM outbox WHERE topic = 'seal'")]
        seals = await session.driver.fetch("SELECT id, hash FROM seal WHERE id IN (1, 4) ORDER BY id")
    anchors = [Anchor.model_validate(one) for one in told]
    assert [(one.seal, one.hash) for one in anchors] == [(row["id"], row["hash"].hex()) for row in seals]
    for anchor in anchors:
        require_genuine(anchor, key.public_key())
    assert await sealer.turn() == 0  # telling gave it nothing to seal


def some_act() -> tuple[Any, Any, Any]:
    """An act that works in an empty plant."""
    from mes.actor import Role
    from mes.people.messages import KeyRequest
    from mes.people.service import create_key

    return create_key, KeyRequest(name="k", role=Role.STATION), build.ACTOR
