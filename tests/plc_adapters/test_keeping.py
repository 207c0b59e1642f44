"""The gateway's door against a real MES that goes away: nothing is lost, doubled or out of order, and gates hold."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mes import clock
from mes.actor import Role
from mes.db import Database
from mes.execution.messages import PermitAnswer, PermitRequest, ReportAnswer, ResultReport
from mes.execution.rules.words import Reason
from mes.people.messages import KeyRequest
from mes.people.service import create_key
from mes.quality.messages import ContainRequest
from mes.quality.service import contain
from plc_adapters.dead_letters import read_letter
from plc_adapters.door import HttpDoor, NotUnderstood
from plc_adapters.keeping import KeepingDoor
from plc_adapters.port import KEPT
from plc_adapters.spool import ALARM, Spool, SpoolFull
from tests.build import line as build
from tests.build import small
from tests.conftest import server_url
from tests.events.telling import relay_all
from tests.plc_adapters.kept_gateway import Gateway, Mes


@pytest.fixture
async def mes(database_name: str) -> AsyncIterator[Mes]:
    served = Mes(server_url(database_name))
    await served.come()
    yield served
    await served.go()


@pytest.fixture
async def units(database: Database) -> list[str]:
    """Modules whose cells are in."""
    await small.make(database)
    await small.lot(database, "G1", "GLUE")
    fitted = await small.cells(database, "C1", 24)
    made = list((await small.order(database, quantity=3))["MOD"])
    for n, serial in enumerate(made):
        await small.work(database, "ST-10", serial, components=small.fit("CELL", fitted[4 * n : 4 * n + 4]))
    return made


@pytest.fixture
async def gateway(database: Database, mes: Mes, tmp_path: Path) -> AsyncIterator[Gateway]:
    key = await database.transact(create_key, KeyRequest(name="gw", role=Role.STATION), build.ACTOR)
    made = Gateway(mes.port, key.key, tmp_path)
    yield made
    await made.kill()


def asked(station: str, serial: str, cycle: str, **more: Any) -> PermitRequest:
    return PermitRequest(station=station, serial=serial, cycle=cycle, asker="gateway", **more)


def done(station: str, serial: str, cycle: str, *, ok: bool = True, **more: Any) -> ResultReport:
    fields: dict[str, Any] = {"values": {"ok": [ok]}, "verdict": "passed" if ok else "failed"}
    now = clock.now()
    said = {
        "station": station,
        "serial": serial,
        "cycle": cycle,
        "asker": "gateway",
        "started_at": now,
        "ended_at": now,
    }
    return ResultReport(**{**said, **fields, **more})


async def work(door: KeepingDoor, station: str, serial: str, **more: Any) -> ReportAnswer:
    cycle = f"1-{serial}"
    lots = {"lots": [used.lot for used in more.get("lots", ())]}
    answer = await door.permit(asked(station, serial, cycle, **lots))
    assert answer.granted, answer.refusals
    return await door.report(done(station, serial, cycle, **more))


def codes(answer: PermitAnswer) -> list[Reason]:
    return [refusal.code for refusal in answer.refusals]


async def rows(database: Database, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    async with database.reading() as session:
        return [tuple(row) for row in await session.driver.fetch(sql, *values)]


CYCLES = """
    SELECT s.code, u.serial, c.verdict, p.granted, p.facts_at IS NOT NULL AS was_offline, c.heard_at IS NOT NULL
    FROM cycle c JOIN station s ON s.id = c.station_id JOIN unit u ON u.id = c.unit_id
    LEFT JOIN permit p ON p.id = c.permit_id WHERE c.asker = 'gateway' ORDER BY u.serial, c.id
"""


async def test_good_units_go_on_without_the_mes_and_all_of_it_arrives_once(
    database: Database, mes: Mes, gateway: Gateway, units: list[str]
) -> None:
    door = await gateway.start()
    await gateway.until_known(units[0])
    await mes.go()
    for serial in units:
        for station, more in (("ST-20", {}), ("ST-21", {}), ("ST-30", {"lots": small.use("G1", "0.5")})):
            told = await work(door, station, serial, **more)
            assert (told.verdict, told.unit_state) == ("passed", KEPT)
        again = await door.permit(asked("ST-30", serial, f"1-{serial}", lots=["G1"]))
        assert again.granted  # the same number, the same answer
        assert codes(await door.permit(asked("ST-30", serial, f"2-{serial}"))) == [Reason.STEP_PASSED]
    assert len(gateway.spool.waiting) == len(units) * (3 + 3 + 1)
    await mes.come()
    await gateway.until_brought()
    expected = [
        (station, serial, "passed", True, True, True) for serial in units for station in ("ST-20", "ST-21", "ST-30")
    ]
    assert await rows(database, CYCLES) == expected
    assert await rows(database, "SELECT code FROM finding") == []
    assert await rows(database, "SELECT reason FROM hold WHERE released_at IS NULL") == []
    assert (await door.permit(asked("ST-20", units[0], "3"))).refusals[0].code == Reason.STEP_PASSED


async def test_gates_refuse_what_they_must_without_the_mes(
    database: Database, mes: Mes, gateway: Gateway, units: list[str]
) -> None:
    door = await gateway.start()
    await gateway.until_known(units[0])
    await mes.go()
    assert codes(await door.permit(asked("ST-30", units[0], "1"))) == [Reason.PREDECESSOR_MISSING]
    assert codes(await door.permit(asked("ST-20", "NOBODY", "2"))) == [Reason.OFFLINE]
    assert codes(await door.permit(asked("ST-99", units[0], "3"))) == [Reason.OFFLINE]
    fits = small.fit("CELL", ["C1-013"])
    assert codes(await door.permit(asked("ST-20", units[0], "4", components=fits))) == [Reason.OFFLINE]
    await work(door, "ST-20", units[0])
    await door.permit(asked("ST-21", units[0], "5"))
    assert (await door.report(done("ST-21", units[0], "5", ok=False))).verdict == "failed"
    assert codes(await door.permit(asked("ST-30", units[0], "6", lots=["NONE"]))) == [
        Reason.LOT_UNKNOWN,
        Reason.PREDECESSOR_MISSING,
    ]
    await mes.come()
    await gateway.until_brought()
    refused = await rows(database, "SELECT count(*) FROM permit WHERE NOT granted AND asker = 'gateway'")
    # NOBODY is refused on record too; a station that doesn't exist has no record but the journal
    assert refused == [(4,)]


async def test_a_contradiction_holds_the_unit(database: Database, mes: Mes, gateway: Gateway, units: list[str]) -> None:
    door = await gateway.start()
    await gateway.until_known(units[0])
    await mes.go()
    # quality works on another way to the same record; the gateway can't know
    await build_hold(database, units[0])
    told = await work(door, "ST-20", units[0])
    assert told.unit_state == KEPT
    await mes.come()
    await gateway.until_brought()
    found = "SELECT reason FROM hold h JOIN unit u ON u.id = h.unit_id WHERE u.serial = $1 ORDER BY h.id"
    reasons = [reason for (reason,) in await rows(database, found, units[0])]
    assert reasons[0] == "Suspect."
    assert reasons[1].startswith("Permitted without the MES")
    assert await rows(database, CYCLES) == [("ST-20", units[0], "passed", True, True, True)]


async def test_what_changes_is_known_at_once_and_alone(
    database: Database, mes: Mes, gateway: Gateway, units: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cycle that another gateway reported renews its unit; a containment all, since it may be on anything."""
    read: list[list[str]] = []
    reads = HttpDoor.standing

    async def standing(door: HttpDoor, stations: Sequence[str], serials: Sequence[str] = ()) -> bytes:
        read.append(list(serials))
        return await reads(door, stations, serials)

    monkeypatch.setattr(HttpDoor, "standing", standing)
    await relay_all(database)
    door = await gateway.start()
    await gateway.until_known(units[0])
    await small.work(database, "ST-20", units[1])
    await gateway.until_known(units[1], cycles=2)
    assert read == [[], [units[1]]]
    await build_hold(database, units[0])
    await gateway.until_known(units[0], holds=1)
    assert read == [[], [units[1]], []]
    await mes.go()
    assert codes(await door.permit(asked("ST-20", units[0], "1"))) == [Reason.ON_HOLD]
    assert codes(await door.permit(asked("ST-20", units[1], "2"))) == [Reason.STEP_PASSED]
    assert (await door.permit(asked("ST-20", units[2], "3"))).granted


async def build_hold(database: Database, serial: str) -> None:
    await database.transact(contain, ContainRequest(serials=[serial], reason="Suspect."), build.QUALITY)


async def test_a_killed_gateway_goes_on_where_it_was(
    database: Database, mes: Mes, gateway: Gateway, units: list[str]
) -> None:
    door = await gateway.start()
    await gateway.until_known(units[0])
    await mes.go()
    assert (await door.permit(asked("ST-20", units[0], "1"))).granted
    report = done("ST-20", units[0], "1")
    await door.report(report)
    await gateway.kill()
    door = await gateway.start()
    assert len(gateway.spool.waiting) == 2
    assert codes(await door.permit(asked("ST-20", units[0], "2"))) == [Reason.STEP_PASSED]
    assert (await door.report(report)).verdict == "passed"  # its acknowledgement was lost with the gateway
    await work(door, "ST-21", units[0])
    await mes.come()
    await gateway.until_brought()
    assert [row[0] for row in await rows(database, CYCLES)] == ["ST-20", "ST-21"]


async def test_another_result_under_a_kept_number_is_not_swallowed(
    database: Database, mes: Mes, gateway: Gateway, units: list[str]
) -> None:
    door = await gateway.start()
    await mes.go()
    first = done("ST-20", units[0], "1")
    assert (await door.report(first)).unit_state == KEPT
    assert (await door.report(first)).unit_state == KEPT
    with pytest.raises(NotUnderstood, match="Another result"):
        await door.report(first.model_copy(update={"verdict": "failed"}))


async def test_what_the_mes_cannot_understand_becomes_a_dead_letter(
    database: Database, mes: Mes, gateway: Gateway, units: list[str]
) -> None:
    door = await gateway.start()
    await mes.go()
    await door.report(done("ST-20", units[0], "1", values={"nothing of the kind": [1.0]}))
    await door.report(done("ST-20", units[1], "2"))
    await mes.come()
    await gateway.until_brought()
    assert [path.name for path in gateway.letters.paths()] == ["ST-20.spool-1.json"]
    assert [row[1] for row in await rows(database, CYCLES)] == [units[1]]


async def test_what_another_version_kept_is_set_aside_and_stops_nothing(
    database: Database, mes: Mes, gateway: Gateway, units: list[str]
) -> None:
    door = await gateway.start()
    await gateway.until_known(units[0])
    await mes.go()
    for n, unit in enumerate(units[:3]):
        assert (await door.permit(asked("ST-20", unit, f"{n}"))).granted
        await door.report(done("ST-20", unit, f"{n}"))
    await gateway.kill()
    with contextlib.closing(sqlite3.connect(gateway.spool.path)) as file, file:
        file.execute("UPDATE entry SET body = json_set(body, '$.later', 1) WHERE cycle = '1'")
    await gateway.start()
    await mes.come()
    await gateway.until_brought()
    assert [row[1] for row in await rows(database, CYCLES)] == [units[0], units[2]]
    letters = [read_letter(path) for path in gateway.letters.paths()]
    assert {(one.cycle, one.problem["code"]) for one in letters} == {("1", "AnotherVersion")}
    assert {name for one in letters for name in one.words or {}} == {"permit", "result"}


async def test_a_full_spool_stops_and_goes_on_when_there_is_room(
    database: Database, mes: Mes, gateway: Gateway, units: list[str]
) -> None:
    door = await gateway.start(most_mb=0.2)
    await mes.go()
    kept = 0
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(2):
                values = {"ok": [True], "note": ["x" * 190] * 50}
                await door.report(done("ST-20", units[0], f"{kept}", values=values))
            kept += 1
    assert kept == len(gateway.spool.waiting)  # what was not kept was not acknowledged
    assert gateway.spool.fill > ALARM
    with pytest.raises(SpoolFull):
        await gateway.spool.keep_result(done("ST-20", units[0], "x", values={"note": ["x" * 190] * 50}))
    stopped = asyncio.create_task(door.report(done("ST-20", units[1], "last", values={"note": ["x" * 190] * 50})))
    await mes.come()
    await gateway.until_brought()
    async with asyncio.timeout(10):
        with contextlib.suppress(NotUnderstood):
            await stopped
            kept += 1  # there was room before the MES answered
        await gateway.until_brought()
    assert len(gateway.letters.paths()) == kept


async def test_a_gateway_that_must_not_answer_refuses_everything(
    database: Database, mes: Mes, gateway: Gateway, units: list[str]
) -> None:
    door = await gateway.start()
    door.known.most_age = timedelta(0)
    await gateway.until_known(units[0])
    await mes.go()
    (said,) = (await door.permit(asked("ST-20", units[0], "1"))).refusals
    assert (said.code, "at most 0 allowed" in said.text) == (Reason.OFFLINE, True)


def test_what_waits_can_be_read_from_the_file(tmp_path: Path) -> None:
    async def keep() -> list[str]:
        spool = Spool(tmp_path / "spool.sqlite")
        await spool.keep_result(done("ST-20", "U-1", "1"))
        lines = list(spool.export())
        spool.close()
        return lines

    (line,) = asyncio.run(keep())
    assert '"serial": "U-1"' in line
    file = sqlite3.connect(tmp_path / "spool.sqlite")
    assert file.execute("SELECT station, cycle FROM entry").fetchall() == [("ST-20", "1")]
    file.close()


async def test_a_refusal_waits_a_little_for_a_mes_that_is_coming_back(
    database: Database, mes: Mes, gateway: Gateway, units: list[str]
) -> None:
    gateway.refuses_after_s = 20
    door = await gateway.start()
    await mes.go()
    asking = asyncio.create_task(door.permit(asked("ST-20", "NOBODY", "1")))
    await mes.come()
    assert codes(await asking) == [Reason.UNIT_UNKNOWN]  # the MES's own answer
