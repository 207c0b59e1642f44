"""Journey c: a containment races the stations for 25 rounds, and no unit slips past it."""

import asyncio
import random
from typing import Any

from mes.db import Database
from mes.execution.messages import Component
from mes.genealogy.trace import where_used
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.quality.messages import ContainRequest
from mes.quality.queries import holds
from mes.quality.service import contain
from mes.records.audit import audit
from tests.build import line as build

ROUNDS = 25
CELLS = 4
STEP = {"operation": "010", "name": "Fit", "characteristics": [{"name": "ok", "kind": "boolean", "expected": True}]}
PLANT: dict[str, Any] = {
    "sites": [
        {
            "code": "S",
            "name": "Small",
            "lines": [
                {"code": "S1", "name": "Small", "stations": [{"code": "S-010", "name": "Fit", "operations": ["010"]}]}
            ],
        }
    ],
    "parts": [
        {
            "number": "CELL",
            "name": "Cell",
            "trace": "serial",
            "unit": "pcs",
            "receiving": {"serial": {"column": "Serial"}},
        },
        {"number": "MOD", "name": "Module", "trace": "serial", "unit": "pcs", "serial_pattern": "M{number:05}"},
        {"number": "PACK", "name": "Pack", "trace": "serial", "unit": "pcs", "serial_pattern": "P{number:05}"},
    ],
    "products": [
        {"part": "MOD", "bom": [{"part": "CELL", "operation": "010", "quantity": CELLS}], "route": [STEP]},
        {"part": "PACK", "bom": [{"part": "MOD", "operation": "010", "quantity": 1}], "route": [STEP]},
    ],
}


async def _fit(database: Database, unit: str, part: str, serials: list[str], chance: random.Random) -> None:
    for _ in range(chance.randrange(6)):
        await asyncio.sleep(0)
    fitted = [Component(part=part, serial=serial, position=n) for n, serial in enumerate(serials, start=1)]
    await build.report(database, "S-010", unit, components=fitted, values={"ok": [True]})


async def test_no_pack_slips_past_a_containment(database: Database) -> None:
    await database.transact(apply_plan, PlantFiles.model_validate(PLANT), build.ACTOR)
    serials = await build.order(database, quantity=ROUNDS * 2, part="PACK")
    chance = random.Random(20261123)
    raced = 0
    for n in range(ROUNDS):
        lot, cells = f"LOT-{n}", [f"C{n}-{c}" for c in range(CELLS * 2)]
        await build.receive_file(database, lot, "CELL", ("Serial\n" + "\n".join(cells) + "\n").encode())
        modules, packs = serials["MOD"][2 * n : 2 * n + 2], serials["PACK"][2 * n : 2 * n + 2]
        await _fit(database, modules[0], "CELL", cells[:CELLS], chance)
        containing = asyncio.create_task(
            database.transact(contain, ContainRequest(lot=lot, reason=f"round {n}"), build.ACTOR)
        )
        # meanwhile: one module goes into a pack, and cells of the lot go into another module
        await asyncio.gather(
            _fit(database, packs[0], "MOD", [modules[0]], chance),
            _fit(database, modules[1], "CELL", cells[CELLS:], chance),
        )
        held = await containing
        raced += modules[1] not in held.held or packs[0] not in held.held
        async with database.reading() as session:
            used = await where_used(session, lot)
            open_now = {hold.serial for hold in await holds(session)}
        assert {user.serial for user in used.units} == {modules[0], modules[1], packs[0]}
        assert {user.serial for user in used.units} <= open_now, f"round {n}"
        for unit in (packs[0], modules[1]):
            assert not (await build.permit(database, "S-010", unit)).granted
    assert raced, "the stations never came second: the race was not run"
    async with database.reading() as session:
        assert not any((await audit(session)).values())


async def test_a_release_frees_what_the_containment_held_and_nothing_else(plant: Database) -> None:
    shelf = await build.stock(plant)
    serials = await build.order(plant)
    module, pack = serials["M16S7P"][0], serials["GC48-105"][0]
    await build.module(plant, shelf, module)
    await build.pack(plant, shelf, pack, module, upto="100")
    by_lot = await plant.transact(contain, ContainRequest(lot="CELL-L1", reason="supplier notice"), build.ACTOR)
    by_unit = await plant.transact(contain, ContainRequest(serial=pack, reason="scratch"), build.ACTOR)
    assert by_lot.held == sorted([module, pack])
    await build.release(plant, by_lot.containment, "false alarm")
    assert not (await build.permit(plant, "GC1-110", pack)).granted
    await build.release(plant, by_unit.containment, "polished")
    assert (await build.permit(plant, "GC1-110", pack)).granted
