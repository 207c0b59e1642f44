"""What is wrong in a plan, and what the checks share: names that stand once, limits, ways through a graph."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mes.products.cell_rules import ReadingSpec
from mes.products.messages import CharacteristicSpec, NumberColumnSpec

Edges = Mapping[str, Sequence[str]]


class Problem(NamedTuple):
    """Something wrong at a JSON pointer [RFC 6901] into the message."""

    at: str
    read: str
    expected: str


def twice(at: str, names: Sequence[str], expected: str) -> Iterator[Problem]:
    """Find names that stand before already; `at` has a {} for their index."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield Problem(at.format(index), name, expected)
        seen.add(name)


def check_limits(at: str, spec: NumberColumnSpec | CharacteristicSpec | ReadingSpec) -> Iterator[Problem]:
    """Find limits that nothing lies between."""
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        yield Problem(f"{at}/min", f"{spec.min:g}", f"at most max, {spec.max:g}")


def reached(starts: Iterable[str], edges: Edges) -> set[str]:
    """The starts and everything that can be reached from them."""
    found = dict.fromkeys(starts)
    queue = list(found)
    for node in queue:
        for following in edges.get(node, ()):
            if following not in found:
                found[following] = None
                queue.append(following)
    return set(found)


def loops(edges: Edges, starts: Iterable[str] | None = None) -> Iterator[list[str]]:
    """Find ways from a node back to itself, [start, ..., start], one for each set of nodes."""
    found: set[frozenset[str]] = set()
    for start in edges if starts is None else starts:
        loop = _loop(start, edges)
        if loop and frozenset(loop) not in found:
            found.add(frozenset(loop))
            yield loop


def _loop(start: str, edges: Edges) -> list[str]:
    came: dict[str, str] = {}
    queue = [start]
    for node in queue:
        for following in edges.get(node, ()):
            if following == start:
                way = [start, node]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            if following not in came:
                came[following] = node
                queue.append(following)
    return []
