"""One OPC UA session with one subscription, thrown away on any loss: asyncua's own reconnecting loses data silently."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.node import Node
from asyncua.common.subscription import Subscription
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from mes import clock
from plc_adapters.mapping import StationMap
from plc_adapters.opcua.connection import GONE, connected
from plc_adapters.opcua.pki import Access
from plc_adapters.port import LinkLost

T = TypeVar("T")
MOST_AT_ONCE = 500
QUEUE = 10
SKEW_EVERY_S = 30.0
EVENT_QUEUE = 1_000
Argument = tuple[str, Any]  # the built-in type's name (an empty "ContentFilter" as well), and the value
_READ_LIMIT, _WRITE_LIMIT, _ITEM_LIMIT = (
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
)
_BUILT_IN = 25
_TEXTS = {ua.VariantType.String}
_INTEGERS = {ua.VariantType[f"{sign}Int{bits}"] for sign in ("", "U") for bits in (16, 32, 64)} | {
    ua.VariantType.Byte,
    ua.VariantType.SByte,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A value as read, or the status that came instead of one."""

    value: Any
    bad: str | None = None


class Session:
    """Reads and writes by node id of one namespace; `lose` ends it for all who wait on it."""

    def __init__(self, client: Client, station: str, spaces: list[str], namespace: str) -> None:
        self._client = client
        self._station = station
        self._spaces = spaces
        self._namespace = spaces.index(namespace)
        self._subscription: Subscription | None = None
        self._methods: dict[tuple[str, str], ua.NodeId] = {}
        self._ids: dict[str, ua.NodeId] = {}
        self._limits = (MOST_AT_ONCE, MOST_AT_ONCE, MOST_AT_ONCE)
        self._types: dict[str, ua.VariantType] = {}
        self._changed = asyncio.Event()
        self.skew_s: float | None = None  # how far the server's clock is ahead of this PC's
        self._lost: str | None = None
        self._heard: Callable[[list[Any]], None] | None = None

    def lose(self, reason: str) -> None:
        """Declare the link lost; whoever waits or reads next hears LinkLost."""
        self._lost = self._lost or reason
        self._changed.set()

    def wake(self) -> None:
        """Have the worker look at the levels."""
        self._changed.set()

    async def read(self, nodes: Sequence[str]) -> list[Reading]:
        """Read the values of nodes, in as few calls as the server takes."""
        found: list[Reading] = []
        for chunk in _chunks(nodes, self._limits[0]):
            answers = await self._alive(
                self._client.uaclient.session.read_attributes([self._id(n) for n in chunk], AttributeIds.Value)
            )
            found += [_reading(one) for one in answers]
        return found

    async def write(self, values: dict[str, Any]) -> None:
        """Write values of nodes, each with the node's own type and without timestamps, which many PLCs refuse."""
        for chunk in _chunks(list(values.items()), self._limits[1]):
            nodes = [self._id(node) for node, _ in chunk]
            data = [ua.DataValue(_fitting(value, self._types[node])) for node, value in chunk]
            results = await self._alive(self._client.uaclient.session.write_attributes(nodes, data, AttributeIds.Value))
            bad = [f"{node} {status.name}" for (node, _), status in zip(chunk, results, strict=True) if status.is_bad()]
            if bad:
                raise LinkLost(station=self._station, reason=f"not written: {', '.join(bad)}")

    async def keep_time(self) -> None:
        """Measure now and then how far the server's clock is ahead, for as long as the session lasts."""
        clock_node = [ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus_CurrentTime))]
        while True:
            asked = clock.now()
            try:
                (answer,) = await self._alive(
                    self._client.uaclient.session.read_attributes(clock_node, AttributeIds.Value)
                )
            except LinkLost:
                return  # whoever serves the session hears of it too
            told = _reading(answer).value
            if isinstance(told, datetime):
                # half of the way is what the answer took to come
                halfway = asked + (clock.now() - asked) / 2
                self.skew_s = round((told.replace(tzinfo=UTC) - halfway).total_seconds(), 3)
            await asyncio.sleep(SKEW_EVERY_S)

    async def changed(self, within_s: float) -> None:
        """Wait until a watched node has changed, or for this long: levels are read either way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._changed.wait()
        self._changed.clear()
        self._check()

    async def prepare(
        self, read: Sequence[str], written: Sequence[str], watched: Sequence[str], period_ms: int
    ) -> None:
        """Check that every node is there, learn the types of those written, and watch the counters."""
        self._limits = await self._operation_limits()
        every = list(dict.fromkeys([*read, *written]))
        found = dict(zip(every, await self.read(every), strict=True))
        if missing := [f"{node} {one.bad}" for node, one in found.items() if one.bad and "Node" in one.bad]:
            raise LinkLost(station=self._station, reason=f"not in the server: {', '.join(missing)}")
        await self._learn_types(written)
        await self._watch(watched, period_ms)

    async def call(self, owner: str, uri: str, name: str, *arguments: Argument) -> list[Any]:
        """Call a method of an object, found by its name in a companion specification; a refusal is a lost link."""
        session, method = self._client.uaclient.session, await self.method(owner, uri, name)
        request = ua.CallMethodRequest()
        request.ObjectId, request.MethodId = self._id(owner), method
        request.InputArguments = [_argument(one) for one in arguments]
        (result,) = await self._alive(session.call([request]))
        if result.StatusCode.is_bad():
            raise LinkLost(station=self._station, reason=f"{name} of {owner}: {result.StatusCode.name}")
        return [one.Value for one in result.OutputArguments or []]

    async def method(self, owner: str, uri: str, name: str) -> ua.NodeId:
        """Find a method; LinkLost names it where the object has none."""
        if (owner, name) not in self._methods:
            thing = Node(self._client.uaclient.session, self._id(owner))
            try:
                found = await self._alive(thing.get_child([f"{self._space(uri)}:{name}"]))
            except LinkLost as error:
                reason = f"not in the server: {name} of {owner} ({error.facts.get('reason')})"
                raise LinkLost(station=self._station, reason=reason) from error
            self._methods[owner, name] = found.nodeid
        return self._methods[owner, name]

    async def listen(self, fields: Sequence[tuple[str, str]], heard: Callable[[list[Any]], None]) -> None:
        """Hear every event of the server: its fields, named by namespace URI and name; None where it hasn't one."""
        assert self._subscription is not None, "prepare comes first"  # noqa: S101
        chosen = ua.EventFilter()
        for uri, name in fields:
            operand = ua.SimpleAttributeOperand()
            operand.TypeDefinitionId = ua.NodeId(ua.Int32(ObjectIds.BaseEventType))
            operand.BrowsePath = [ua.QualifiedName(name, ua.UInt16(self._space(uri)))]
            operand.AttributeId = ua.UInt32(AttributeIds.Value)
            chosen.SelectClauses.append(operand)
        self._heard = heard
        emitter = Node(self._client.uaclient.session, ua.NodeId(ua.Int32(ObjectIds.Server)))
        await self._alive(self._subscription.subscribe_events(emitter, evfilter=chosen, queuesize=EVENT_QUEUE))

    def hear(self, event: Any) -> None:
        """Take an event's fields in the order they were asked for."""
        if self._heard is not None:
            self._heard([getattr(event, "/".join(q.Name for q in c.BrowsePath), None) for c in event.select_clauses])
        self._changed.set()

    def _space(self, uri: str) -> int:
        if uri not in self._spaces:
            raise LinkLost(station=self._station, reason=f"the server has no namespace {uri}; it has {self._spaces}")
        return self._spaces.index(uri)

    async def _learn_types(self, nodes: Sequence[str]) -> None:
        for chunk in _chunks(nodes, self._limits[0]):
            ids = [self._id(node) for node in chunk]
            session = self._client.uaclient.session
            values = await self._alive(session.read_attributes(ids, AttributeIds.Value))
            types = await self._alive(session.read_attributes(ids, AttributeIds.DataType))
            for node, value, declared in zip(chunk, values, types, strict=True):
                held = value.Value.VariantType if value.Value else ua.VariantType.Null
                self._types[node] = held if held is not ua.VariantType.Null else _declared(declared)

    async def _watch(self, nodes: Sequence[str], period_ms: int) -> None:
        subscription = await self._alive(self._client.create_subscription(period_ms, _Waker(self)))
        self._subscription = subscription
        waiting = [Node(self._client.uaclient.session, self._id(node)) for node in nodes]
        sampling_ms = ua.Double(period_ms)
        for _ in range(3):
            refused: list[Node] = []
            for chunk in _chunks(waiting, self._limits[2]):
                handles = await self._alive(
                    subscription.subscribe_data_change(list(chunk), queuesize=QUEUE, sampling_interval=sampling_ms)
                )
                # A refused node comes back as a status among the handles, and the session looks healthy.
                results = handles if isinstance(handles, list) else [handles]
                refused += [n for n, got in zip(chunk, results, strict=True) if isinstance(got, ua.StatusCode)]
            if not refused:
                return
            waiting = refused
        raise LinkLost(station=self._station, reason=f"not monitored: {', '.join(str(node) for node in waiting)}")

    async def _operation_limits(self) -> tuple[int, int, int]:
        ids = [ua.NodeId(ua.Int32(one)) for one in (_READ_LIMIT, _WRITE_LIMIT, _ITEM_LIMIT)]
        answers = await self._alive(self._client.uaclient.session.read_attributes(ids, AttributeIds.Value))
        read, write, items = (min(_reading(one).value or MOST_AT_ONCE, MOST_AT_ONCE) for one in answers)
        return read, write, items

    async def _alive(self, call: Coroutine[Any, Any, T]) -> T:
        try:
            self._check()
            result = await call
        except GONE as error:
            raise LinkLost(station=self._station, reason=f"{type(error).__name__} {error}".strip()) from error
        finally:
            call.close()
        self._check()
        return result

    def _check(self) -> None:
        if self._lost is not None:
            raise LinkLost(station=self._station, reason=self._lost)

    def _id(self, node: str) -> ua.NodeId:
        if (known := self._ids.get(node)) is None:
            known = self._ids[node] = ua.NodeId.from_string(f"ns={self._namespace};{node}")
        return known


class _Waker:
    """Hears notifications and only wakes the worker: what changed is read as levels."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def datachange_notification(self, *_what: object) -> None:
        self._session.wake()

    def event_notification(self, event: Any) -> None:
        self._session.hear(event)

    def status_change_notification(self, status: ua.StatusChangeNotification) -> None:
        self._session.lose(f"the subscription ended: {status.Status}")


@asynccontextmanager
async def open_session(station: StationMap, access: Access | None = None) -> AsyncIterator[Session]:
    """Connect and find the namespace by its URI (its index may change with every restart); LinkLost if it can't be."""
    code, endpoint, namespace = station.code, station.endpoint, station.namespace
    async with connected(station, access) as client:
        try:
            spaces = await client.get_namespace_array()
        except GONE as error:
            raise LinkLost(station=code, reason=f"{endpoint}: {error}") from error
        if namespace not in spaces:
            raise LinkLost(station=code, reason=f"{endpoint} has no namespace {namespace}; it has {spaces}")
        session = Session(client, code, spaces, namespace)

        async def on_lost(error: Exception) -> None:
            session.lose(f"{type(error).__name__} {error}".strip())

        client.connection_lost_callback = on_lost
        keeping_time = asyncio.create_task(session.keep_time(), name=f"clock {code}")
        try:
            yield session
        finally:
            keeping_time.cancel()
            with suppress(asyncio.CancelledError):
                await keeping_time


def _fitting(value: Any, kind: ua.VariantType) -> ua.Variant:
    """Give a number or a text the form the node has: what counts as an epoch in one PLC is a text in another."""
    take = str if kind in _TEXTS else int if kind in _INTEGERS else bool if kind is ua.VariantType.Boolean else float
    return ua.Variant(take(value), kind)


def _argument(one: Argument) -> ua.Variant:
    kind, value = one
    if kind == "ContentFilter":
        return ua.Variant(ua.ContentFilter(), ua.VariantType.ExtensionObject)
    return ua.Variant(value, ua.VariantType[kind], is_array=isinstance(value, list))


def _reading(answer: ua.DataValue) -> Reading:
    if answer.StatusCode is not None and answer.StatusCode.is_bad():
        return Reading(None, answer.StatusCode.name)
    return Reading(answer.Value.Value if answer.Value is not None else None)


def _declared(answer: ua.DataValue) -> ua.VariantType:
    declared = answer.Value.Value if answer.Value is not None else None
    identifier = declared.Identifier if isinstance(declared, ua.NodeId) and declared.NamespaceIndex == 0 else None
    if isinstance(identifier, int) and 0 < identifier <= _BUILT_IN:
        return ua.VariantType(identifier)
    return ua.VariantType.String


def _chunks(items: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    walk = iter(items)
    while chunk := tuple(islice(walk, size)):
        yield chunk
