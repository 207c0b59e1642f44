"""What waits for the MES, by id in its order, and looked up by unit, station and number without a search."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing the MES must still be told: a result, or a permit that was given or refused without it."""

    id: int
    kind: str
    station: str
    cycle: str
    units: frozenset[str]

    @property
    def key(self) -> str:
        """Its station and number, as the record names a cycle."""
        return f"{self.station}/{self.cycle}"


class Waiting:
    """Entries, oldest first. A hundred thousand of them cost whoever asks no more than a few."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[int, Entry] = {}
        self._units: Counter[str] = Counter()
        self._stations: Counter[str] = Counter()
        self._keys: dict[str, set[str]] = {"result": set(), "permit": set()}
        for entry in entries:
            self.add(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def add(self, entry: Entry) -> None:
        """Put an entry behind all others."""
        self._entries[entry.id] = entry
        self._units.update(entry.units)
        self._stations[entry.station] += 1
        self._keys[entry.kind].add(entry.key)

    def discard(self, entry: Entry) -> None:
        """Take an entry out, if it is still in."""
        if self._entries.pop(entry.id, None) is None:
            return
        for unit in entry.units:
            self._units[unit] -= 1
            if not self._units[unit]:
                del self._units[unit]
        self._stations[entry.station] -= 1
        self._keys[entry.kind].discard(entry.key)

    def holds(self, units: Collection[str]) -> bool:
        """Whether something of these units waits."""
        return any(unit in self._units for unit in units)

    def count(self, station: str) -> int:
        """How many entries of a station wait."""
        return self._stations[station]

    def keys(self, kind: str) -> Collection[str]:
        """Station and number of each result, or permit, that waits now."""
        return self._keys[kind]

    def oldest_first(self, busy: Collection[str], most: int) -> Iterator[Entry]:
        """Of the oldest so many, those whose units have nothing older waiting, and nothing under way (`busy`)."""
        before = set(busy)
        for entry in list(islice(self._entries.values(), most)):
            if entry.units.isdisjoint(before):
                yield entry
            before |= entry.units
