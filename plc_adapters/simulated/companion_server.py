"""A server that offers objects with methods and events of companion specifications, for machines played in software."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from asyncua import ua
from asyncua.common.structures104 import new_struct
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from plc_adapters.opcua.structures import Structures
from plc_adapters.simulated.plc_server import bare_server

Kind = ua.VariantType
Method = Callable[..., Awaitable[list[ua.Variant]]]
Methods = dict[tuple[str, str], Method]  # by namespace URI and name
_LIKE = {str: Kind.String, bool: Kind.Boolean, int: Kind.UInt32, float: Kind.Double, datetime: Kind.DateTime}


class CompanionServer:
    """Variables in the machine's own namespace; methods and events under the names of the specifications."""

    def __init__(self, server: Server, index: int) -> None:
        self.server = server
        self._index = index
        self._events: dict[str, Any] = {}
        self._structures = Structures(server.iserver.isession)
        self.written = asyncio.Event()

    @property
    def port(self) -> int:
        """The port the server listens on."""
        return int(self.server.bserver.port) if self.server.bserver else 0

    async def add_variables(self, first: dict[str, Any]) -> None:
        """Add variables that anyone may write; their kind is that of their first value."""
        folder = self.server.nodes.objects
        for name, value in first.items():
            node = await folder.add_variable(self._id(name), name, value, _LIKE[type(value)])
            await node.set_writable()
            space = self.server.iserver.aspace
            space.add_datachange_callback(self._id(name), AttributeIds.Value, self._on_written)

    async def add_object(self, name: str, methods: Methods, takes: dict[str, str] | None = None) -> None:
        """Add an object with methods, by namespace URI and name; each takes values and gives variants.

        `takes` says of which structure a method's first argument is.
        """
        thing = await self.server.nodes.objects.add_object(self._id(name), name)
        for (uri, method), does in methods.items():
            space = await self.server.register_namespace(uri)
            kind = (takes or {}).get(method)
            declared = [ua.Argument(method, _node_id(kind, space))] if kind else []
            ids = _node_id(f"{name}.{method}", space), f"{space}:{method}"
            await thing.add_method(*ids, self._as_method(does), declared, [])

    async def add_structures(self, uri: str, structures: dict[str, dict[str, str]]) -> None:
        """Add structures by namespace URI and name: their fields, each with its type."""
        space = await self.server.register_namespace(uri)
        for name, typed in structures.items():
            fields = [_field(one, kind, space) for one, kind in typed.items()]
            await new_struct(self.server, _node_id(name, space), ua.QualifiedName(name, ua.UInt16(space)), fields)

    async def structure(self, uri: str, name: str, documents: Any) -> ua.Variant:
        """Make a structure of a document, or a list of them."""
        kind = _node_id(name, await self.server.get_namespace_index(uri))
        several = isinstance(documents, list)
        made = [await self._structures.write(kind, one) for one in (documents if several else [documents])]
        return ua.Variant(made if several else made[0], Kind.ExtensionObject, is_array=several)

    async def add_event(self, uri: str, name: str, field: tuple[str, str]) -> None:
        """Add an event type with one field of text, by namespace URI and name."""
        space = await self.server.register_namespace(uri)
        kind = await self.server.create_custom_event_type(space, name)
        owner = await self.server.register_namespace(field[0])
        await kind.add_property(owner, field[1], "", Kind.String)
        self._events[name] = await self.server.get_event_generator(kind)

    async def tell(self, name: str, **fields: Any) -> None:
        """Send an event."""
        generator = self._events[name]
        for field, value in fields.items():
            setattr(generator.event, field, value)
        await generator.trigger()

    def read(self, name: str) -> Any:
        """Read a variable."""
        answer = self.server.iserver.aspace.read_attribute_value(self._id(name), AttributeIds.Value)
        return answer.Value.Value if answer.Value is not None else None

    async def write(self, name: str, value: Any) -> None:
        """Write a variable."""
        await self.server.write_attribute_value(self._id(name), ua.DataValue(ua.Variant(value, _LIKE[type(value)])))

    def cut(self) -> int:
        """Break every connection; return how many there were."""
        transports = list(self.server.iserver.asyncio_transports)
        for transport in transports:
            transport.abort()
        return len(transports)

    def _as_method(self, does: Method) -> Any:
        async def method(_parent: ua.NodeId, *arguments: ua.Variant) -> list[ua.Variant]:
            return await does(*[await self._structures.read(one.Value) for one in arguments])

        return method

    def _id(self, name: str) -> ua.NodeId:
        return _node_id(name, self._index)

    async def _on_written(self, _handle: object, _value: object) -> None:
        self.written.set()


@asynccontextmanager
async def companion_server(
    endpoint: str, namespace: str, fill: Callable[[CompanionServer], Awaitable[None]]
) -> AsyncIterator[CompanionServer]:
    """Serve a machine while the context lasts; `fill` adds what it offers."""
    server = await bare_server(endpoint)
    machine = CompanionServer(server, await server.register_namespace(namespace))
    await fill(machine)
    await server.start()
    try:
        yield machine
    finally:
        await server.stop()


def _node_id(name: str, space: int) -> ua.NodeId:
    return ua.NodeId(ua.String(name), ua.Int16(space))


def _field(name: str, kind: str, space: int) -> ua.StructureField:
    bare = kind.removesuffix("?").removesuffix("[]")
    number = getattr(ObjectIds, bare, None)
    return ua.StructureField(
        Name=name,
        DataType=ua.NodeId(ua.Int32(number)) if number else _node_id(bare, space),
        ValueRank=ua.Int32(1 if "[]" in kind else -1),
        IsOptional=kind.endswith("?"),
    )
