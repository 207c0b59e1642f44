"""Compares suspect units with good ones."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from mes.commonality.messages import CommonalityAnswer, CommonalityRequest, FactorAnswer, SharedAnswer
from mes.commonality.queries import (
    Pairs,
    above,
    below,
    comparables_of,
    further,
    named,
    span,
    suspects_of,
    unknown,
    values,
)
from mes.commonality.rules import Factor, Kind, Shared, rank, regions
from mes.db import ReadSession
from mes.errors import Conflict, Malformed

SHOWN = 20


class NothingToCompare(Conflict):
    """Only {count} good units of {part} are there to compare with; at least 20 are needed to tell chance from cause."""


LEAST = 20
LEAST_SUSPECTS = 2
Having = dict[Factor, set[int]]


async def compare(session: ReadSession, message: CommonalityRequest) -> CommonalityAnswer:
    """What suspect units share, ranked against good units of their part that were made nearest in time."""
    part, part_id, suspects = await _suspects(session, message.serials)
    comparables = await comparables_of(session, suspects, part_id, message.comparables)
    if len(comparables) < LEAST:
        raise NothingToCompare(count=len(comparables), part=part)
    having, inside, around = await _factors(session, [*suspects, *comparables], comparables)
    shared = await asyncio.to_thread(rank, suspects, comparables, having)
    since, until = await span(session, [*suspects, *comparables])
    return CommonalityAnswer(
        part=part,
        suspects=len(suspects),
        comparables=len(comparables),
        since=since,
        until=until,
        compared=len(having),
        shared=[
            await _answer(session, one, part_id, suspects, len(comparables), is_inside=bool(around[0]))
            for one in shared[:SHOWN]
        ],
        gaps=await _gaps(session, inside, set(suspects)),
    )


async def _suspects(session: ReadSession, serials: Sequence[str]) -> tuple[str, int, list[int]]:
    """The part and the units of these serials, or Malformed names those that are unknown or of another part."""
    found = await suspects_of(session, serials)
    parts = {row["serial"]: row["part"] for row in found}
    part = found[0]["part"] if found else None
    expected = f"a known unit of {part}, as the others" if part else "a known unit"
    problems = [
        {"at": "serials", "read": f"{one} ({parts.get(one, 'not known')})", "expected": expected}
        for one in dict.fromkeys(serials)
        if parts.get(one) is None or parts[one] != part
    ]
    if problems or part is None:
        raise Malformed("The request", problems[:200])
    if len(found) < LEAST_SUSPECTS:
        one = {"at": "serials", "read": "one unit", "expected": "two different ones or more: one shares with nobody"}
        raise Malformed("The request", [one])
    return part, found[0]["part_id"], [row["id"] for row in found]


async def _factors(
    session: ReadSession, units: Sequence[int], comparables: Sequence[int]
) -> tuple[Having, Pairs, Pairs]:
    inside = await below(session, units)
    places = await above(session, units)
    around: Pairs = [row["root"] for row in places], [row["node"] for row in places]
    having: defaultdict[Factor, set[int]] = defaultdict(set)
    for root, kind, name in await named(session, units, inside, around):
        having[Factor(Kind(kind), name)].add(root)
    for row in places:
        for at in (row["position"], row["position"] - 1):
            if at:
                having[Factor(Kind.POSITION, f"positions {at} and {at + 1} of {row['part']}")].add(row["root"])
        having[Factor(Kind.POSITION, f"position {row['position']} of {row['part']}")].add(row["root"])
    measured: defaultdict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for root, operation, name, unit, low, high in await values(session, inside):
        measured[f"least {name} of {operation}", unit][root] = low
        measured[f"greatest {name} of {operation}", unit][root] = high
    for (name, unit), by_root in measured.items():
        having |= regions(name, by_root, comparables, unit)
    return dict(having), inside, around


async def _answer(
    session: ReadSession, one: Shared, part_id: int, suspects: Sequence[int], comparables: int, *, is_inside: bool
) -> SharedAnswer:
    asked = one.factors if one.stands_out else ()
    counts = [
        await further(session, factor.kind, factor.name, part_id, suspects, is_inside=is_inside) for factor in asked
    ]
    told = [count for count in counts if count is not None]
    return SharedAnswer(
        factors=[FactorAnswer(kind=factor.kind, name=factor.name) for factor in one.factors],
        suspects=one.suspects,
        suspects_pct=100 * one.suspects / len(suspects),
        comparables=one.comparables,
        comparables_pct=100 * one.comparables / comparables,
        p=one.p,
        corrected_p=one.corrected_p,
        stands_out=one.stands_out,
        further=max(told) if told else None,
    )


async def _gaps(session: ReadSession, inside: Pairs, suspects: set[int]) -> list[str]:
    pairs = [(root, node) for root, node in zip(*inside, strict=True) if root in suspects]
    found = await unknown(session, ([root for root, _ in pairs], [node for _, node in pairs]))
    gaps = [f"{found['lots']} suspects have something in them whose lot is not known"] if found["lots"] else []
    return gaps + ([f"{found['cycles']} suspects have no cycle on record"] if found["cycles"] else [])
