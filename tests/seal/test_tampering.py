"""Whatever of the sealed record the superuser changes, removes or adds is found, and the row is named."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from mes.db import Database, open_database
from mes.seal.queries import Stream
from mes.seal.sealer import Sealer
from mes.seal.verify import verify_all
from mes.settings import Settings
from mes.tables import LEDGERS, metadata
from tests.conftest import copied, server_url
from tests.seal.tampering import CHANGED, MADE, add, all_streams, fill, loosen, superuser, types_of

SEALS = {"seal", "seal_part", "seal_stream"}


@dataclass
class Sealed:
    """A sealed database, and who may do anything to it."""

    database: Database
    owner: asyncpg.Connection
    streams: dict[str, Stream]

    async def misfit(self) -> str | None:
        """What verifying says."""
        return (await verify_all(self.database)).misfit

    async def changes(self, stream: Stream, column: str, key: int, value: str) -> str | None:
        """What verifying says while a value is another one; it is put back."""
        which = f'{stream.of_table} SET "{column}" = $1 WHERE {stream.key} = {key}'
        types = await types_of(self.owner, stream.of_table)
        before = await self.owner.fetchval(f'SELECT "{column}" FROM {stream.of_table} WHERE {stream.key} = {key}')
        placed = f'FROM (SELECT "{column}" AS c FROM {stream.of_table} WHERE {stream.key} = {key}) b'
        await self.owner.execute(
            f'UPDATE {stream.of_table} SET "{column}" = {value.format("b.c", "b.c")} {placed} '
            f"WHERE {stream.of_table}.{stream.key} = {key}"
        )
        said = await self.misfit()
        if column == stream.key:
            which = f'{stream.of_table} SET "{column}" = $1 WHERE {stream.key} = {key} + 1000'
        await self.owner.execute(f"UPDATE {which.replace('$1', f'$1::{types[column]}')}", before)
        return said


@pytest.fixture(scope="module")
async def sealed() -> AsyncIterator[Sealed]:
    """Every stream filled and sealed."""
    async with copied("migrated") as name:
        database = open_database(Settings(), server_url(name))
        owner = await superuser(name)
        await fill(database, owner)
        assert await Sealer(database).turn()
        yield Sealed(database, owner, {stream.name: stream for stream in await all_streams(database)})
        await owner.close()
        await database.close()


async def test_every_ledger_is_sealed_whole(sealed: Sealed) -> None:
    assert await sealed.misfit() is None
    for ledger, closing in LEDGERS.items():
        if ledger in SEALS:
            continue
        stream = sealed.streams[ledger]
        assert stream.closing == closing
        columns = {column.name for column in metadata.tables[ledger].columns}
        assert {*stream.columns, *closing} == columns - {"closing_id"}, f"a migration must renew {ledger}'s seal_stream"
        if closing:
            assert set(closing) < set(sealed.streams[f"{ledger} closing"].columns)


async def test_every_sequence_gives_one_number_at_a_time(sealed: Sealed) -> None:
    names = {stream.drawn_by for stream in sealed.streams.values()}
    rows = await sealed.owner.fetch("SELECT sequencename, cache_size FROM pg_sequences")
    assert {row["cache_size"] for row in rows if row["sequencename"] in names} == {1}
    assert names <= {row["sequencename"] for row in rows}


NAMED = (
    "access_key",
    "carton",
    "chart",
    "crate",
    "delivery",
    "kit",
    "line",
    "lot",
    "part",
    "site",
    "station",
    "tool",
    "unit",
)
TABLES = [*sorted({*LEDGERS} - SEALS), *NAMED, "work_order"]


def test_every_stream_is_tried(sealed: Sealed) -> None:
    assert {stream.of_table for stream in sealed.streams.values()} == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
async def test_a_change_of_any_value_is_found_and_named(sealed: Sealed, table: str) -> None:
    stream = sealed.streams[table]
    types = await types_of(sealed.owner, table)
    first = await sealed.owner.fetchval(f"SELECT min({stream.key}) FROM {table}")
    for column in stream.columns:
        said = await sealed.changes(stream, column, first, CHANGED[types[column]])
        expected = "is missing" if column == stream.key else "was changed"
        assert said is not None, column
        assert said.startswith(f"{table}: row {stream.key} {first} {expected}"), (column, said)
        assert "(seal 1 of 20" in said
    assert await sealed.misfit() is None


@pytest.mark.parametrize("table", [table for table in TABLES if LEDGERS.get(table)])
async def test_a_closing_is_sealed_as_well(sealed: Sealed, table: str) -> None:
    stream, closing = sealed.streams[table], sealed.streams[f"{table} closing"]
    types = await types_of(sealed.owner, table)
    number = await sealed.owner.fetchval(f"SELECT closing_id FROM {table} WHERE closing_id IS NOT NULL")
    for column in stream.closing:
        said = await sealed.changes(closing, column, number, CHANGED[types[column]])
        assert said, column
        assert said.startswith(f"{table}: row closing_id {number} was changed"), said
        said = await sealed.changes(stream, column, 4, MADE[types[column]].format(n=1))
        assert said, f"{column} of an open row"
        assert said.startswith(f"{table}: row id 4 was changed"), said
    said = await sealed.changes(closing, "closing_id", number, "{} + 1000")
    assert said
    assert said.startswith(f"{table}: row closing_id {number} is missing"), said
    assert await sealed.misfit() is None


@pytest.mark.parametrize("table", TABLES)
async def test_a_row_removed_added_or_exchanged_is_found_and_named(sealed: Sealed, table: str) -> None:
    stream, owner = sealed.streams[table], sealed.owner
    keys = [row[0] for row in await owner.fetch(f"SELECT {stream.key} FROM {table} ORDER BY 1")]
    await owner.execute(f"CREATE TEMP TABLE kept AS SELECT * FROM {table} WHERE {stream.key} = {keys[1]}")
    await owner.execute(f"DELETE FROM {table} WHERE {stream.key} = {keys[1]}")
    said = await sealed.misfit()
    assert said
    assert said.startswith(f"{table}: row {stream.key} {keys[1]} is missing"), said
    await owner.execute(f"INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept")
    for old in (-7, 2):
        if old not in keys:
            await add(owner, stream, 1111, **{stream.key: str(old)})
            said = await sealed.misfit()
            await owner.execute(f"DELETE FROM {table} WHERE {stream.key} = {old}")
            assert said
            assert said.startswith(f"{table}: row {stream.key} {old} was added"), said
    for a, b in ((keys[0], -1), (keys[1], keys[0]), (-1, keys[1])):
        await owner.execute(f"UPDATE {table} SET {stream.key} = {b} WHERE {stream.key} = {a}")
    said = await sealed.misfit()
    assert said
    assert said.startswith(f"{table}: row {stream.key} {keys[0]} was changed"), said
    for a, b in ((keys[0], -1), (keys[1], keys[0]), (-1, keys[1])):
        await owner.execute(f"UPDATE {table} SET {stream.key} = {b} WHERE {stream.key} = {a}")
    assert await sealed.misfit() is None


async def test_a_seal_itself_can_be_no_other(sealed: Sealed) -> None:
    for n in (5, 6, 7):
        await add(sealed.owner, sealed.streams["containment"], n)
        await Sealer(sealed.database).turn()
    newest = await sealed.owner.fetchval("SELECT max(id) FROM seal")
    for column in ("at", "root", "previous", "hash"):
        for seal in (1, 2, newest):
            said = await sealed.changes(SEAL, column, seal, CHANGED[(await types_of(sealed.owner, "seal"))[column]])
            assert said, (column, seal)
            assert f"eal {seal} of " in said, said
    await loosen(sealed.owner, "seal_part")
    for column, type_ in (await types_of(sealed.owner, "seal_part")).items():
        if column != "seal_id":
            assert await sealed.changes(PART, column, 2, CHANGED[type_]), column
    for column, type_ in (await types_of(sealed.owner, "seal_stream")).items():
        if column != "id":
            where = sealed.streams["finding"].id
            assert await sealed.changes(STREAM, column, where, CHANGED[type_]), column
    await sealed.owner.execute("CREATE TEMP TABLE kept AS SELECT * FROM seal WHERE id = 2")
    await sealed.owner.execute("DELETE FROM seal WHERE id = 2")
    assert "Seal 3 of" in str(await sealed.misfit())
    await sealed.owner.execute("INSERT INTO seal SELECT * FROM kept")
    assert await sealed.misfit() is None


SEAL = Stream(0, "seal", "seal", "id", "", (), ())
PART = Stream(0, "seal_part", "seal_part", "seal_id", "", (), ())
STREAM = Stream(0, "seal_stream", "seal_stream", "id", "", (), ())
