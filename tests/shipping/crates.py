"""Packs of the small plant that may leave, and crates for them."""

import itertools
from base64 import b64encode
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from mes.db import Database
from mes.execution.messages import ReportAnswer
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.quality.dispositions import dispose_lot
from mes.quality.messages import DisposeLotRequest, ReleaseHoldRequest
from mes.quality.queries import holds
from mes.quality.service import release_hold
from mes.shipping.messages import CrateNumber, CrateOpening, CrateUnitRequest, PackAnswer, ShipAnswer, ShipRequest
from mes.shipping.service import close_crate, open_crate, pack_unit, ship_crate
from tests.build import line as build
from tests.build import small

PREFIX = "4012345"
SUMMARY = {"kind": "un383_test_summary", "file_name": "un383.pdf", "content": b64encode(b"%PDF").decode()}
CHARGE = {"name": "charge_pct", "unit": "%", "min": 20, "max": 30}
_numbers = itertools.count(1)


def plant_files() -> PlantFiles:
    """The small plant; its cells need a test summary, and a pack's charge is measured at 80. 90 asks for no record."""
    files = deepcopy(small.PLANT)
    files["sites"][0]["lines"][0]["stations"].append({"code": "ST-05", "name": "05", "operations": ["05"]})
    files["products"].append({"part": "CELL", "route": [small.step("05", documents=["un383_test_summary"])]})
    route = files["products"][1]["route"]
    route[3]["characteristics"] = [*route[3]["characteristics"], CHARGE]
    route[4]["is_complete"] = False
    return PlantFiles.model_validate(files)


async def make(database: Database) -> None:
    """Apply the plant, with people, glue and screws."""
    await database.transact(apply_plan, plant_files(), build.ACTOR)
    await small.certify_two(database)
    await small.lot(database, "G1", "GLUE")
    await small.lot(database, "S1", "SCREW", "1000")


async def receive(database: Database, lot: str, count: int = 8, *, documents: Sequence[Any] = (SUMMARY,)) -> list[str]:
    """Receive a lot of cells, and have it released whatever it came with; their serials."""
    serials = [f"{lot}-{n:03}" for n in range(1, count + 1)]
    rows = "".join(f"{serial},K1\n" for serial in serials)
    await build.receive_file(database, lot, "CELL", f"Serial,Carton\n{rows}".encode(), documents=list(documents))
    released = DisposeLotRequest(lot=lot, decision="release", reason="looked at")
    await database.transact(dispose_lot, released, build.QUALITY)
    return serials


async def a_pack(database: Database, *, upto: str = "90", **cells: Any) -> str:
    """Build a pack of two modules of a lot of its own (LOT-n); the clock must be held."""
    number = next(_numbers)
    serials = await receive(database, f"LOT-{number}", **cells)
    await small.cells(database, f"B{number}", 1, "BOARD")
    issued = await small.order(database, number=f"WO-{number}")
    for n, module in enumerate(issued["MOD"]):
        await small.module(database, module, serials[4 * n : 4 * n + 4], "G1")
    pack = issued["PACK"][0]
    await small.pack(database, pack, issued["MOD"], f"B{number}-001", "S1", upto="70")
    for operation in ("80", "90"):
        if operation <= upto:
            await step(database, operation, pack)
    return pack


async def step(database: Database, operation: str, pack: str, charge_pct: float = 25) -> ReportAnswer:
    """Pass 80 with its charge, or 90."""
    if operation == "90":
        return await small.work(database, "ST-90", pack)
    values = {"ok": [True], "charge_pct": [charge_pct]}
    return await small.work(database, "ST-80", pack, lots=small.use("S1", "8"), values=values)


async def open_one(database: Database, extension: int = 0) -> str:
    """Open a crate; its number."""
    message = CrateOpening(extension=extension, prefix=PREFIX)
    return (await database.transact(open_crate, message, build.ACTOR)).crate


async def put(database: Database, crate: str, serial: str) -> PackAnswer:
    """Scan a unit into a crate."""
    return await database.transact(pack_unit, CrateUnitRequest(crate=crate, serial=serial), build.ACTOR)


async def closed(database: Database, *serials: str) -> str:
    """A closed crate of these units."""
    crate = await open_one(database)
    for serial in serials:
        answer = await put(database, crate, serial)
        assert answer.packed, answer.refusals
    await database.transact(close_crate, CrateNumber(crate=crate), build.ACTOR)
    return crate


async def ship(database: Database, crate: str, to: str = "Dealer Inc.") -> ShipAnswer:
    """Let a crate leave."""
    return await database.transact(ship_crate, ShipRequest(crate=crate, to=to, reference="DN-1"), build.ACTOR)


async def release_all(database: Database, serial: str) -> None:
    """Release every hold of a unit, in both roles."""
    async with database.reading() as session:
        open_ = await holds(session, serial=serial)
    for hold in open_:
        for role in hold.release_roles:
            message = ReleaseHoldRequest(hold=hold.hold, reason="looked at")
            await database.transact(release_hold, message, build.QUALITY if role == "quality" else build.SUPERVISOR)
