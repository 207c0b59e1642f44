"""Each rule of the station, the people and the material: refused with its reason, cleared by what it says."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mes import clock
from mes.actor import Actor, Role
from mes.db import Database
from mes.errors import Forbidden, NotFound
from mes.execution.articles import SamePerson, sign_first_article
from mes.execution.checks import CheckPassed, hold_since_check, record_check
from mes.execution.messages import (
    CheckReport,
    FirstArticleSignature,
    HoldSinceCheck,
    MoveRequest,
    PermitRequest,
    WaiverNumber,
    WaiverRequest,
)
from mes.execution.moves import OpenedBefore, move_stock, open_lot
from mes.execution.permits import explain_permit
from mes.execution.rules.words import Reason
from mes.execution.waivers import NotWaivable, WindowWrong, grant_waiver, revoke_waiver
from mes.materials.messages import LotOpening
from mes.people.messages import CertificateRequest, CertificateWithdrawal
from mes.people.service import certify, withdraw_certificate
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.quality.messages import ContainRequest
from mes.quality.queries import holds
from mes.quality.service import contain
from mes.records.queries import history
from tests.build import line as build
from tests.build import small
from tests.build.small import c1, codes

MORNING = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PEOPLE = {"operator": "olga", "second_operator": "omar"}


@pytest.fixture(autouse=True)
def morning() -> Iterator[None]:
    with clock.held(MORNING):
        yield


@pytest.fixture
async def plant(database: Database) -> Database:
    """The small plant with stock on its shelves."""
    await small.make(database)
    await small.cells(database, "C1", 12)
    await small.lot(database, "G1", "GLUE", expires_on=date(2026, 12, 31))
    await small.certify_two(database)
    return database


async def a_module(database: Database, upto: str, number: str = "WO-1", first: int = 1) -> str:
    serial = (await small.order(database, part="MOD", number=number))["MOD"][0]
    await small.module(database, serial, c1(first), "G1", upto=upto)
    return serial


async def welding(database: Database, serial: str, **more: Any) -> dict[str, Any]:
    recipe = (await build.plan_of(database, serial)).steps["40"].recipe
    assert recipe is not None
    return {"recipe_digest": recipe.digest, "program_revision": "W7", "operator": "olga"} | more


async def reasons(database: Database, station: str, serial: str, **more: Any) -> list[Reason]:
    return codes((await small.ask(database, station, serial, **more)).refusals)


async def test_parallel_steps_may_come_in_any_order_and_an_alternative_counts(plant: Database) -> None:
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    await small.work(plant, "ST-10", serial, components=small.fit("CELL", c1(1)))
    await small.work(plant, "ST-22", serial)
    assert await reasons(plant, "ST-21", serial) == [Reason.STEP_PASSED], "22 was done instead"
    assert await reasons(plant, "ST-30", serial) == [Reason.PREDECESSOR_MISSING]
    await small.work(plant, "ST-20", serial)
    assert await reasons(plant, "ST-30", serial) == []


async def test_recipe_and_program_are_read_back(plant: Database) -> None:
    serial = await a_module(plant, "30")
    good = await welding(plant, serial)
    nothing = [Reason.RECIPE_WRONG, Reason.PROGRAM_WRONG, Reason.PERSON_MISSING]
    assert await reasons(plant, "ST-40", serial) == nothing
    assert await reasons(plant, "ST-40", serial, **good | {"recipe_digest": "0" * 64}) == [Reason.RECIPE_WRONG]
    assert await reasons(plant, "ST-40", serial, **good | {"program_revision": "W6"}) == [Reason.PROGRAM_WRONG]
    assert await reasons(plant, "ST-40", serial, **good) == []


async def test_clocks_run_both_ways(plant: Database) -> None:
    serial = await a_module(plant, "40")
    refused = await small.ask(plant, "ST-50", serial, **PEOPLE)
    assert codes(refused.refusals) == [Reason.TOO_EARLY]
    assert "0.0 of 30 min since 30" in refused.refusals[0].text
    clock.advance(timedelta(minutes=29))
    assert await reasons(plant, "ST-50", serial, **PEOPLE) == [Reason.TOO_EARLY]
    clock.advance(timedelta(minutes=1))
    assert await reasons(plant, "ST-50", serial, **PEOPLE) == []
    second = await a_module(plant, "30", number="WO-2", first=5)
    good = await welding(plant, second)
    clock.advance(timedelta(minutes=60))
    assert await reasons(plant, "ST-40", second, **good) == []
    clock.advance(timedelta(seconds=1))
    assert await reasons(plant, "ST-40", second, **good) == [Reason.TOO_LATE]


async def test_people_are_named_two_different_and_certified(plant: Database) -> None:
    serial = await a_module(plant, "40")
    clock.advance(timedelta(minutes=30))
    assert await reasons(plant, "ST-50", serial) == [Reason.PERSON_MISSING]
    assert await reasons(plant, "ST-50", serial, operator="olga", second_operator="olga") == [Reason.PERSON_MISSING]
    stranger = await small.ask(plant, "ST-50", serial, operator="olga", second_operator="eve")
    assert codes(stranger.refusals) == [Reason.NOT_CERTIFIED]
    assert "eve for HV" in stranger.refusals[0].text
    withdrawal = CertificateWithdrawal(person="omar", certificate="HV", reason="moved on")
    await plant.transact(withdraw_certificate, withdrawal, build.SUPERVISOR)
    assert await reasons(plant, "ST-50", serial, **PEOPLE) == [Reason.NOT_CERTIFIED]
    again = CertificateRequest(person="omar", certificate="HV", expires_at=clock.now() + timedelta(days=1))
    await plant.transact(certify, again, build.SUPERVISOR)
    assert await reasons(plant, "ST-50", serial, **PEOPLE) == []
    clock.advance(timedelta(days=1))
    assert Reason.NOT_CERTIFIED in await reasons(plant, "ST-50", serial, **PEOPLE)


async def test_a_first_article_waits_for_a_second_person(plant: Database) -> None:
    first = await a_module(plant, "30")
    second = await a_module(plant, "30", number="WO-2", first=5)
    await small.work(plant, "ST-40", first, **await welding(plant, first))
    refused = await small.ask(plant, "ST-40", second, **await welding(plant, second))
    assert codes(refused.refusals) == [Reason.FIRST_ARTICLE_OPEN]
    assert first in refused.refusals[0].text
    assert await reasons(plant, "ST-40B", second, **await welding(plant, second)) == [], "another station goes on"
    signature = FirstArticleSignature(station="ST-40", verdict="passed")
    with pytest.raises(SamePerson):
        await plant.transact(sign_first_article, signature, Actor("olga", Role.QUALITY))
    await plant.transact(sign_first_article, signature, build.QUALITY)
    assert await reasons(plant, "ST-40", second, **await welding(plant, second)) == []
    with pytest.raises(NotFound):
        await plant.transact(sign_first_article, signature, build.QUALITY)
    clock.advance(timedelta(minutes=1))
    await small.work(plant, "ST-40", second, **await welding(plant, second))
    third = await a_module(plant, "30", number="WO-3", first=9)
    assert await reasons(plant, "ST-40", third, **await welding(plant, third)) == [], (
        "nothing changed: no first article"
    )
    clock.advance(timedelta(hours=4, minutes=1))
    told = await small.tell(plant, "ST-40", third, **await welding(plant, third))
    assert Reason.PERMIT_MISSING in codes(told.findings)
    assert Reason.FIRST_ARTICLE_OPEN in await reasons(plant, "ST-40", third), "after a stop of four hours"


async def test_a_tool_out_of_calibration_blocks_its_station(plant: Database) -> None:
    serial = await a_module(plant, "30")
    good = await welding(plant, serial)
    with clock.held(datetime(2027, 1, 1, 23, tzinfo=UTC)):
        assert Reason.CALIBRATION_DUE not in await reasons(plant, "ST-40", serial, **good)
    with clock.held(datetime(2027, 1, 2, 1, tzinfo=UTC)):
        refused = await small.ask(plant, "ST-40", serial, **good)
        assert Reason.CALIBRATION_DUE in codes(refused.refusals)
        assert Reason.CALIBRATION_DUE not in await reasons(plant, "ST-40B", serial, **good)


async def test_a_failed_check_blocks_lists_and_holds(plant: Database) -> None:
    serial = await a_module(plant, "30")
    check = CheckReport(station="ST-40", tool="LASER", kind="known_bad", verdict="failed")
    assert (await plant.transact(record_check, check, build.ACTOR)).passed, "a bad master that is called bad"
    clock.advance(timedelta(minutes=1))
    await small.weld(plant, serial, tool="LASER")
    clock.advance(timedelta(minutes=1))
    other = await a_module(plant, "30", number="WO-2", first=5)
    fooled = await plant.transact(record_check, check.model_copy(update={"verdict": "passed"}), build.ACTOR)
    assert (fooled.passed, fooled.suspects, fooled.since) == (False, [serial], MORNING)
    refused = await small.ask(plant, "ST-40", other, **await welding(plant, other))
    assert codes(refused.refusals) == [Reason.CHECK_FAILED]
    assert "known-bad master of LASER" in refused.refusals[0].text
    held = await plant.transact(
        hold_since_check, HoldSinceCheck(check=fooled.check, reason="laser drifted"), build.QUALITY
    )
    assert held.subjects == 1
    async with plant.reading() as session:
        assert "laser drifted" in (await holds(session, serial=serial))[0].reason
    mended = await plant.transact(record_check, check, build.ACTOR)
    assert await reasons(plant, "ST-40", other, **await welding(plant, other)) == []
    with pytest.raises(CheckPassed):
        await plant.transact(
            hold_since_check, HoldSinceCheck(check=mended.check, reason="laser drifted"), build.QUALITY
        )


async def test_a_check_is_due_again(plant: Database) -> None:
    [site] = small.PLANT["sites"]
    [line] = site["lines"]
    stations = [s | ({"known_good_h": 8.0} if s["code"] == "ST-20" else {}) for s in line["stations"]]
    files = {"sites": [site | {"lines": [line | {"stations": stations}]}]}
    await plant.transact(apply_plan, PlantFiles.model_validate(files), build.ACTOR)
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    await small.work(plant, "ST-10", serial, components=small.fit("CELL", c1(1)))
    refused = await small.ask(plant, "ST-20", serial)
    assert codes(refused.refusals) == [Reason.CHECK_DUE]
    assert "known-good master, never done" in refused.refusals[0].text
    await plant.transact(record_check, CheckReport(station="ST-20", kind="known_good", verdict="passed"), build.ACTOR)
    assert await reasons(plant, "ST-20", serial) == []
    clock.advance(timedelta(hours=8, seconds=1))
    assert await reasons(plant, "ST-20", serial) == [Reason.CHECK_DUE]


async def test_lots_expire_by_date_and_by_pot_life_and_go_in_order(plant: Database) -> None:
    serial = await a_module(plant, "21")
    await small.lot(plant, "G0", "GLUE", expires_on=date(2026, 11, 22))
    await small.lot(plant, "G2", "GLUE", expires_on=date(2027, 6, 30))
    assert await reasons(plant, "ST-30", serial, lots=["G1"]) == []
    assert await reasons(plant, "ST-30", serial, lots=["G0"]) == [Reason.LOT_EXPIRED]
    later = await small.ask(plant, "ST-30", serial, lots=["G2"])
    assert codes(later.refusals) == [Reason.LOT_NOT_FIRST]
    assert "G1 before G2" in later.refusals[0].text
    await plant.transact(open_lot, LotOpening(lot="G1"), build.ACTOR)
    with pytest.raises(OpenedBefore):
        await plant.transact(open_lot, LotOpening(lot="G1"), build.ACTOR)
    clock.advance(timedelta(days=1))
    assert await reasons(plant, "ST-30", serial, lots=["G1"]) == []
    clock.advance(timedelta(minutes=1))
    assert await reasons(plant, "ST-30", serial, lots=["G1"]) == [Reason.LOT_EXPIRED]
    told = await small.tell(plant, "ST-30", serial, lots=small.use("G1", "0.5"))
    assert Reason.LOT_EXPIRED in codes(told.findings)


async def test_an_alternate_takes_the_place_of_its_part(plant: Database) -> None:
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    await small.cells(plant, "X1", 2, "CELL-B")
    mixed = [*small.fit("CELL", c1(1, 3)), *small.fit("CELL-B", ["X1-001"], 4)]
    told = await small.work(plant, "ST-10", serial, components=mixed)
    assert not told.findings
    more = await small.ask(plant, "ST-10", serial, components=small.fit("CELL-B", ["X1-002"], 4))
    assert Reason.POSITION_TAKEN in codes(more.refusals), "one place, whichever part"


async def test_what_is_to_be_fitted_is_judged_before_the_work(plant: Database) -> None:
    serial = (await small.order(plant, part="MOD"))["MOD"][0]
    await small.cells(plant, "B1", 1, "BOARD")
    wrong = [*small.fit("CELL", ["C1-001", "GHOST", "C1-001"]), *small.fit("BOARD", ["B1-001"], 4)]
    refused = await small.ask(plant, "ST-10", serial, components=wrong, removals=["C1-002"])
    assert set(codes(refused.refusals)) == {
        Reason.COMPONENT_UNKNOWN,
        Reason.COMPONENT_ELSEWHERE,
        Reason.COMPONENT_WRONG,
        Reason.REMOVAL_UNKNOWN,
    }
    assert await reasons(plant, "ST-30", serial, lots=["NONE"]) == [Reason.LOT_UNKNOWN, Reason.PREDECESSOR_MISSING]


async def test_a_component_of_another_revision_is_refused(plant: Database) -> None:
    issued = await small.order(plant)
    changed = [dict(product) for product in small.PLANT["products"]]
    changed[0]["route"] = [step | {"name": f"{step['name']}!"} for step in changed[0]["route"]]
    await plant.transact(apply_plan, PlantFiles.model_validate({"products": changed}), build.ACTOR)
    newer = await a_module(plant, "50", number="WO-2")
    refused = await small.ask(plant, "ST-60", issued["PACK"][0], components=small.fit("MOD", [newer]))
    assert codes(refused.refusals) == [Reason.COMPONENT_REVISION]


async def test_a_waiver_lets_a_named_unit_by_and_stands_on_its_record(plant: Database) -> None:
    serial = await a_module(plant, "30")
    other = await a_module(plant, "30", number="WO-2", first=5)
    clock.advance(timedelta(minutes=61))
    until = clock.now() + timedelta(hours=1)
    request = WaiverRequest(rule=Reason.TOO_LATE, serials=[serial], ends_at=until, reason="cleaned again")
    with pytest.raises(Forbidden):
        await plant.transact(grant_waiver, request, build.SUPERVISOR)
    for law in (Reason.ON_HOLD, Reason.SCRAPPED, Reason.COMPONENT_ELSEWHERE, Reason.FIRST_ARTICLE_OPEN):
        with pytest.raises(NotWaivable):
            await plant.transact(grant_waiver, request.model_copy(update={"rule": law}), build.QUALITY)
    long = request.model_copy(update={"ends_at": clock.now() + timedelta(days=91)})
    with pytest.raises(WindowWrong):
        await plant.transact(grant_waiver, long, build.QUALITY)
    waiver = await plant.transact(grant_waiver, request, build.QUALITY)
    granted = await small.ask(plant, "ST-40", serial, cycle="w-1", **await welding(plant, serial))
    assert (granted.granted, granted.waivers) == (True, [waiver.waiver])
    assert await small.ask(plant, "ST-40", serial, cycle="w-1", **await welding(plant, serial)) == granted
    assert await reasons(plant, "ST-40", other, **await welding(plant, other)) == [Reason.TOO_LATE]
    async with plant.reading() as session:
        assert [w.reason for w in (await history(session, serial)).waivers] == ["cleaned again"]
    told = await small.tell(plant, "ST-40", serial, ok=False, cycle="w-1", **await welding(plant, serial))
    assert (told.findings, told.waivers) == ([], [waiver.waiver])
    await small.work(plant, "ST-40", serial)
    await small.work(plant, "ST-20", serial)
    await small.sign(plant, "ST-40")
    revoke = WaiverNumber(waiver=waiver.waiver, reason="was a mistake")
    await plant.transact(revoke_waiver, revoke, build.QUALITY)
    assert await reasons(plant, "ST-40", serial, **await welding(plant, serial)) == [Reason.TOO_LATE]
    window = WaiverRequest(rule=Reason.TOO_LATE, station="ST-40", ends_at=until, reason="line stop")
    await plant.transact(grant_waiver, window, build.QUALITY)
    assert await reasons(plant, "ST-40", other, **await welding(plant, other)) == []
    assert await reasons(plant, "ST-40B", other, **await welding(plant, other)) == [Reason.TOO_LATE]
    clock.advance(timedelta(hours=1))
    assert await reasons(plant, "ST-40", other, **await welding(plant, other)) == [Reason.TOO_LATE]


async def test_work_without_asking_under_a_waiver_keeps_it_on_the_cycle(plant: Database) -> None:
    serial = await a_module(plant, "30")
    clock.advance(timedelta(minutes=61))
    until = clock.now() + timedelta(hours=1)
    request = WaiverRequest(rule=Reason.TOO_LATE, serials=[serial], ends_at=until, reason="cleaned again")
    waiver = (await plant.transact(grant_waiver, request, build.QUALITY)).waiver
    told = await small.tell(plant, "ST-40", serial, **await welding(plant, serial))
    assert (codes(told.findings), told.waivers) == ([Reason.PERMIT_MISSING], [waiver])
    async with plant.reading() as session:
        assert (await history(session, serial)).cycles[-1].waivers == [waiver]


async def test_why_asks_without_effect(plant: Database) -> None:
    serial = await a_module(plant, "30")

    async def rows() -> int:
        async with plant.reading() as session:
            counted = "SELECT (SELECT count(*) FROM permit) + (SELECT count(*) FROM act)"
            return int(await session.driver.fetchval(counted))

    before = await rows()
    async with plant.reading() as session:
        why = await explain_permit(session, PermitRequest(station="ST-40", cycle="why", asker="why", serial=serial))
        strange = await explain_permit(session, PermitRequest(station="ST-40", cycle="why", asker="why", serial="X"))
    assert (why.granted, why.operation, why.next_step) == (False, "40", "40")
    assert codes(why.refusals) == [Reason.RECIPE_WRONG, Reason.PROGRAM_WRONG, Reason.PERSON_MISSING]
    assert why.refusals[0].who == ["operator"]
    verdicts = {v.rule: v.verdict for v in why.verdicts}
    assert verdicts[Reason.PREDECESSOR_MISSING] == "kept"
    assert verdicts[Reason.TOO_LATE] == "kept"
    assert codes(strange.refusals) == [Reason.UNIT_UNKNOWN]
    assert await rows() == before


async def test_every_verdict_is_stored_with_rule_version_and_facts(plant: Database) -> None:
    serial = await a_module(plant, "30")
    await small.ask(plant, "ST-40", serial, operator="olga", cycle="v-1")
    async with plant.reading() as session:
        row = await session.driver.fetchrow(
            "SELECT verdicts->>'recipe_wrong' AS broken, verdicts->>'on_hold' AS kept, facts->>'passed' AS passed,"
            " operator FROM permit WHERE cycle = 'v-1'"
        )
    assert tuple(row) == ('[1, "broken"]', '[1, "kept"]', "10, 20, 21, 22, 30", "olga")


async def test_a_hold_that_stops_nothing_but_moving_lets_work_go_on(plant: Database) -> None:
    serial = await a_module(plant, "21")
    await plant.transact(contain, ContainRequest(serial=serial, reason="leave it here", stops=["move"]), build.QUALITY)
    assert await reasons(plant, "ST-30", serial, lots=["G1"]) == []
    moved = await plant.transact(move_stock, MoveRequest(serial=serial, location="Q-1"), build.ACTOR)
    assert (moved.moved, codes(moved.refusals)) == (False, [Reason.ON_HOLD])
    await plant.transact(contain, ContainRequest(lot="G1", reason="smells odd"), build.QUALITY)
    assert (await plant.transact(move_stock, MoveRequest(serial="G1", location="Q-1"), build.ACTOR)).moved
    assert await reasons(plant, "ST-30", serial, lots=["G1"]) == [Reason.COMPONENT_ON_HOLD]


async def test_an_intercept_lets_work_run_until_its_operation(plant: Database) -> None:
    serial = await a_module(plant, "21")
    stop = ContainRequest(serial=serial, reason="look before welding", at_operation="40")
    await plant.transact(contain, stop, build.QUALITY)
    await small.work(plant, "ST-30", serial, lots=small.use("G1", "0.5"))
    assert await reasons(plant, "ST-40", serial, **await welding(plant, serial)) == [Reason.ON_HOLD]
