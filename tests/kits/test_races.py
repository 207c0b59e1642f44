"""Kits, while the plant goes on: what was read before a lock is judged again after it."""

import asyncio
import functools
from typing import Any

import pytest

from mes.db import Database, Session
from mes.execution.reports import report_result
from mes.execution.rules.words import Reason
from mes.kits.messages import KitRelease, MatchAnswer, MatchRequest
from mes.kits.service import KitNotReserved, NothingToKit, PoolChanged, match_cells, release_kit
from mes.materials.messages import LotSplit
from mes.orders.messages import OrderEvent
from mes.orders.service import move_order
from mes.plan.service import apply_plan
from mes.quality.dispositions import dispose_lot
from mes.quality.lots import split_lot
from mes.quality.messages import ContainRequest, DisposeLotRequest
from mes.quality.service import contain
from mes.records.audit import audit
from tests.build import line as build
from tests.build import matched
from tests.build.small import codes
from tests.kits.test_kits import cells_of, parts

WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()
"""


async def meanwhile(database: Database, first: tuple[Any, Any], second: tuple[Any, Any]) -> Any:
    """Do the second act (act, message) while the first is done but not committed; what the second came to."""
    act, done, go = first[0], asyncio.Event(), asyncio.Event()

    @functools.wraps(act)
    async def slow(session: Session, message: Any) -> Any:
        answer = await act(session, message)
        done.set()
        await go.wait()
        return answer

    one = asyncio.create_task(database.transact(slow, first[1], build.QUALITY))
    await done.wait()
    other = asyncio.create_task(database.transact(second[0], second[1], build.ACTOR))
    while not other.done():
        async with database.reading() as session:
            if await session.driver.fetchval(WAITING):
                break
        await asyncio.sleep(0.01)
    go.set()
    await one
    return (await asyncio.gather(other, return_exceptions=True))[0]


CHANGES = [
    (contain, ContainRequest(lot="L1", reason="bad slurry")),
    (contain, ContainRequest(carton="L1-B1", reason="fell down")),
    (dispose_lot, DisposeLotRequest(lot="L1", decision="reject", reason="bad slurry")),
    (split_lot, LotSplit(lot="L1", new_lot="L1-X", cartons=["L1-B1"], reason="one carton aside")),
    (match_cells, MatchRequest(part="MOD", kits=5)),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_what_changes_while_cells_are_matched_is_in_no_kit(database: Database, change: tuple[Any, Any]) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    await matched.graded(database)
    second = await meanwhile(database, change, (match_cells, MatchRequest(part="MOD", kits=5)))
    if change[0] is match_cells:
        assert second.kits == [], "it waited, and saw that nothing was left"
    else:
        assert isinstance(second, PoolChanged), second
        assert "L1-0001" in str(second)
    again = await matched.match(database, part="MOD")
    cells = [cell for one in again.kits for cell in (await matched.kit(database, one.kit)).cells]
    assert all(cell.lot == "L1-X" or cell.carton != "L1-B1" for cell in cells)


async def test_a_piece_that_is_filled_meanwhile_gets_no_kit(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    cells = await matched.graded(database)
    unit = (await matched.order(database))["MOD"][0]
    report = build.result("ST-10", unit, components=parts(cells[-12:]), values={"ok": [True]}, cycle="c1")
    second = await meanwhile(database, (report_result, report), (match_cells, MatchRequest(order="W1", lots=["L1"])))
    assert isinstance(second, PoolChanged)
    assert unit in str(second)


@pytest.mark.parametrize("is_released_first", [True, False])
async def test_a_kit_is_either_used_or_released(database: Database, is_released_first: bool) -> None:
    unit = (await matched.ready(database))["MOD"][0]
    kit = (await matched.kit(database, unit)).kit.kit
    cells = await cells_of(database, unit)
    await build.permit(database, "ST-10", unit, "c1")
    release = (release_kit, KitRelease(kit=kit, reason="order cut"))
    report = (
        report_result,
        build.result("ST-10", unit, components=parts(cells), values={"ok": [True]}, cycle="c1"),
    )
    both = (release, report) if is_released_first else (report, release)
    second = await meanwhile(database, *both)
    state = (await matched.kit(database, kit)).kit.state
    if is_released_first:
        assert codes(second.findings) == [Reason.KIT_MISSING]
        assert state == "released"
        async with database.reading() as session:
            open_ = await session.driver.fetchval(
                "SELECT count(*) FROM kit_cell y JOIN kit k ON k.id = y.kit_id "
                "WHERE k.number = $1 AND y.ended_at IS NULL",
                kit,
            )
        assert open_ == 0, "nothing is left in a kit that was given back"
    else:
        assert isinstance(second, KitNotReserved)
        assert state == "used"
    async with database.reading() as session:
        assert {law for law, count in (await audit(session)).items() if count} == set()


async def test_an_order_that_is_over_gets_no_kits(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    await matched.graded(database)
    await matched.order(database)
    await database.transact(move_order, OrderEvent(order="W1", event="cancel", reason="sold out"), build.ACTOR)
    with pytest.raises(NothingToKit):
        await matched.match(database, order="W1")


async def test_a_matching_may_think_longer_than_a_transaction_may_idle(database: Database) -> None:
    await database.transact(apply_plan, matched.plant(), build.ACTOR)
    await matched.graded(database)
    shown = []

    @functools.wraps(match_cells)
    async def match(session: Session, message: MatchRequest) -> MatchAnswer:
        answer = await match_cells(session, message)
        shown.append(await session.driver.fetchval("SHOW idle_in_transaction_session_timeout"))
        return answer

    await database.transact(match, MatchRequest(part="MOD"), build.ACTOR)
    async with database.reading() as session:
        shown.append(await session.driver.fetchval("SHOW idle_in_transaction_session_timeout"))
    assert shown == ["15min", "1min"], "while it matches, and no longer"
