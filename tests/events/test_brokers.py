"""MQTT: published by ISA-95 path, acknowledged before it counts, states retained. A real broker on a real port."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator

import aiomqtt
import pytest
from structlog.testing import capture_logs

from mes.db import Database
from mes.events.delivery import BrokerCarrier, carrier_of, deliver_batch
from mes.events.messages import BrokerRequest
from mes.events.queries import subscribers
from mes.events.rules import State
from mes.events.service import subscribe_broker
from mes.events.undelivered import Undelivered
from mes.settings import Settings
from tests.conftest import ADMIN
from tests.events.mqtt_broker import NOT_AUTHORIZED, Mood, retained, running
from tests.events.telling import Note, stream, subscription, tell, tell_numbers
from tests.labels.printer import free_port

SETTINGS = Settings(enterprise="acme")
STATION = "GC1-020"


async def subscribe(database: Database, port: int, **more: object) -> None:
    request = {"name": "uns", "address": f"mqtt://127.0.0.1:{port}", "prefix": "acme", "after": 0, **more}
    await database.transact(subscribe_broker, BrokerRequest.model_validate(request), ADMIN)


async def carrier(database: Database, settings: Settings = SETTINGS) -> BrokerCarrier:
    async with database.reading() as session:
        (subscriber,) = await subscribers(session)
    made = carrier_of(subscriber, database, settings)
    assert isinstance(made, BrokerCarrier)
    return made


async def deliver(database: Database, settings: Settings = SETTINGS) -> bool | None:
    """One turn, as a process just started takes it."""
    one = await carrier(database, settings)
    try:
        return await deliver_batch(database, "uns", one)
    finally:
        await one.close()


async def path_of(plant: Database) -> str:
    """Site, line and station of the station here."""
    async with plant.reading() as session:
        return str(
            await session.driver.fetchval(
                "SELECT concat_ws('/', i.code, l.code, s.code) FROM station s JOIN line l ON l.id = s.line_id "
                "JOIN site i ON i.id = l.site_id WHERE s.code = $1",
                STATION,
            )
        )


async def test_events_stand_in_the_namespace_and_states_are_retained(plant: Database) -> None:
    mood, path = Mood(), await path_of(plant)
    async with running(mood) as port:
        await subscribe(plant, port, topics=["cycle", "link", "note"])
        await tell(
            plant,
            Note(topic="cycle", station=STATION, number=1),
            Note(topic="link", station=STATION, number=2),
            Note(topic="cycle", station=STATION, number=3),
            Note(number=4),
        )
        await deliver(plant)
        states = await retained(port, "acme/#", 2)
    assert [(m.topic, m.event["data"]["number"]) for m in mood.events] == [
        (f"acme/{path}/cycle", 1),
        (f"acme/{path}/link", 2),
        (f"acme/{path}/cycle", 3),
        ("acme/note", 4),
    ]
    assert {m.qos for m in mood.published} == {1}
    assert {topic: event["data"]["number"] for topic, event in states.items()} == {
        f"acme/{path}/state/cycle": 3,
        f"acme/{path}/state/link": 2,
    }
    first = mood.events[0].event
    assert (first["source"], first["type"], first["subject"]) == (f"/acme/{path}", "com.packmes.cycle", STATION)
    assert [m.event["id"] for m in mood.events] == [
        str(event.id) for event in await stream(plant) if event.topic in {"cycle", "link", "note"}
    ]
    kept = await subscription(plant)
    assert (kept.waiting, kept.state) == (0, State.ACTIVE)


async def test_a_broker_that_dies_gets_again_what_it_did_not_acknowledge(database: Database) -> None:
    mood, port = Mood(takes=2), free_port()
    await subscribe(database, port, topics=["note"])
    await tell_numbers(database, 4)
    with capture_logs() as logs:
        with pytest.raises(Undelivered):
            await deliver(database)  # nobody is there yet
        async with running(mood, port):
            with pytest.raises(Undelivered):
                await deliver(database)
            failing = await subscription(database)
            assert (failing.state, failing.waiting) == (State.FAILING, 2)
        with pytest.raises(Undelivered):
            await deliver(database)  # and gone
        mood.takes = None
        async with running(mood, port):
            await deliver(database)
    assert [m.event["data"]["number"] for m in mood.events] == [1, 2, 3, 4]
    assert [line["event"] for line in logs] == ["subscriber is gone", "subscriber is back"]


async def test_on_one_connection_a_broker_that_restarts_is_told_the_states_anew(plant: Database) -> None:
    mood, port, path = Mood(), free_port(), await path_of(plant)
    await subscribe(plant, port, topics=["cycle", "note"])
    one = await carrier(plant)
    async with running(mood, port):
        await tell(plant, Note(topic="cycle", station=STATION, number=1))
        await deliver_batch(plant, "uns", one)
    async with running(mood, port):  # it has forgotten all
        await tell(plant, Note(number=2))
        while True:  # the end of the former connection may be heard before or while sending
            try:
                await deliver_batch(plant, "uns", one)
                break
            except Undelivered:
                pass
        states = await retained(port, "acme/#", 1)
        await one.close()
    assert states[f"acme/{path}/state/cycle"]["data"]["number"] == 1


async def test_a_broker_that_refuses_a_message_has_not_taken_it(database: Database) -> None:
    mood = Mood(reason=NOT_AUTHORIZED)
    async with running(mood) as port:
        await subscribe(database, port, topics=["note"])
        await tell_numbers(database, 1)
        with pytest.raises(Undelivered, match="Not authorized"):
            await deliver(database)
        assert (await subscription(database)).waiting == 1
        mood.reason = 0
        await deliver(database)
    assert (await subscription(database)).waiting == 0


async def test_a_log_in_is_sent_and_never_told(database: Database) -> None:
    async with running(Mood()) as port:  # a broker that knows no users refuses any
        await subscribe(database, port)
        await tell_numbers(database, 1)
        settings = Settings(mqtt_logins={"uns": "mes:sesame"})
        with capture_logs() as logs, pytest.raises(Undelivered, match=r"[Bb]ad user name or password"):
            await deliver(database, settings)
    assert "sesame" not in str(logs)
    assert "sesame" not in repr(settings)
    assert "sesame" not in ((await subscription(database)).last_error or "")


async def test_killed_before_its_position_is_kept_it_publishes_the_same_again(database: Database) -> None:
    mood = Mood()
    async with running(mood) as port:
        await subscribe(database, port, topics=["note"])
        await tell_numbers(database, 2)
        one = await carrier(database)
        taken = 0

        class Killed(BaseException):
            """The process ends."""

        class Dying:
            async def take(self, event: object) -> None:
                nonlocal taken
                await one.take(event)  # type: ignore[arg-type]
                taken += 1
                if taken == 2:
                    raise Killed

            async def close(self) -> None: ...

        with pytest.raises(Killed):
            await deliver_batch(database, "uns", Dying())
        await one.close()
        await deliver(database)
    ids = [m.event["id"] for m in mood.events]
    assert ids == ids[:2] * 2


@pytest.fixture
async def mosquitto() -> AsyncIterator[int]:
    """Another maker's broker, where this machine has it; its port."""
    program = shutil.which("mosquitto")
    if program is None:
        pytest.skip("mosquitto isn't installed: the broker of an independent maker is not tried")
    port = free_port()
    process = await asyncio.create_subprocess_exec(program, "-p", str(port), stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    async for line in process.stderr:
        if b"running" in line:
            break
    yield port
    process.terminate()
    await process.communicate()


async def test_mosquitto_takes_events_and_retains_states(plant: Database, mosquitto: int) -> None:
    path = await path_of(plant)
    await subscribe(plant, mosquitto, topics=["cycle", "note"])
    reader = aiomqtt.Client("127.0.0.1", mosquitto, protocol=aiomqtt.ProtocolVersion.V5, identifier="reader")
    async with asyncio.timeout(20), reader:
        await reader.subscribe("acme/#", qos=1)
        await tell(plant, Note(topic="cycle", station=STATION, number=1))
        await tell_numbers(plant, 50, first=2)
        assert await deliver(plant) is False
        heard = []
        async for message in reader.messages:
            if not str(message.topic).endswith("/state/cycle"):
                heard.append(json.loads(bytes(message.payload))["data"]["number"])  # type: ignore[arg-type]
                assert message.properties is not None
                assert message.properties.ContentType == "application/cloudevents+json; charset=utf-8"  # type: ignore[attr-defined]
            if len(heard) == 51:
                break
        states = await retained(mosquitto, "acme/#", 1)
    assert heard == list(range(1, 52))
    assert states[f"acme/{path}/state/cycle"]["data"]["number"] == 1
