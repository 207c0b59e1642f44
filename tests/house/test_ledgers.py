"""Law 3: a ledger's rows are added, and closed once; never altered or deleted, by whoever asks."""

from datetime import timedelta

import asyncpg
import pytest

from mes import clock
from mes.db import Database
from mes.execution.checks import record_check
from mes.execution.messages import CheckReport, WaiverRequest
from mes.execution.rules import Reason
from mes.execution.waivers import grant_waiver
from mes.migrate import MONTHS_AHEAD, add_months
from mes.people.messages import CertificateRequest
from mes.people.service import certify
from mes.quality.messages import ContainRequest, ReleaseRequest
from mes.quality.service import contain, release_containment
from mes.seal.sealer import Sealer
from mes.tables import LEDGERS, metadata
from tests.build import line as build
from tests.conftest import server_url


@pytest.fixture
async def built(plant: Database) -> Database:
    """A plant with a pack, a hold and its release: a row in every ledger."""
    shelf = await build.stock(plant)
    serials = await build.order(plant)
    module, pack = serials["M16S7P"][0], serials["GC48-105"][0]
    await build.module(plant, shelf, module)
    await build.pack(plant, shelf, pack, module, upto="110")
    held = await plant.transact(contain, ContainRequest(lot="CELL-L1", reason="suspected dent"), build.ACTOR)
    asked = ContainRequest(question="lot = CELL-L1", reason="suspected dent")
    await plant.transact(contain, asked, build.ACTOR)
    await plant.transact(
        release_containment, ReleaseRequest(containment=held.containment, reason="not yet"), build.QUALITY
    )
    await build.report(plant, "GC1-120", pack, removals=[module])
    await plant.transact(record_check, CheckReport(station="GC1-070", kind="daily", verdict="passed"), build.ACTOR)
    until = clock.now() + timedelta(hours=1)
    waiver = WaiverRequest(rule=Reason.TOO_LATE, serials=[module], ends_at=until, reason="long lunch")
    await plant.transact(grant_waiver, waiver, build.QUALITY)
    certificate = CertificateRequest(person="ann", certificate="HV", expires_at=until)
    await plant.transact(certify, certificate, build.SUPERVISOR)
    assert await Sealer(plant).turn()
    return plant


async def test_the_application_cannot_alter_or_delete_a_row(built: Database, plant_name: str) -> None:
    application = await asyncpg.connect(server_url(plant_name).replace("+asyncpg", ""), server_settings=ROLE)
    try:
        for ledger, closing in LEDGERS.items():
            assert await application.fetchval(f"SELECT count(*) FROM {ledger}") or ledger in EMPTY, ledger
            column = a_column(ledger, closing)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.execute(f"UPDATE {ledger} SET {column} = {column}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.execute(f"DELETE FROM {ledger}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.execute(f"TRUNCATE {ledger}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute("CREATE TABLE mine (id int)")
    finally:
        await application.close()


def a_column(ledger: str, closing: tuple[str, ...]) -> str:
    """Name a column that never changes and may be written to at all."""
    columns = metadata.tables[ledger].columns
    return next(c.name for c in columns if c.name not in closing and c.identity is None)


ROLE = {"role": "mes_app"}
EMPTY = {
    "first_article",
    "lot_lineage",
    "cell_test",
    "cell_grade",
    "lot_grading",
    "kit_cell",
    "crate_unit",
    "signal",
    "drill",
}


async def test_not_even_the_owner_can(built: Database, plant_name: str) -> None:
    owner = await asyncpg.connect(server_url(plant_name).replace("+asyncpg", ""))
    try:
        for ledger, closing in LEDGERS.items():
            if ledger in EMPTY:
                continue
            column = a_column(ledger, closing)
            for attack in (f"UPDATE {ledger} SET {column} = {column}", f"DELETE FROM {ledger}"):
                with pytest.raises(asyncpg.RestrictViolationError, match="law 3"):
                    await owner.execute(attack)
            with pytest.raises((asyncpg.RestrictViolationError, asyncpg.FeatureNotSupportedError)):
                await owner.execute(f"TRUNCATE {ledger}")
    finally:
        await owner.close()


async def test_a_row_is_closed_once(built: Database, plant_name: str) -> None:
    application = await asyncpg.connect(server_url(plant_name).replace("+asyncpg", ""), server_settings=ROLE)
    close = "UPDATE hold SET released_at = now(), released_by = 'x', release_reason = 'why'"
    try:
        await application.execute(close)
        with pytest.raises(asyncpg.RestrictViolationError):
            await application.execute(close)
        with pytest.raises(asyncpg.RestrictViolationError):
            await application.execute("UPDATE hold SET released_at = NULL, released_by = NULL, release_reason = NULL")
    finally:
        await application.close()


async def test_months_are_added_ahead_by_the_application(plant: Database) -> None:
    assert await add_months(plant) == 0
    async with plant.reading() as session:
        rows = await session.driver.fetch("SELECT inhrelid::regclass::text AS name FROM pg_inherits")
    assert len({row["name"] for row in rows if row["name"].startswith("act_2")}) > MONTHS_AHEAD
