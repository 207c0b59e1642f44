"""The profiles by name: how a station of each is opened, with what may stand beside any of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from plc_adapters.mapping import StationMap
from plc_adapters.opcua import job_control, joining, machinery_result, tag_handshake, toggle_handshake
from plc_adapters.opcua.packml import Packml
from plc_adapters.opcua.pki import Access
from plc_adapters.opcua.session import Session
from plc_adapters.port import OpensPort, Port
from plc_adapters.profile_settings import Profile


class OpcUaPort(Port, Protocol):
    """A port and the one session it has with its server."""

    session: Session


PROFILES: dict[Profile, Callable[[StationMap, Access | None], AbstractAsyncContextManager[OpcUaPort]]] = {
    "tag_handshake": tag_handshake.open_port,
    "toggle_handshake": toggle_handshake.open_port,
    "joining": joining.open_port,
    "machinery_result": machinery_result.open_port,
    "job_control": job_control.open_port,
}


def opener(station: StationMap, access: Access | None = None) -> OpensPort:
    """Return how a station's port is opened, again after every loss."""
    if station.packml is None:
        open_port = PROFILES[station.profile]
        return lambda: open_port(station, access)
    packml = Packml(station.code, station.packml)
    return lambda: opened_beside(station, packml, access)


@asynccontextmanager
async def opened_beside(station: StationMap, packml: Packml, access: Access | None = None) -> AsyncIterator[Port]:
    """Open a station's port and look at its PackML over the same session."""
    async with PROFILES[station.profile](station, access) as port, packml.watched(port.session):
        yield port
