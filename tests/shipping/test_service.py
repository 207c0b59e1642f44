"""Crates from the first scan until they leave: each rule through acts, repeats, and two terminals at once."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from mes import clock
from mes.db import Database, Session
from mes.errors import NotFound
from mes.genealogy.trace import trace
from mes.materials.messages import DocumentReceipt, LotSplit
from mes.materials.service import add_documents
from mes.orders.service import issue_serials
from mes.quality.lots import split_lot
from mes.quality.messages import ContainRequest
from mes.quality.service import contain
from mes.records.queries import history
from mes.shipping.messages import CrateAnswer, CrateNumber, CrateOpening, CrateUnitRequest
from mes.shipping.queries import find_crates, get_crate, recipients
from mes.shipping.rules import Reason, State
from mes.shipping.service import (
    CrateEmpty,
    CrateRefuses,
    NotInCrate,
    NumbersUsedUp,
    close_crate,
    open_crate,
    unpack_unit,
)
from tests.build import line as build
from tests.build import small
from tests.conftest import server_url
from tests.shipping.crates import (
    SUMMARY,
    a_pack,
    closed,
    make,
    open_one,
    put,
    receive,
    release_all,
    ship,
    step,
)

MORNING = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def morning() -> Iterator[None]:
    with clock.held(MORNING):
        yield


@pytest.fixture
async def plant(database: Database) -> Database:
    """The small plant, ready to build packs."""
    await make(database)
    return database


async def crate(database: Database, number: str) -> CrateAnswer:
    async with database.reading() as session:
        return await get_crate(session, number)


def codes(answer: Any) -> list[Reason]:
    return [one.code for one in answer.refusals]


async def hold(database: Database, **request: Any) -> int:
    message = ContainRequest(**({"reason": "suspected"} | request))
    return (await database.transact(contain, message, build.QUALITY)).containment


async def take_out(database: Database, number: str, serial: str) -> CrateAnswer:
    return await database.transact(unpack_unit, CrateUnitRequest(crate=number, serial=serial), build.ACTOR)


async def acts_of(database: Database, name: str) -> int:
    async with database.reading() as session:
        count: int = await session.driver.fetchval("SELECT count(*) FROM act WHERE name = $1", name)
    return count


async def test_a_pack_is_packed_and_leaves_and_its_record_says_where_to(plant: Database) -> None:
    pack = await a_pack(plant)
    number = await closed(plant, pack)
    assert await ship(plant, number) == await ship(plant, number)
    assert await acts_of(plant, "shipping.ship_crate") == 1, "the same told again is no second act"
    told = await crate(plant, number)
    assert (told.state, told.shipped_to, told.reference) == (State.SHIPPED, "Dealer Inc.", "DN-1")
    assert [(unit.serial, unit.part) for unit in told.units] == [(pack, "PACK")]
    async with plant.reading() as session:
        stays = (await history(session, pack)).crates
        gone = await recipients(session, [pack, "NOBODY"])
        assert [one.crate for one in await find_crates(session, State.SHIPPED)] == [number]
        assert await find_crates(session, State.OPEN) == []
    assert [(stay.crate, stay.shipped_to, stay.taken_out_at) for stay in stays] == [(number, "Dealer Inc.", None)]
    assert [(one.serial, one.shipped_to) for one in gone] == [(pack, "Dealer Inc.")]
    with pytest.raises(CrateRefuses):
        await ship(plant, number, to="Somebody else")
    with pytest.raises(CrateRefuses):
        await take_out(plant, number, pack)


async def test_an_unfinished_pack_is_refused_until_its_pack_out_has_passed(plant: Database) -> None:
    pack, number = await a_pack(plant, upto="80"), await open_one(plant)
    refused = await put(plant, number, pack)
    assert (refused.packed, codes(refused)) == (False, [Reason.UNFINISHED, Reason.PACK_OUT_MISSING])
    assert (await crate(plant, number)).units == []
    await step(plant, "90", pack)
    assert (await put(plant, number, pack)).packed


@pytest.mark.parametrize("stop", ["ship", "move"])
async def test_a_hold_stops_packing_and_leaving_until_it_is_released(plant: Database, stop: str) -> None:
    pack, number = await a_pack(plant), await open_one(plant)
    held = await hold(plant, serial=pack, stops=[stop])
    assert codes(await put(plant, number, pack)) == [Reason.ON_HOLD]
    await build.release(plant, held)
    number = await closed(plant, pack)
    held = await hold(plant, serial=pack, stops=[stop])
    refused = await ship(plant, number)
    assert (refused.shipped, codes(refused)) == (False, [Reason.ON_HOLD])
    assert refused.refusals[0].text == f"{pack} is on hold: suspected."
    await build.release(plant, held)
    assert (await ship(plant, number)).shipped


async def test_a_hold_on_cells_in_it_stops_a_pack_and_one_that_stops_work_alone_does_not(plant: Database) -> None:
    pack = await a_pack(plant)
    number = await closed(plant, pack)
    await hold(plant, serial=pack, stops=["consume"])
    async with plant.reading() as session:
        lot = next(lot for lot in (await trace(session, pack)).lots if lot.startswith("LOT-"))
    held = await hold(plant, lot=lot)
    assert codes(await ship(plant, number)) == [Reason.ON_HOLD]
    await build.release(plant, held)
    assert (await ship(plant, number)).shipped


async def test_a_crate_leaves_whole_or_not_at_all(plant: Database) -> None:
    good, bad = await a_pack(plant), await a_pack(plant)
    number = await closed(plant, good, bad)
    await hold(plant, serial=bad)
    refused = await ship(plant, number)
    assert [(one.serial, one.code) for one in refused.refusals] == [(bad, Reason.ON_HOLD)]
    told = await crate(plant, number)
    assert (told.state, told.shipped_at, len(told.units)) == (State.CLOSED, None, 2)
    assert (await take_out(plant, number, bad)).state is State.OPEN
    await plant.transact(close_crate, CrateNumber(crate=number), build.ACTOR)
    assert (await ship(plant, number)).shipped


async def test_a_part_of_a_pack_is_not_packed_on_its_own(plant: Database) -> None:
    pack = await a_pack(plant)
    async with plant.reading() as session:
        tree = (await trace(session, pack)).tree
    module = next(node.serial for node in tree.inside if node.part == "MOD" and node.serial)
    refused = await put(plant, await open_one(plant), module)
    assert codes(refused) == [Reason.STILL_FITTED]
    assert refused.refusals[0].text == f"{module} is fitted in {pack}."


async def test_a_module_fitted_after_it_was_packed_does_not_leave(plant: Database) -> None:
    serials = await receive(plant, "L-M")
    issued = await small.order(plant, number="WO-M")
    module, pack = issued["MOD"][0], issued["PACK"][0]
    await small.module(plant, module, serials[:4], "G1")
    number = await closed(plant, module)
    await small.tell(plant, "ST-60", pack, ok=False, components=small.fit("MOD", [module]))
    assert Reason.STILL_FITTED in codes(await ship(plant, number))


async def test_a_pack_with_a_gap_in_its_record_does_not_leave(plant: Database) -> None:
    serials = await receive(plant, "L-G", 4)
    issued = await small.order(plant, number="WO-G")
    pack, module = issued["PACK"][0], issued["MOD"][0]
    await small.module(plant, module, serials, "G1")
    await small.tell(plant, "ST-60", pack, components=small.fit("MOD", [module]))
    await release_all(plant, pack)
    await small.work(plant, "ST-70", pack)
    await step(plant, "80", pack)
    await step(plant, "90", pack)
    refused = await put(plant, await open_one(plant), pack)
    assert codes(refused) == [Reason.INCOMPLETE]
    empty = f"{pack}: MOD: no unit known at 1 of 2 positions (2); {pack}: BOARD: no unit known at 1 of 1 positions (1)"
    assert refused.refusals[0].text == f"The record of {pack} has gaps: {empty}."


async def test_each_lot_needs_the_documents_that_its_own_route_asks_for(plant: Database) -> None:
    pack = await a_pack(plant, documents=[])
    crate = await open_one(plant)
    refused = await put(plant, crate, pack)
    assert codes(refused) == [Reason.DOCUMENT_MISSING]
    async with plant.reading() as session:
        lots = [lot for lot in (await trace(session, pack)).lots if lot.startswith("LOT-")]
    assert refused.refusals[0].text == f"Documents are missing: {lots[0]} has no un383 test summary."
    await plant.transact(add_documents, DocumentReceipt(lot=lots[0], documents=[SUMMARY]), build.ACTOR)
    assert (await put(plant, crate, pack)).packed


@pytest.mark.parametrize("is_documented", [True, False])
async def test_what_a_lot_was_split_off_from_speaks_for_it(plant: Database, is_documented: bool) -> None:
    serials = await receive(plant, "L-S", 10, **({} if is_documented else {"documents": []}))
    message = LotSplit(lot="L-S", new_lot="L-S2", serials=serials[:4], reason="one carton aside")
    await plant.transact(split_lot, message, build.ACTOR)
    module = (await small.order(plant, part="MOD", number="WO-S"))["MOD"][0]
    await small.module(plant, module, serials[:4], "G1")
    refused = await put(plant, await open_one(plant), module)
    assert refused.packed == is_documented
    lacking = [] if is_documented else ["Documents are missing: L-S has no un383 test summary."]
    assert [one.text for one in refused.refusals] == lacking


async def test_a_charge_measured_too_high_later_keeps_a_pack_here(plant: Database) -> None:
    pack = await a_pack(plant)
    number = await closed(plant, pack)
    high = {"ok": [True], "charge_pct": [30.5]}
    await small.tell(plant, "ST-80", pack, ok=False, lots=small.use("S1", "8"), values=high)
    await release_all(plant, pack)
    refused = await ship(plant, number)
    assert codes(refused) == [Reason.UNFINISHED, Reason.CHARGE_WRONG]
    assert refused.refusals[1].text == f"The charge of {pack} at 80 was 30.5 %; allowed: at least 20, at most 30."


async def test_misuse_is_told(plant: Database) -> None:
    pack, number = await a_pack(plant), await open_one(plant)
    with pytest.raises(CrateEmpty):
        await plant.transact(close_crate, CrateNumber(crate=number), build.ACTOR)
    with pytest.raises(CrateRefuses, match="is open: it can't ship"):
        await ship(plant, number)
    with pytest.raises(NotInCrate):
        await take_out(plant, number, pack)
    with pytest.raises(NotFound):
        await put(plant, number, "GHOST")
    with pytest.raises(NotFound):
        await put(plant, "0" * 18, pack)
    await put(plant, number, pack)
    assert (await put(plant, number, pack)).packed
    assert await acts_of(plant, "shipping.pack_unit") == 1, "a second scan is no second act"
    await plant.transact(close_crate, CrateNumber(crate=number), build.ACTOR)
    with pytest.raises(CrateRefuses, match="is closed: it can't pack"):
        await put(plant, number, pack)


async def test_of_two_terminals_that_pack_one_unit_one_wins(plant: Database) -> None:
    pack = await a_pack(plant)
    for _ in range(10):
        crates = [await open_one(plant), await open_one(plant)]
        answers = await asyncio.gather(*(put(plant, number, pack) for number in crates))
        winner, loser = sorted(answers, key=lambda answer: not answer.packed)
        assert (winner.packed, codes(loser)) == (True, [Reason.IN_OTHER_CRATE])
        assert loser.refusals[0].text == f"{pack} is in crate {winner.crate}."
        assert [len((await crate(plant, number)).units) for number in (winner.crate, loser.crate)] == [1, 0]
        await take_out(plant, winner.crate, pack)


async def test_nothing_leaves_after_a_containment_has_answered(plant: Database) -> None:
    for _ in range(8):
        pack = await a_pack(plant)
        number = await closed(plant, pack)
        answer, held = await asyncio.gather(ship(plant, number), hold(plant, serial=pack))
        told = await crate(plant, number)
        assert (told.state is State.SHIPPED) == answer.shipped
        assert answer.shipped or codes(answer) == [Reason.ON_HOLD]
        assert held, "what has left is held too: it is to be called back"
        if not answer.shipped:
            assert codes(await ship(plant, number)) == [Reason.ON_HOLD]


async def test_what_leaves_is_not_taken_out_meanwhile(plant: Database) -> None:
    pack = await a_pack(plant)
    for _ in range(10):
        number = await closed(plant, pack)
        answers = await asyncio.gather(take_out(plant, number, pack), ship(plant, number), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        told = await crate(plant, number)
        assert [type(error) for error in refused] == [CrateRefuses]
        assert (told.state, len(told.units)) in {(State.OPEN, 0), (State.SHIPPED, 1)}
        if told.state is State.SHIPPED:
            pack = await a_pack(plant)


async def test_numbers_are_never_given_twice_and_end_in_their_check_digit(plant: Database) -> None:
    numbers = await asyncio.gather(*(open_one(plant, extension=3) for _ in range(20)))
    assert sorted(number[:17] for number in numbers) == [f"34012345{n:09}" for n in range(1, 21)]
    for number in numbers:
        digits = [int(digit) for digit in number]
        assert (3 * sum(digits[0::2]) + sum(digits[1::2])) % 10 == 0, number
    assert (await open_one(plant, extension=4))[:17] == "44012345000000001"


async def test_when_all_numbers_are_given_another_extension_digit_is_asked_for(plant: Database) -> None:
    long_prefix = "401234512345"

    async def draw(session: Session, message: CrateOpening) -> None:
        await issue_serials(session, f"SSCC-0-{message.prefix}-{{number:04}}", 9_998)

    first = CrateOpening(prefix=long_prefix)
    await plant.transact(draw, first, build.ACTOR)
    assert (await plant.transact(open_crate, first, build.ACTOR)).crate.startswith(f"0{long_prefix}9999")
    with pytest.raises(NumbersUsedUp):
        await plant.transact(open_crate, first, build.ACTOR)
    other = CrateOpening(prefix=long_prefix, extension=1)
    assert (await plant.transact(open_crate, other, build.ACTOR)).crate.startswith(f"1{long_prefix}0001")


async def test_the_database_itself_keeps_a_unit_in_one_crate_and_the_ledger_as_it_is(
    plant: Database, database_name: str
) -> None:
    pack = await a_pack(plant)
    await closed(plant, pack)
    owner = await asyncpg.connect(server_url(database_name).replace("+asyncpg", ""))
    again = "INSERT INTO crate_unit (crate_id, unit_id, put_in_at, put_in_by) SELECT crate_id, unit_id, now(), 'x'"
    try:
        with pytest.raises(asyncpg.UniqueViolationError, match="uq_crate_unit_law1_unit"):
            await owner.execute(f"{again} FROM crate_unit")
        for attack in ("UPDATE crate_unit SET crate_id = 7", "DELETE FROM crate_unit"):
            with pytest.raises(asyncpg.RestrictViolationError, match="law 3"):
                await owner.execute(attack)
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute("UPDATE crate SET state = 'shipped'")
    finally:
        await owner.close()
