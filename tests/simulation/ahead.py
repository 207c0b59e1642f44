"""Builds some units before the shift begins, so that it begins in the middle: a pack finished, modules on the shelf."""

import random
from datetime import timedelta

import asyncpg

from mes.db import Database
from mes.execution.checks import record_check
from mes.execution.messages import CheckReport
from tests.simulation.choosing import Chance
from tests.simulation.incidents import Incidents
from tests.simulation.plant import ROOT, START
from tests.simulation.shift import shift
from tests.simulation.stations import Stations

ENOUGH = 400


async def build_ahead(database: Database, url: str) -> None:
    """Let the stations work without a mishap until a pack is finished."""
    eyes = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    try:
        async with shift(database, eyes, START - timedelta(hours=2)) as calm:
            chance = Chance(random.Random(0), calm.auditor.book, is_calm=True, mark="b")
            stations, incidents = Stations(chance), Incidents(chance)
            for _ in range(ENOUGH):
                for choose in (stations.ask, stations.tell, incidents.sign):
                    if (action := choose()) is not None:
                        await calm.auditor.check(await calm.perform(action | {"s": 12}))
                if chance.units("PACK", "finished"):
                    break
            else:
                raise AssertionError("the plant does not work even without a mishap")
            check = CheckReport(station="W-80", kind="daily", verdict="passed")
            await database.transact(record_check, check, ROOT)
    finally:
        await eyes.close()
