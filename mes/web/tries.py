"""Counts wrong log-ins per address, so that guessing is slow; forgets the oldest, so that memory is bounded."""

from collections import OrderedDict, deque
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from mes import clock

WINDOW = timedelta(seconds=60)
MOST = 10
CAPACITY = 10_000


class WrongTries:
    """The wrong tries of the last minute, by address."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, deque[datetime]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """Seconds until this address may try again; 0: now."""
        tries = self._tries.get(_network(address))
        if tries is None or len(tries) < MOST:
            return 0
        left = tries[0] + WINDOW - clock.now()
        return max(0, -(-left // timedelta(seconds=1)))

    def note(self, address: str) -> None:
        """Count a wrong try."""
        network = _network(address)
        self._tries.setdefault(network, deque(maxlen=MOST)).append(clock.now())
        self._tries.move_to_end(network)
        if len(self._tries) > CAPACITY:
            self._tries.popitem(last=False)


def _network(address: str) -> str:
    """One subscriber owns a whole /64 of IPv6 addresses: they count as one."""
    try:
        read = ip_address(address)
    except ValueError:
        return address
    if isinstance(read, IPv6Address) and read.ipv4_mapped is None:
        return read.exploded[:19]
    return str(read)
