"""One deployed server for these tests, filled through the scripts, the command `mes` and the application's own role."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mes.db import open_database
from mes.embedded_postgres import scratch_dir
from mes.plan.service import apply_files
from mes.quality.messages import ContainRequest
from mes.quality.service import contain
from mes.seal.sealer import Sealer
from mes.settings import Settings
from tests.build import line as build
from tests.conftest import ADMIN, DEMO_PLANT
from tests.deploy import BIN, run
from tests.deploy.server import Server, deployed


@pytest.fixture(scope="session")
async def filled() -> AsyncIterator[Server]:
    """A server that holds a plant with a pack under way, and a hold."""
    with scratch_dir() as folder, deployed(folder) as server:
        migrated = run(BIN / "mes", "migrate", MES_SECRETS_DIR=str(server.secrets))
        assert migrated.returncode == 0, migrated.stderr
        database = open_database(Settings(), server.url("mes"))
        await apply_files(database, DEMO_PLANT, ADMIN)
        shelf = await build.stock(database)
        serials = await build.order(database)
        module, pack = serials["M16S7P"][0], serials["GC48-105"][0]
        await build.module(database, shelf, module)
        await build.pack(database, shelf, pack, module, upto="110")
        await database.transact(contain, ContainRequest(lot="CELL-L1", reason="suspected dent"), build.ACTOR)
        assert await Sealer(database).turn()
        await database.close()
        yield server


@pytest.fixture(scope="session")
def dump(filled: Server) -> Path:
    """A backup of it."""
    folder = filled.secrets.parent / "backups"
    done = filled.script("backup.sh", "--to", folder)
    assert done.returncode == 0, done.stderr
    assert " kept" in done.stdout
    return next(folder.glob("*.dump"))
