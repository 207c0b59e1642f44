"""AutoID scanners (OPC 30010) beside a PLC that knows no serials: what was read last is the unit asked for.

The level is read, not the `ScanResult` event: `LastScanData` says what was read and `LastScanTimestamp` tells one
reading from the next, so nothing is missed while a link is down. A reading counts for one request: until it has
read again, the next request waits. What was read goes to the MES as it is, which takes the serial out of the code.

Limit: a gateway that has just started doesn't know which reading was used, and may take the last unit's for a request
made before the next one is read. The MES then judges by its route that this unit has done the step.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from plc_adapters.mapping import StationMap
from plc_adapters.opcua.pki import Access
from plc_adapters.opcua.session import Session, open_session
from plc_adapters.port import LinkLost
from plc_adapters.profile_settings import ScannerSettings

SCAN_AGAIN_S = 0.1


class Scanner:
    """A connected scanner."""

    def __init__(self, station: str, settings: ScannerSettings, session: Session) -> None:
        self._station = station
        self._settings = settings
        self._session = session
        self._used: tuple[Any, str] | None = None

    async def prepare(self, period_ms: int) -> None:
        """Check that the scanner shows what it read."""
        nodes = [self._settings.last_scan, self._settings.scanned_at]
        await self._session.prepare(nodes, [], nodes, period_ms)

    async def scan(self, cycle: str) -> str | None:
        """Return what was read for this request; None while the last reading belongs to another one."""
        nodes = [self._settings.scanned_at, self._settings.last_scan, self._settings.scanned_at]
        before, read, after = await self._session.read(nodes)
        if bad := before.bad or read.bad or after.bad:
            raise LinkLost(station=self._station, reason=f"the scanner has no value: {bad}")
        if before.value != after.value or not read.value:
            return None
        if self._used is not None and self._used[0] == after.value and self._used[1] != cycle:
            return None
        self._used = (after.value, cycle)
        return str(read.value)


@asynccontextmanager
async def scanning(
    station: StationMap, session: Session, access: Access | None = None
) -> AsyncIterator[Scanner | None]:
    """Connect to the station's scanner if it has one; at its own server, or over the PLC's session."""
    settings = station.scanner
    if settings is None:
        yield None
        return
    async with AsyncExitStack() as stack:
        if settings.endpoint:
            space = settings.namespace or station.namespace
            there = station.model_copy(update={"endpoint": settings.endpoint, "namespace": space})
            own = await stack.enter_async_context(open_session(there, access))
            scanner = Scanner(station.code, settings, own)
            await scanner.prepare(station.publishing_ms)
        else:
            scanner = Scanner(station.code, settings, session)
        yield scanner
