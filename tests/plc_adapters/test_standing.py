"""What a gateway keeps is judged as the MES judges it, in every state from which something must not be done."""

import asyncio
import itertools
import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mes import clock
from mes.db import Database
from mes.execution.feed import read_standing
from mes.execution.messages import OfflinePermit, PermitRequest, ResultReport
from mes.execution.permits import explain_permit, record_offline_permit
from mes.execution.rules import WaiverSeen, waivable
from mes.execution.rules.words import Reason
from mes.execution.standing import STANDING, SUBJECT, UNSAFE, Standing
from plc_adapters.known import Known
from tests.build import line as build
from tests.execution.illegal_kinds import FITTING, NAMING, PERMIT, PERMITS, World
from tests.execution.illegal_plant import State, build_state

ATTEMPTS = 1_000


@pytest.fixture
async def state(database: Database) -> State:
    """Build the plant."""
    return await build_state(database)


async def kept(database: Database) -> Standing:
    """Read what a gateway of every station keeps, as it comes to it."""
    async with database.reading() as session:
        stations = [row["code"] for row in await session.driver.fetch("SELECT code FROM station")]
        standing = await read_standing(session, stations)
    return STANDING.validate_json(STANDING.dump_json(standing))


def knows(standing: Standing) -> Known:
    known = Known(timedelta(minutes=15))
    known.take(standing, clock.now())
    return known


async def test_none_of_a_thousand_illegal_attempts_passes_without_the_mes(database: Database, state: State) -> None:
    known, world = knows(await kept(database)), World(state, random.Random(20261123))
    tried: Counter[str] = Counter()
    kinds = {**PERMITS, **NAMING, **FITTING}
    while tried.total() < ATTEMPTS:
        name = min(kinds, key=lambda one: (tried[one], world.chance.random()))
        attempt = kinds[name](world)
        tried[name] += 1
        if attempt.path != PERMIT or attempt.status != 200:
            continue
        for body in attempt.first:
            if "verdict" in body:
                known.heard(ResultReport(**body))
        said = known.decide(PermitRequest(**attempt.body), clock.now()).said
        assert said, f"{name}: {attempt.body}"
        is_judged = {one.code for one in said} != {Reason.OFFLINE}
        right = {attempt.code, *({Reason.LOT_UNKNOWN} if attempt.code == Reason.LOT_WRONG else ())}
        assert not is_judged or right & {one.code for one in said} or attempt.code in UNSAFE, (name, said)


async def test_units_at_stations_are_judged_as_the_mes_does(database: Database, state: State) -> None:
    standing = await kept(database)
    known, at = knows(standing), clock.now()
    outcomes: Counter[str] = Counter()
    every = [(serial, station) for serial in standing.subjects for station in standing.stations]
    async with database.reading() as session:
        for serial, station in random.Random(5).sample(every, 1_500):
            asked = PermitRequest(station=station, serial=serial, cycle="why", asker="why", operator="olga")
            mine = known.decide(asked, at)
            theirs = await explain_permit(session, asked)
            codes = [one.code for one in mine.said if one.code not in UNSAFE | {Reason.OFFLINE}]
            unsafe = [one.rule for one in theirs.verdicts if one.rule in UNSAFE]
            assert [one.code for one in theirs.refusals if one.code not in UNSAFE] == codes, (asked, theirs)
            assert (Reason.OFFLINE in {one.code for one in mine.said}) == bool(unsafe)
            assert mine.step is None or mine.step.operation == theirs.operation
            outcomes["granted" if not mine.said else "judged" if codes else "unsafe"] += 1
    assert min(outcomes[one] for one in ("granted", "judged", "unsafe")) > 20, outcomes


async def test_what_is_old_answers_nobody(database: Database, state: State) -> None:
    known, serial = knows(await kept(database)), state.pools["fresh"][0]
    asked = PermitRequest(station="S-200", serial=serial, cycle="1", asker="t")
    assert not known.decide(asked, clock.now()).said
    for later in (timedelta(minutes=16), -timedelta(minutes=1)):  # and a clock that was set back is not trusted
        (said,) = known.decide(asked, clock.now() + later).said
        assert (said.code, "s old" in said.text) == (Reason.OFFLINE, True)


async def test_a_waiver_that_is_kept_ends_when_it_ends(database: Database, state: State) -> None:
    standing, at = await kept(database), clock.now()
    known, found = knows(standing), None
    for serial, station in itertools.product(standing.subjects, standing.stations):
        asked = PermitRequest(station=station, serial=serial, cycle="1", asker="t", operator="olga")
        said = known.decide(asked, at).said
        if len(said) == 1 and said[0].code in waivable():
            found = asked, said[0].code
            break
    assert found, "nothing is refused by a rule that can be waived"
    asked, rule = found
    subject = standing.subject(asked.serial)
    assert subject is not None
    waiver = WaiverSeen(7, rule, asked.station, None, at + timedelta(minutes=5))
    waived = SUBJECT.dump_json(replace(subject, waivers=(waiver,))).decode()
    known.take(replace(standing, subjects={**standing.subjects, asked.serial: waived}), at)
    decision = known.decide(asked, at)
    assert (decision.said, decision.waivers) == ([], [7])
    assert [one.code for one in known.decide(asked, at + timedelta(minutes=5)).said] == [rule]


async def test_a_result_heard_of_counts_before_the_record_has_it(database: Database, state: State) -> None:
    known, serial = knows(await kept(database)), state.pools["fresh"][0]
    now = clock.now()
    done = ResultReport(
        station="S-200", serial=serial, cycle="1", asker="t", verdict="passed", started_at=now, ended_at=now,
        values={"ok": [True]},
    )  # fmt: skip
    assert known.heard(done.model_copy(update={"values": {"ok": [False]}, "cycle": "0"})) == "failed"
    assert known.heard(done) == "passed"
    assert known.heard(done) == "passed"
    again = PermitRequest(station="S-200", serial=serial, cycle="2", asker="t")
    assert [one.code for one in known.decide(again, now).said] == [Reason.STEP_PASSED]
    after = PermitRequest(station="S-210", serial=serial, cycle="3", asker="t")
    assert Reason.PREDECESSOR_MISSING not in [one.code for one in known.decide(after, now).said]


async def test_what_waits_for_the_mes_is_known_however_old_it_is(database: Database, state: State) -> None:
    standing, serial, now = await kept(database), state.pools["fresh"][0], clock.now()
    known = knows(standing)
    said = {"station": "S-200", "serial": serial, "cycle": "1", "asker": "t", "verdict": "passed"}
    known.heard(ResultReport(**said, started_at=now, ended_at=now, heard_at=now, values={"ok": [True]}))
    again = PermitRequest(station="S-200", serial=serial, cycle="2", asker="t")
    later = now + timedelta(hours=1)
    known.take(standing, later, waiting={"S-200/1"})
    assert [one.code for one in known.decide(again, later).said] == [Reason.STEP_PASSED]
    known.take(standing, later)  # it waits no more and is not in the record: a person must have cleared it
    assert known.decide(again, later).said == []


async def test_what_is_known_grows_old_though_the_clock_stands_still_or_goes_back() -> None:
    now = clock.now()
    nothing = Standing(now, True, {}, {}, {}, {}, {})
    known = Known(timedelta(milliseconds=50))
    asked = PermitRequest(station="S", serial="U", cycle="1", asker="t")

    def is_too_old() -> bool:
        (said,) = known.decide(asked, clock.now()).said
        return "s old" in said.detail

    with clock.held(now):
        known.take(nothing, now)
        assert not is_too_old()
        clock.advance(-timedelta(seconds=3))
        async with asyncio.timeout(5):
            while not is_too_old():  # noqa: ASYNC110 - nobody tells when something has grown old
                await asyncio.sleep(0.01)
        known.take(nothing, clock.now())
        assert not is_too_old()
        clock.advance(-timedelta(hours=1))
        assert is_too_old()
        clock.advance(timedelta(hours=2))
        assert is_too_old()


async def offline(database: Database, asked: dict[str, Any], **more: Any) -> Any:
    permit = OfflinePermit(request=PermitRequest(**asked), granted=True, asked_at=clock.now(), **more)
    return await database.transact(record_offline_permit, permit, build.ACTOR)


async def test_a_permit_that_the_record_contradicts_holds_the_unit(database: Database, state: State) -> None:
    for serial, contradicted in ((state.pools["fresh"][0], []), (state.pools["held"][0], [Reason.ON_HOLD])):
        asked = {"station": "S-200", "serial": serial, "cycle": f"o-{serial}", "asker": "gateway"}
        for _ in range(2):  # a repeat has no second effect
            answer = await offline(database, asked)
            assert [one.code for one in answer.contradictions] == contradicted
        async with database.reading() as session:
            row = await session.driver.fetchrow(
                "SELECT granted, facts_at IS NOT NULL, (SELECT count(*) FROM hold h JOIN unit u ON u.id = h.unit_id"
                " WHERE u.serial = p.serial AND h.reason LIKE 'Permitted without the MES%')"
                " FROM permit p WHERE cycle = $1",
                asked["cycle"],
            )
        assert tuple(row) == (True, True, len(contradicted))


@pytest.mark.parametrize("granted", [True, False])
async def test_the_same_number_gets_the_answer_that_its_gateway_gave(
    database: Database, state: State, granted: bool
) -> None:
    """Whatever the MES would have said: held, but permitted; good, but refused for want of the MES."""
    serial = state.pools["held" if granted else "fresh"][0]
    asked = {"station": "S-200", "serial": serial, "cycle": "o-9", "asker": "test"}
    refusals = {} if granted else {"refusals": [Reason.OFFLINE], "details": {Reason.OFFLINE: "too old"}}
    permit = OfflinePermit(request=PermitRequest(**asked), granted=granted, asked_at=clock.now(), **refusals)
    await database.transact(record_offline_permit, permit, build.ACTOR)
    again = await build.permit(database, "S-200", serial, "o-9")
    assert again.granted is granted
    assert [one.text for one in again.refusals] == ([] if granted else ["The MES can't be reached: too old."])


async def test_a_permit_that_the_mes_had_refused_already_holds_the_unit(database: Database, state: State) -> None:
    serial = state.pools["fresh"][0]
    asked = {"station": "S-210", "serial": serial, "cycle": "o-1", "asker": "gateway"}
    assert not (await build.permit(database, "S-210", serial, "o-1")).granted
    for _ in range(2):
        told = await offline(database, asked | {"asker": "test"})
        assert Reason.PREDECESSOR_MISSING in {one.code for one in told.contradictions}
    async with database.reading() as session:
        held = "SELECT count(*) FROM hold h JOIN unit u ON u.id = h.unit_id WHERE u.serial = $1"
        assert await session.driver.fetchval(held, serial) == 1


async def test_a_refusal_in_place_of_a_permit_that_was_never_heard_is_in_the_journal(
    database: Database, state: State
) -> None:
    serial = state.pools["fresh"][0]
    assert (await build.permit(database, "S-200", serial, "o-1")).granted
    asked = {"station": "S-200", "serial": serial, "cycle": "o-1", "asker": "test"}
    permit = OfflinePermit(
        request=PermitRequest(**asked), granted=False, refusals=[Reason.OFFLINE], asked_at=clock.now()
    )
    assert (await database.transact(record_offline_permit, permit, build.ACTOR)).contradictions == []
    async with database.reading() as session:
        told = "SELECT count(*) FROM act WHERE name = 'execution.record_offline_permit'"
        assert await session.driver.fetchval(told) == 1
        assert await session.driver.fetchval("SELECT granted FROM permit WHERE cycle = 'o-1'")
