"""Publishes events at an MQTT 5 broker, in a unified namespace by ISA-95 path."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from mes.events.cloud import ONE, to_json
from mes.events.queries import Subscriber
from mes.events.rules import EventRow, mqtt_topic, state_topic
from mes.events.undelivered import Undelivered

ANSWER_S, KEEPALIVE_S = 10, 30
AT_LEAST_ONCE = 1


class _Client(aiomqtt.Client):
    """aiomqtt's client takes any PUBACK for a yes; this one notes a no."""

    refusal: str | None = None

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        if getattr(reason_code, "is_failure", False):
            self.refusal = str(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)


class BrokerCarrier:
    """Brings events to one broker, on one connection that is made when it is needed."""

    def __init__(
        self,
        subscriber: Subscriber,
        enterprise: str,
        login: str | None,
        states: Callable[[], Awaitable[Sequence[EventRow]]],
    ) -> None:
        self.name, self.enterprise, self.prefix = subscriber.name, enterprise, subscriber.prefix or enterprise
        self._address, self._login, self._states = urlsplit(subscriber.address), login, states
        self._client: _Client | None = None
        self._connection = AsyncExitStack()

    async def take(self, event: EventRow) -> None:
        """Publish one event, and retain it where it is a station's state; taken when the broker has acknowledged."""
        try:
            client = await self._connected()
            await self._publish(client, mqtt_topic(self.prefix, event), event)
            await self._retain(client, event)
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            await self.close()
            raise Undelivered(f"{type(error).__name__}: {error}"[:300]) from error
        except (Undelivered, asyncio.CancelledError):
            await self.close()
            raise

    async def close(self) -> None:
        """Give the connection up."""
        self._client, connection, self._connection = None, self._connection, AsyncExitStack()
        with suppress(aiomqtt.MqttError, OSError):  # it is gone already
            await connection.aclose()

    async def _connected(self) -> _Client:
        if self._client is not None and not self._client._disconnected.done():
            return self._client
        await self.close()
        is_secure = self._address.scheme == "mqtts"
        user, _, password = (self._login or "").partition(":")
        client = _Client(
            self._address.hostname or "",
            self._address.port or (8883 if is_secure else 1883),
            username=user or None,
            password=password or None,
            # one name for a subscription: a broker lets only the newest connection of a name live
            identifier=f"packmes-{self.enterprise}-{self.name}",
            protocol=aiomqtt.ProtocolVersion.V5,
            keepalive=KEEPALIVE_S,
            timeout=ANSWER_S,
            tls_context=await asyncio.to_thread(ssl.create_default_context) if is_secure else None,
        )
        await self._connection.enter_async_context(client)
        for state in await self._states():  # what a broker retained may be lost with it
            await self._retain(client, state)
        self._client = client
        return client

    async def _retain(self, client: _Client, event: EventRow) -> None:
        if topic := state_topic(self.prefix, event):
            await self._publish(client, topic, event, retain=True)

    async def _publish(self, client: _Client, topic: str, event: EventRow, *, retain: bool = False) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = f"{ONE}; charset=utf-8"
        body = to_json(event, self.enterprise)
        sent = asyncio.ensure_future(
            client.publish(topic, body, qos=AT_LEAST_ONCE, retain=retain, properties=properties)
        )
        try:
            await asyncio.wait({sent, client._disconnected}, return_when=asyncio.FIRST_COMPLETED)
            if not sent.done():
                raise Undelivered("the broker ended the connection")
            sent.result()
        finally:
            sent.cancel()
        if client.refusal is not None:
            raise Undelivered(f"the broker refused {topic}: {client.refusal}")
