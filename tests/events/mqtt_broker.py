"""An MQTT 5 broker: mqttools' own, which retains, with the acknowledged publishing (QoS 1) that it lacks."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
from mqttools import broker as mqttools
from mqttools.common import ControlPacketType, pack_connack, unpack_publish

NOT_AUTHORIZED = 0x87


@dataclass
class Published:
    """A message as the broker took it."""

    topic: str
    body: bytes
    qos: int
    retain: bool

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent in it."""
        event: dict[str, Any] = json.loads(self.body)
        return event


@dataclass
class Mood:
    """What the broker took, and how it answers. `takes`: it dies unacknowledging after so many; None: never."""

    published: list[Published] = field(default_factory=list)
    takes: int | None = None
    reason: int = 0

    @property
    def events(self) -> list[Published]:
        """What was published as an event, not as a state."""
        return [message for message in self.published if not message.retain]


class _Client(mqttools.Client):
    def on_publish(self, payload: Any, flags: int) -> None:
        """Take a message, answer for QoS 1, and pass it on."""
        qos = (flags >> 1) & 3
        mood = self._broker.mood
        if qos:
            number, payload = _without_packet_id(payload)
        topic, message, properties = unpack_publish(payload, 0)
        if mood.takes is not None and len(mood.published) >= mood.takes:
            self._writer.transport.abort()  # it died before it could answer
            return
        mood.published.append(Published(topic, bytes(message), qos, bool(flags & 1)))
        if flags & 1:
            self._broker.add_retained_message(topic, message)
        self._broker.publish(topic, message, properties)
        if qos:
            body = number if mood.reason == 0 else number + bytes([mood.reason, 0])
            self._write_packet(bytes([ControlPacketType.PUBACK << 4, len(body)]) + body)

    def _write_packet(self, message: bytes) -> None:
        if message[0] >> 4 == ControlPacketType.CONNACK:
            message = pack_connack(bool(message[2]), message[3], {})  # without mqttools' "QoS 0 at most"
        super()._write_packet(message)


def _without_packet_id(payload: Any) -> tuple[bytes, Any]:
    whole = payload.read_all()
    end = 2 + int.from_bytes(whole[:2], "big")
    return whole[end : end + 2], mqttools.PayloadReader(whole[:end] + whole[end + 2 :])


class _Broker(mqttools.Broker):
    def __init__(self, port: int, mood: Mood) -> None:
        super().__init__(("127.0.0.1", port))
        self.mood = mood

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        task = asyncio.current_task()
        self._client_tasks.add(task)
        try:
            await _Client(self, reader, writer).serve_forever()
        finally:
            self._client_tasks.discard(task)
            writer.close()


@contextlib.asynccontextmanager
async def running(mood: Mood, port: int = 0) -> AsyncIterator[int]:
    """Run a broker, at first without anything retained; gives its port. At the end every connection is cut."""
    broker = _Broker(port, mood)
    serving = asyncio.create_task(broker.serve_forever())
    try:
        yield (await broker.getsockname())[1]
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await asyncio.gather(*broker._client_tasks, return_exceptions=True)


async def retained(port: int, pattern: str, count: int) -> dict[str, dict[str, Any]]:
    """What a newcomer is told at once: so many retained messages, by topic."""
    found: dict[str, dict[str, Any]] = {}
    client = aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, identifier="newcomer")
    async with asyncio.timeout(10), client:
        await client.subscribe(pattern)
        async for message in client.messages:
            if message.retain:
                found[str(message.topic)] = json.loads(bytes(message.payload))
            if len(found) == count:
                return found
    return found
