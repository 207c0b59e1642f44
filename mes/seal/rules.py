"""Which rows are settled, how they are cut into parts, and which row of a part doesn't fit; pure."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

LOWEST = -(2**63)  # no row hides below the first
PART_IDS = 256  # so that a byte tells a row's place in its part
MARK = 5  # bytes: how far its number is below the part's last one, and the first four of its SHA-256


@dataclass(frozen=True, slots=True)
class Part:
    """A run of a stream's numbers, as it was sealed: how many rows, SHA-256 over theirs, a mark of each."""

    seal: int
    stream: int
    from_id: int
    to_id: int
    rows: int
    digest: bytes
    marks: bytes


@dataclass(slots=True)
class Settling:
    """Tells up to which number every row of a sequence is visible, or will never be there.

    A transaction that draws a number holds a lock on the sequence until it has ended. So: note the last number drawn,
    *then* who holds the lock. Once all of those have ended, nothing up to that number can come any more; one who came
    later drew a later number. Writers wait for nothing.
    """

    noted: dict[str, tuple[int, Set[str]]] = field(default_factory=dict)

    def look(self, last: Mapping[str, int], holders: Mapping[str, Set[str]]) -> dict[str, int]:
        """What is settled by sequence, by the last numbers drawn and who held each sequence *after* those were read."""
        settled = {}
        for sequence, number in last.items():
            holding = holders.get(sequence, frozenset())
            noted, held_then = self.noted.get(sequence, (0, frozenset()))
            if held_then & holding:
                continue
            settled[sequence] = noted if holding else number
            self.noted[sequence] = (number, holding)
        return settled


def cut(sealed_to: int | None, settled_to: int, most: int) -> Iterator[tuple[int, int]]:
    """The runs of numbers to seal next, the first and last of each: what follows on what is sealed, `most` of it."""
    first = (sealed_to or 0) + 1
    last = min(settled_to, first + most - 1)
    for start in range(first, last + 1, PART_IDS):
        yield (LOWEST if sealed_to is None and start == first else start), min(start + PART_IDS - 1, last)


def first_difference(part: Part, keys: Sequence[int], marks: bytes) -> tuple[str, int | None]:
    """What the first row is that doesn't fit a part: "changed", "added" or "missing", and its number.

    `keys`, `marks`: of the rows that are there now. The number is None where no mark tells.
    """
    then = {part.to_id - mark[0]: mark for mark in _split(part.marks)}
    now = dict(zip(keys, _split(marks), strict=True))
    for key in sorted(then.keys() | now.keys()):
        if key not in now:
            return "missing", key
        if key not in then or keys.count(key) > 1:
            return "added", key
        if then[key] != now[key]:
            return "changed", key
    return "changed", None


def _split(marks: bytes) -> list[bytes]:
    return [marks[at : at + MARK] for at in range(0, len(marks), MARK)]
