"""The OPC UA server of one simulated station: its words, and a way to wait for those the gateway writes."""

import asyncio
import copy
import gc
from collections.abc import AsyncIterator, Iterable, MutableMapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.server.address_space import NodeData
from asyncua.server.internal_server import InternalServer
from asyncua.server.server import Server
from asyncua.server.standard_address_space.standard_address_space import fill_address_space
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from mes import clock
from plc_adapters.mapping import StationMap
from plc_adapters.opcua.pki import Own

_U16, _U32, _TEXT, _REAL = ua.VariantType.UInt16, ua.VariantType.UInt32, ua.VariantType.String, ua.VariantType.Double
_TIME, _BOOL = ua.VariantType.DateTime, ua.VariantType.Boolean
_COUNTERS = {"ReqSeq", "PermitSeq", "PermitEpoch", "DoneSeq", "DoneReqSeq", "AckSeq", "AckEpoch", "Epoch"}
_SMALL = {"PermitCode", "AckCode", "DoneVerdict", "Heartbeat", "MesHeartbeat", "State"}
_ARRAYS = {
    **{
        f"{kind}{word}": _TEXT
        for kind in ("Req", "Done")
        for word in ("ComponentParts", "ComponentSerials", "Lots", "Removals", "RemovalsTo")
    },
    **dict.fromkeys(("ReqComponentPositions", "DoneComponentPositions"), _U32),
    "DoneLotQuantities": _REAL,
}
_BITS = {"Req", "Permit", "Done", "Ack"}
_KINDS = {"number": _REAL, "boolean": _BOOL, "text": _TEXT}


class PlcServer:
    """The words of a station, by the names of the mapping; values and curves as `values.NAME`, `curves.NAME.1.x`."""

    def __init__(self, server: Server, ids: dict[str, ua.NodeId], types: dict[str, ua.VariantType]) -> None:
        self._server = server
        self._ids = ids
        self._types = types
        self.ahead = timedelta(0)  # of its clock
        self._written = asyncio.Event()
        for word in {"PermitSeq", "AckSeq", "Permit", "Ack"} & ids.keys():
            server.iserver.aspace.add_datachange_callback(ids[word], AttributeIds.Value, self._on_written)

    def time(self) -> ua.DataValue:
        """The PLC's own clock, which may be wrong."""
        return ua.DataValue(ua.Variant(clock.now() + self.ahead, ua.VariantType.DateTime))

    @property
    def port(self) -> int:
        """The port the server listens on."""
        return int(self._server.bserver.port) if self._server.bserver else 0

    def has(self, word: str) -> bool:
        """Tell whether the station has this word."""
        return word in self._ids

    def all_words(self) -> list[str]:
        """Every word the station has."""
        return list(self._ids)

    def payload_words(self) -> list[str]:
        """The words of values and curves."""
        return [word for word in self._ids if word.startswith(("values.", "curves."))]

    def read(self, word: str) -> Any:
        """Read a word as it stands."""
        answer = self._server.iserver.aspace.read_attribute_value(self._ids[word], AttributeIds.Value)
        return answer.Value.Value if answer.Value is not None else None

    async def write(self, words: dict[str, Any]) -> None:
        """Write words in order; those the station doesn't have are left out."""
        for word, value in words.items():
            if word in self._ids:
                variant = ua.Variant(value, self._types[word], is_array=isinstance(value, list))
                await self._server.write_attribute_value(self._ids[word], ua.DataValue(variant))

    async def until_written(self) -> None:
        """Wait until the gateway has written a counter since the last wait."""
        await self._written.wait()
        self._written.clear()

    async def _on_written(self, _handle: object, _value: object) -> None:
        self._written.set()


@asynccontextmanager
async def plc_server(
    station: StationMap, kinds: dict[str, str], identity: Own | None = None
) -> AsyncIterator[PlcServer]:
    """Serve the words of a station at its mapped endpoint (port 0: any free one) while the context lasts.

    `kinds` tells for each of the mapped values whether it is number, boolean or text; `identity` encrypts.
    """
    server = await bare_server(station.endpoint, identity if station.security == "encrypted" else None)
    plc = await add_words(server, station, kinds)
    await server.start()
    try:
        yield plc
    finally:
        await server.stop()


async def add_words(server: Server, station: StationMap, kinds: dict[str, str]) -> PlcServer:
    """Give a server the words of a station, in a namespace of theirs; it may be running already."""
    index = await server.register_namespace(station.namespace)
    ids: dict[str, ua.NodeId] = {}
    types: dict[str, ua.VariantType] = {}
    folder = await server.nodes.objects.add_object(ua.NodeId(ua.String(station.code), ua.Int16(index)), station.code)
    for word, node, first, kind in _words(station, kinds):
        ids[word], types[word] = ua.NodeId.from_string(f"ns={index};{node}"), kind
        variable = await folder.add_variable(ids[word], word, first, kind)
        if word.startswith(("Permit", "Ack", "Recipe", "Mes")):
            await variable.set_writable()
    plc = PlcServer(server, ids, types)
    now = ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus_CurrentTime))
    server.iserver.aspace.set_attribute_value_callback(now, AttributeIds.Value, lambda *_: plc.time())
    return plc


async def bare_server(endpoint: str, identity: Own | None = None, inside: InternalServer | None = None) -> Server:
    """Make a server that has only the standard's nodes, ready to be filled and started; encrypted if it has a key."""
    server = Server(iserver=inside or CheapServer())
    server.disable_clock()
    encrypted = ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt
    server.set_security_policy([encrypted if identity else ua.SecurityPolicyType.NoSecurity])
    server.set_identity_tokens([ua.AnonymousIdentityToken])
    await server.init()
    if identity is not None:
        await server.set_application_uri(identity.uri)
        await server.load_certificate(identity.certificate)
        await server.load_private_key(identity.key)
    address = urlsplit(endpoint)
    server.set_endpoint(endpoint)
    server.socket_address = (address.hostname or "127.0.0.1", address.port or 0)
    return server


def warm_up() -> None:
    """Build the standard address space once, with the collector off: its objects stay, and tracing them costs most."""
    gc.disable()
    try:
        _standard_nodes()
    finally:
        gc.freeze()
        gc.enable()


def _words(station: StationMap, kinds: dict[str, str]) -> Iterable[tuple[str, str, Any, ua.VariantType]]:
    for word, node in station.word_nodes.items():
        if word in _ARRAYS:
            yield word, node, [], _ARRAYS[word]
        elif word in _COUNTERS or word in _SMALL:
            yield word, node, 0, _U32 if word in _COUNTERS else _U16
        elif word in _BITS:
            yield word, node, False, _BOOL
        elif word.endswith("At"):
            yield word, node, ua.get_win_epoch(), _TIME
        else:
            yield word, node, "", _TEXT
    for name, node in station.value_nodes.items():
        yield f"values.{name}", node, [], _KINDS[kinds.get(name, "number")]
    for name, count in station.curves.items():
        for ordinal in range(1, count + 1):
            for axis, node in zip("xy", station.curve_nodes(name, ordinal), strict=True):
                yield f"curves.{name}.{ordinal}.{axis}", node, [], _REAL


class CheapServer(InternalServer):
    """A server whose standard nodes are shared with the others until it changes one: starting costs milliseconds."""

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        del shelf_file
        self.aspace._nodes = _CopiedWhenTouched(_standard_nodes())  # type: ignore[assignment]


class _CopiedWhenTouched(MutableMapping[ua.NodeId, NodeData]):
    def __init__(self, shared: dict[ua.NodeId, NodeData]) -> None:
        self._shared = shared
        self._own: dict[ua.NodeId, NodeData] = {}

    def __getitem__(self, key: ua.NodeId) -> NodeData:
        own = self._own.get(key)
        if own is None:
            own = self._own[key] = copy.deepcopy(self._shared[key])
        return own

    def __setitem__(self, key: ua.NodeId, value: NodeData) -> None:
        self._own[key] = value

    def __delitem__(self, key: ua.NodeId) -> None:
        del self._own[key]

    def __contains__(self, key: object) -> bool:
        return key in self._own or key in self._shared

    def __iter__(self) -> Any:
        return iter(self._own.keys() | self._shared.keys())

    def __len__(self) -> int:
        return len(self._own.keys() | self._shared.keys())


@cache
def _standard_nodes() -> dict[ua.NodeId, NodeData]:
    first = InternalServer()
    fill_address_space(first.node_mgt_service)  # type: ignore[no-untyped-call]
    return first.aspace._nodes
