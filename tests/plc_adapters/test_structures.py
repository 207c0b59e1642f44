"""Structures by the server's own definitions: there and back, and two servers that mean other things by one id."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncua import ua

from plc_adapters.opcua.structures import Structures
from plc_adapters.simulated.companion_server import CompanionServer, companion_server

pytestmark = pytest.mark.usefixtures("standard_nodes")
URI = "urn:builder"
PART = {"Name": "String", "Share": "Double?"}
WHOLE = {
    "Id": "UInt32",
    "Text": "LocalizedText",
    "At": "DateTime?",
    "Any": "BaseDataType[]",
    "Parts": "Part[]?",
    "Best": "Part",
    "Unit": "EUInformation",
    "Amount": "DecimalString",
    "Raw": "ByteString",
}
SAID: dict[str, Any] = {
    "Id": 7,
    "Text": "dicht",
    "At": "2026-11-02T08:00:00+00:00",
    "Any": [1.5, "a", True, [1, 2]],
    "Parts": [{"Name": "x"}, {"Name": "y", "Share": 0.5}],
    "Best": {"Name": "z"},
    "Amount": "3.50",
}


@asynccontextmanager
async def served(**structures: dict[str, str]) -> AsyncIterator[tuple[CompanionServer, Structures]]:
    """A server, and one that knows nothing of it yet."""

    async def fill(server: CompanionServer) -> None:
        await server.add_structures(URI, structures)

    async with companion_server("opc.tcp://127.0.0.1:0", "urn:test", fill) as server:
        yield server, Structures(server.server.iserver.isession)


async def test_a_document_comes_back_as_it_went() -> None:
    async with served(Part=PART, Whole=WHOLE) as (server, structures):
        made = (await server.structure(URI, "Whole", SAID)).Value
        read = await structures.read(made)
    assert {name: read[name] for name in SAID} == SAID
    assert (read["Unit"]["UnitId"], read["Raw"]) == (0, "")
    assert "Share" not in read["Best"]


async def test_two_servers_may_mean_different_things_by_one_id() -> None:
    async with (
        served(Part={"Name": "String", "Count": "UInt32"}) as (one, of_one),
        served(Part={"Count": "UInt32", "Name": "String"}) as (other, of_other),
    ):
        said = {"Name": "x", "Count": 4}
        first, second = [(await server.structure(URI, "Part", said)).Value for server in (one, other)]
        assert (first.TypeId, first.Body != second.Body) == (second.TypeId, True)
        assert [await of_one.read(first), await of_other.read(second)] == [said, said]


async def test_what_is_not_described_or_broken_stays_as_it_came() -> None:
    async with served(Part=PART) as (server, structures):
        strange = ua.ExtensionObject(TypeId=ua.NodeId.from_string("ns=9;i=1"), Body=ua.ByteString(b"\x01"))
        whole = (await server.structure(URI, "Part", {"Name": "long enough"})).Value
        short = ua.ExtensionObject(TypeId=whole.TypeId, Body=whole.Body[:-3])
        assert await structures.read([strange, short]) == [strange, short]
        assert await structures.read("text") == "text"


async def test_a_field_the_server_does_not_have_is_named() -> None:
    async with served(Part=PART) as (server, _):
        with pytest.raises(ua.UaError, match="has no Weight"):
            await server.structure(URI, "Part", {"Name": "x", "Weight": 1.0})
