"""Verifying a unit, a day, and with an anchor, on a real pack."""

from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mes import clock
from mes.db import Database
from mes.errors import NotFound
from mes.seal.anchor import AnchorForged, public_pem, read_public_key, require_genuine, signed
from mes.seal.messages import Anchor
from mes.seal.queries import newest_seal
from mes.seal.sealer import Sealer
from mes.seal.verify import Verdict, verify_all, verify_day, verify_unit
from tests.build import line as build
from tests.seal.tampering import superuser


@pytest.fixture
async def packs(plant: Database) -> tuple[str, str]:
    """Two sealed packs, each in seals of its own."""
    shelf, sealer = await build.stock(plant, packs=2), Sealer(plant)
    serials = await build.order(plant, 2)
    for module, pack in zip(serials["M16S7P"], serials["GC48-105"], strict=True):
        await build.module(plant, shelf, module)
        assert await sealer.turn()
        await build.pack(plant, shelf, pack, module, upto="150")
        assert await sealer.turn()
    return serials["GC48-105"][0], serials["GC48-105"][1]


@pytest.fixture
async def owner(plant_name: str) -> asyncpg.Connection:
    """Who may do anything."""
    connection = await superuser(plant_name)
    yield connection
    await connection.close()


OF_PACK = """
    SELECT m.cycle_id FROM measurement m JOIN cycle c ON c.id = m.cycle_id JOIN unit u ON u.id = c.unit_id
    WHERE u.serial = $1 ORDER BY 1 LIMIT 1
"""
# What is changed of a pack, or of what is inside it.
CHANGES = {
    "measurement": "UPDATE measurement SET numbers[1] = numbers[1] + 0.001 WHERE cycle_id = $2",
    "cycle": "UPDATE cycle SET verdict = 'failed' WHERE id = $2",
    "permit": "UPDATE permit SET facts = '{}' WHERE unit_id = $1",
    "unit": "UPDATE unit SET serial = serial || 'x' WHERE id = (SELECT max(child_id) FROM installation JOIN unit u "
    "ON u.id = child_id WHERE u.lot_id = 1)",
    "cell": "UPDATE cell SET capacity_ah = 15.2 WHERE unit_id = (SELECT child_id FROM installation WHERE position = 7 "
    "ORDER BY id LIMIT 1)",
    "installation": "DELETE FROM installation WHERE parent_id = $1 AND child_id IS NOT NULL",
    "lot": "UPDATE lot SET supplier_lot = 'other' WHERE id = 1",
    "lot_document": "UPDATE lot_document SET content = '' WHERE id = 1",
    "characteristic": "UPDATE characteristic SET upper = upper + 1",
    "act": "UPDATE act SET actor = 'somebody else' WHERE name = 'execution.report_result' AND message->>'serial' = $3",
    "work_order": "UPDATE work_order SET quantity = 3",
}


async def test_a_pack_is_verified_with_all_that_is_inside_it(plant: Database, packs: tuple[str, str]) -> None:
    for pack in packs:
        verdict = await verify_unit(plant, pack)
        assert (verdict.misfit, verdict.unsealed) == (None, 0)
        assert verdict.rows > 300
    assert (await verify_unit(plant, packs[0])).rows < (await verify_all(plant)).rows
    with pytest.raises(NotFound):
        await verify_unit(plant, "nobody")


@pytest.mark.parametrize("table", CHANGES)
async def test_a_change_of_a_pack_is_found(
    plant: Database, packs: tuple[str, str], owner: asyncpg.Connection, table: str
) -> None:
    cycle, unit = (
        await owner.fetchval(OF_PACK, packs[0]),
        await owner.fetchval("SELECT id FROM unit WHERE serial = $1", packs[0]),
    )
    change = CHANGES[table]
    for n, value in ((1, str(unit)), (2, str(cycle)), (3, f"'{packs[0]}'")):
        change = change.replace(f"${n}", value)
    assert int((await owner.execute(change)).split()[-1]) > 0
    verdict = await verify_unit(plant, packs[0])
    assert verdict.misfit
    assert verdict.misfit.startswith(f"{table}: row "), verdict
    if table == "cycle":
        assert "execution.report_result by builder" in verdict.acts[0]
        assert packs[0] in verdict.acts[0]
    if table in {"measurement", "cycle", "permit"}:
        assert (await verify_unit(plant, packs[1])).misfit is None, "of the other pack"


async def test_rows_that_lost_their_seal_are_named(
    plant: Database, packs: tuple[str, str], owner: asyncpg.Connection
) -> None:
    await owner.execute(
        "DELETE FROM seal_part WHERE seal_id = 2 AND stream_id = (SELECT id FROM seal_stream WHERE name = 'cycle')"
    )
    assert "cycle: row" in str((await verify_unit(plant, packs[0])).misfit)
    assert "The parts of seal 2" in str((await verify_all(plant)).misfit)


async def test_a_day_is_verified_by_itself(plant: Database, packs: tuple[str, str], owner: asyncpg.Connection) -> None:
    today = clock.now().date()
    verdict = await verify_day(plant, today)
    assert verdict.rows == (await verify_all(plant)).rows
    assert (await verify_day(plant, today - timedelta(days=1))).rows == 0
    await owner.execute("UPDATE cycle SET operator = 'ann' WHERE id = 9")
    assert str((await verify_day(plant, today)).misfit).startswith("cycle: row id 9 was changed")


async def test_an_anchor_finds_what_the_chain_alone_cannot(
    plant: Database, packs: tuple[str, str], owner: asyncpg.Connection, tmp_path: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    async with plant.reading() as session:
        newest = await newest_seal(session)
    assert newest
    anchor = signed(Anchor(seal=newest.id, at=newest.at, hash=newest.hash.hex()), key)

    async def verdicts() -> list[Verdict]:
        day = clock.now().date()
        return [
            await verify_all(plant, anchor),
            await verify_day(plant, day, anchor),
            await verify_unit(plant, packs[0], anchor),
        ]

    assert [verdict.misfit for verdict in await verdicts()] == [None] * 3
    await owner.execute("UPDATE cycle SET operator = 'ann' WHERE id = (SELECT max(id) FROM cycle)")
    await owner.execute("DELETE FROM seal_part WHERE seal_id >= 4")
    await owner.execute("DELETE FROM seal WHERE id >= 4")
    gone = await verify_all(plant)
    assert gone.misfit is None
    assert gone.unsealed
    assert {f"The anchor names seal {newest.id}" in str(verdict.misfit) for verdict in await verdicts()} == {True}
    await Sealer(plant).turn()
    assert (await verify_all(plant)).misfit is None, "sealed anew, as if nothing had been"
    assert {"made anew" in str(verdict.misfit) for verdict in await verdicts()} == {True}

    (tmp_path / "public.pem").write_text(public_pem(key))
    public = read_public_key(tmp_path / "public.pem")
    require_genuine(Anchor.model_validate_json(anchor.model_dump_json()), public)
    for forged in (
        anchor.model_copy(update={"hash": "00" * 32}),
        anchor.model_copy(update={"seal": 3}),
        anchor.model_copy(update={"signature": ""}),
    ):
        with pytest.raises(AnchorForged):
            require_genuine(forged, public)
