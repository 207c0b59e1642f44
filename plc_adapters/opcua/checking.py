"""Check a mapped station against its server, point by point: what was read, what is expected, what to do."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.client.client import Client

from plc_adapters.mapping import StationMap
from plc_adapters.opcua.connection import GONE, connected
from plc_adapters.opcua.explore import Shape, shapes_of
from plc_adapters.opcua.pki import Access, NotSecure
from plc_adapters.opcua.profiles import PROFILES
from plc_adapters.opcua.word_kinds import MEASURED, REALS, expected, is_array, is_written, types_of
from plc_adapters.port import LinkLost

LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Point:
    """One line of the list."""

    station: str
    name: str
    ok: bool
    text: str


async def check_station(station: StationMap, access: Access) -> list[Point]:
    """Go through a station's list; a point that the next ones need ends it."""
    points: list[Point] = []

    def note(name: str, ok: bool, text: str) -> bool:
        points.append(Point(station.code, name, ok, text))
        return ok

    if (trouble := await _unreachable(station)) is not None:
        note("reachable", False, trouble)
        return points
    note("reachable", True, station.endpoint)
    encrypted = station.security == "encrypted"
    try:
        async with connected(station, access) as client:
            if encrypted:
                note("trusted", True, "the server's certificate is in trusted/")
            said = "Basic256Sha256 SignAndEncrypt" if encrypted else "plain text, as its mapping says (security: none)"
            note("encrypted" if encrypted else "not encrypted", True, said)
            spaces = await client.get_namespace_array()
            there = station.namespace in spaces
            hint = "" if there else f"; the server has {', '.join(spaces)}: put the right one into the mapping"
            if note("namespace", there, f"{station.namespace}{hint}"):
                index = spaces.index(station.namespace)
                points += await _words(client, station, index)
                if (heart := station.word_nodes.get("Heartbeat")) is not None:
                    points.append(await _heartbeat(client, station, ua.NodeId.from_string(f"ns={index};{heart}")))
        if points[-1].ok and not station.word_nodes:
            async with PROFILES[station.profile](station, access):
                note(station.profile, True, "every object, method and variable of its block is there")
    except LinkLost as error:
        is_password = isinstance(error.__cause__, NotSecure) and "--secrets" in str(error)
        name = "log-in" if is_password else "trusted" if isinstance(error.__cause__, NotSecure) else "connected"
        note(name if len(points) == 1 else station.profile, False, str(error.facts.get("reason")))
    except GONE as error:
        note("connected", False, f"the link broke while it was looked at: {type(error).__name__} {error}".strip())
    return points


async def _unreachable(station: StationMap) -> str | None:
    address = urlsplit(station.endpoint)
    try:
        async with asyncio.timeout(station.timeout_s):
            _, writer = await asyncio.open_connection(address.hostname, address.port)
    except (OSError, TimeoutError) as error:
        said = f"{type(error).__name__} {error}".strip()
        return f"{station.endpoint}: {said}; is the PLC on, the port right, and a firewall in between?"
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return None


async def _words(client: Client, station: StationMap, index: int) -> list[Point]:
    named: list[tuple[str, str, Callable[[str, Shape], str | None]]]
    named = [(word, node, _word_trouble) for word, node in station.word_nodes.items()]
    named += [(f"values.{name}", node, _value_trouble) for name, node in station.value_nodes.items()]
    for name, count in station.curves.items():
        for ordinal in range(1, count + 1):
            axes = zip("xy", station.curve_nodes(name, ordinal), strict=True)
            named += [(f"curves.{name}.{ordinal}.{axis}", node, _curve_trouble) for axis, node in axes]
    shapes = await shapes_of(client, [ua.NodeId.from_string(f"ns={index};{node}") for _, node, _ in named])
    points = []
    for (name, node, trouble), shape in zip(named, shapes, strict=True):
        wrong = _absent(node, shape) or trouble(name, shape)
        text = f"{node}: {wrong}" if wrong else f"{node} {shape.said}{', writable' if shape.writable else ''}"
        points.append(Point(station.code, name, wrong is None, text))
    return points


def _absent(node: str, shape: Shape) -> str | None:
    if shape.bad is None and shape.readable:
        return None
    if shape.bad is not None and "Node" in shape.bad:
        return (
            f"not in the server ({shape.bad}); `mes opcua browse` shows what is: name the right node id under `words`"
        )
    return f"can't be read ({shape.bad or 'no right to'}); allow reading {node} in the PLC"


def _word_trouble(word: str, shape: Shape) -> str | None:
    if shape.type not in types_of(word) or shape.array != is_array(word):
        return f"read {shape.said or 'no type'}, expected {expected(word)}; name another node, or change its type"
    if is_written(word) and not shape.writable:
        return "read only, expected writable: the MES writes it; allow that in the PLC"
    return None


def _value_trouble(_name: str, shape: Shape) -> str | None:
    return None if shape.type in MEASURED else f"read {shape.said or 'no type'}, expected numbers, booleans or texts"


def _curve_trouble(_name: str, shape: Shape) -> str | None:
    fits = shape.array and shape.type in REALS
    return None if fits else f"read {shape.said or 'no type'}, expected an array of numbers"


async def _heartbeat(client: Client, station: StationMap, node: ua.NodeId) -> Point:
    async def read() -> object:
        (shape,) = await shapes_of(client, [node])
        return shape.value

    first = await read()
    for _ in range(round(station.heartbeat_dead_s / LOOK_EVERY_S) + 1):
        if await read() != first:
            return Point(station.code, "heartbeat", True, "it moves")
        await asyncio.sleep(LOOK_EVERY_S)
    said = f"stood at {first} for {station.heartbeat_dead_s:g} s, expected to move; is the PLC's program running?"
    return Point(station.code, "heartbeat", False, said)
