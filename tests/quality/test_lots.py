"""Lots split and put together: what came from what is known, and holds and traces follow."""

from decimal import Decimal

import pytest

from mes.db import Database
from mes.errors import Malformed, NotFound
from mes.execution.rules.words import Reason
from mes.genealogy.queries import undocumented
from mes.genealogy.trace import where_used
from mes.materials.messages import LotMerge, LotReceipt, LotSplit
from mes.materials.queries import describe_lot, get_lot, lineage
from mes.materials.service import LotExists, receive_lot
from mes.plan.service import apply_plan
from mes.quality.lots import LotHeld, LotsDiffer, NotEnoughLeft, NothingToSplit, merge_lots, split_lot
from mes.quality.messages import ContainRequest
from mes.quality.queries import holds
from mes.quality.service import contain
from mes.records.audit import audit
from tests.build import line as build
from tests.build import matched
from tests.kits.test_kits import cells_of, parts


async def clean(database: Database) -> set[str]:
    """The laws that are broken."""
    async with database.reading() as session:
        return {law for law, rows in (await audit(session)).items() if rows}


async def glue(database: Database, lot: str, quantity: str = "10", **more: str) -> None:
    """Receive glue."""
    said = {"part": "GLUE", "supplier": "Acme", "supplier_lot": f"S-{lot}", "country": "US"} | more
    await database.transact(receive_lot, LotReceipt(lot=lot, quantity=Decimal(quantity), **said), build.ACTOR)


def split(lot: str, new: str, **more: object) -> LotSplit:
    """A split."""
    return LotSplit(lot=lot, new_lot=new, reason="mixed lots", **more)


async def test_a_carton_becomes_a_lot_and_the_first_lots_trace_leads_to_it(database: Database) -> None:
    issued = await matched.ready(database)
    unit = issued["MOD"][0]
    cells = await cells_of(database, unit)
    free = sorted({f"L1-{n:04}" for n in range(1, 61)} - set(cells))
    answer = await database.transact(split_lot, split("L1", "L1-X", serials=free[:5]), build.QUALITY)
    assert (answer.units, answer.quantity, answer.state, answer.supplier_lot) == (5, 5, "released", "S-L1")
    async with database.reading() as session:
        assert (await describe_lot(session, "L1")).left == 55
        (row,) = await lineage(session, "L1")
        assert (row.lot, row.from_lot, row.quantity, row.reason) == ("L1-X", "L1", 5, "mixed lots")
    await build.permit(database, "ST-10", unit, "c1")
    await build.report(database, "ST-10", unit, components=parts(cells), values={"ok": [True]}, cycle="c1")
    fitted = split("L1", "L1-Y", serials=[cells[0], free[9]])
    with pytest.raises(Malformed) as caught:
        await database.transact(split_lot, fitted, build.QUALITY)
    expected = "a unit of L1 that was never fitted"
    assert caught.value.errors == [{"at": "serials", "read": cells[0], "expected": expected}]
    held = await database.transact(contain, ContainRequest(lot="L1", reason="bad slurry"), build.QUALITY)
    assert held.held == [unit]
    async with database.reading() as session:
        assert len(await holds(session, lot="L1-X")) == 1, "what was split off is as bad"
        assert [one.serial for one in (await where_used(session, "L1")).packs] == [unit]
        assert (await where_used(session, "L1")).loose == 48
        assert (await where_used(session, "L1-X")).packs == []
    assert await clean(database) == set()


async def test_the_first_lots_documents_speak_for_what_came_from_it(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    await matched.receive(database, "L1", 20)
    await build.receive_file(database, "L2", "CELL", b"Serial,Carton,OCV,ACIR,Ah\nX1,B1,3.2,2.2,15\nX2,B2,3.2,2.2,15\n")
    for lot, carton in (("L1", "L1-B1"), ("L2", "B1")):
        await database.transact(split_lot, split(lot, f"{lot}-X", cartons=[carton]), build.QUALITY)
    async with database.reading() as session:
        for lot, lacking in (("L1-X", []), ("L2-X", ["L2 has no un383 test summary"])):
            found = await get_lot(session, lot)
            assert await undocumented(session, ["un383_test_summary"], lot_id=found.id) == lacking


async def test_holds_come_along(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    await matched.receive(database, "L1", 20)
    await database.transact(contain, ContainRequest(lot="L1", reason="wet cartons"), build.QUALITY)
    await database.transact(split_lot, split("L1", "L1-B1", cartons=["L1-B1"]), build.QUALITY)
    async with database.reading() as session:
        (hold,) = await holds(session, lot="L1-B1")
    assert hold.reason == "wet cartons"
    assert await build.release(database, 1) == 2, "one containment, one release"
    await database.transact(contain, ContainRequest(lot="L1", reason="stay put", stops=["move"]), build.QUALITY)
    with pytest.raises(LotHeld, match="stay put"):
        await database.transact(split_lot, split("L1", "L1-B2", cartons=["L1-B2"]), build.QUALITY)


async def test_glue_is_put_together_and_what_was_in_it_is_found(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    for lot, quantity, expires in (("G1", "3", "2027-05-01"), ("G2", "4.5", "2027-03-01")):
        await glue(database, lot, quantity, expires_on=expires)
    merge = LotMerge(lots=["G2", "G1"], into="G3", reason="one drum")
    answer = await database.transact(merge_lots, merge, build.QUALITY)
    assert (answer.quantity, answer.left, str(answer.expires_on)) == (7.5, 7.5, "2027-03-01")
    assert answer.supplier_lot == "S-G1, S-G2"
    await database.transact(contain, ContainRequest(lot="G1", reason="wrong ratio"), build.QUALITY)
    async with database.reading() as session:
        assert [hold.reason for hold in await holds(session, lot="G3")] == ["wrong ratio"]
        assert (await describe_lot(session, "G1")).left == 0
    with pytest.raises(LotHeld, match="wrong ratio"):
        await database.transact(merge_lots, merge.model_copy(update={"into": "G4"}), build.QUALITY)
    await build.release(database, 1)
    with pytest.raises(NotEnoughLeft):
        await database.transact(merge_lots, merge.model_copy(update={"into": "G4"}), build.QUALITY)
    assert await clean(database) == set()


async def test_what_cant_be_is_refused(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    await matched.receive(database, "L1", 20)
    await matched.receive(database, "L2", 20)
    await glue(database, "G1")
    await glue(database, "G2", supplier="Other")
    for message, error in (
        (split("L1", "L2", cartons=["L1-B1"]), LotExists),
        (split("L1", "N", quantity=5), NothingToSplit),
        (split("L1", "N"), NothingToSplit),
        (split("G1", "N", serials=["X"]), NothingToSplit),
        (split("G1", "N", quantity=10), NotEnoughLeft),
        (split("NO", "N", quantity=1), NotFound),
    ):
        with pytest.raises(error):
            await database.transact(split_lot, message, build.QUALITY)
    for lots, differ in ((["L1", "L2"], "trace"), (["G1", "G2"], "supplier"), (["G1", "L1"], "part, country, trace")):
        with pytest.raises(LotsDiffer, match=f"of these {differ} differ"):
            await database.transact(merge_lots, LotMerge(lots=lots, into="N", reason="tidy"), build.QUALITY)
    assert await clean(database) == set()


async def test_a_step_waits_for_its_documents(database: Database) -> None:
    issued = await matched.ready(database)
    unit, pack = issued["MOD"][0], issued["PACK"][0]
    await build.receive_file(database, "L9", "CELL", b"Serial,Carton,OCV,ACIR,Ah\nX1,B,3.265,2.2,15.2\n")
    refused = await build.permit(database, "ST-05", "L9")
    assert [(r.code, r.text) for r in refused.refusals] == [
        (Reason.DOCUMENT_MISSING, "Documents are missing: L9 has no un383 test summary.")
    ]
    cells = await cells_of(database, unit)
    for number, (station, components) in enumerate((("ST-10", parts(cells)), ("ST-20", [])), start=1):
        assert (await build.permit(database, station, unit, f"m{number}")).granted
        await build.report(database, station, unit, components=components, values={"ok": [True]}, cycle=f"m{number}")
    assert (await build.permit(database, "ST-30", pack, "p1")).granted
    inside = [{"part": "MOD", "serial": unit, "position": 1}]
    await build.report(database, "ST-30", pack, components=inside, values={"ok": [True]}, cycle="p1")
    refused = await build.permit(database, "ST-40", pack)
    assert [r.text for r in refused.refusals] == ["Documents are missing: L1 has no certificate."]
    assert refused.refusals[0].clears == "Add them to their lots."
