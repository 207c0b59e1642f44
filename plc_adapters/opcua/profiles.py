"""The profiles by name: how a station of each is opened."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from plc_adapters.mapping import StationMap
from plc_adapters.opcua import job_control, joining, machinery_result, tag_handshake, toggle_handshake
from plc_adapters.opcua.pki import Access
from plc_adapters.port import OpensPort, Port
from plc_adapters.profile_settings import Profile

PROFILES: dict[Profile, Callable[[StationMap, Access | None], AbstractAsyncContextManager[Port]]] = {
    "tag_handshake": tag_handshake.open_port,
    "toggle_handshake": toggle_handshake.open_port,
    "joining": joining.open_port,
    "machinery_result": machinery_result.open_port,
    "job_control": job_control.open_port,
}


def opener(station: StationMap, access: Access) -> OpensPort:
    """Return how a station's port is opened, again after every loss."""
    open_port = PROFILES[station.profile]
    return lambda: open_port(station, access)
