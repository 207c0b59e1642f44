"""Which lots make up which kits: counts of groups, no cells yet."""

from collections.abc import Mapping

Plan = list[dict[int, int]]  # each kit: how many of its groups come from which blend


def plan(available: Mapping[int, int], groups: int, per_kit: int, wanted: int) -> Plan:
    """Plan up to `wanted` kits of `groups` groups, of at most `per_kit` blends each; those of one blend first.

    available: groups that each blend has cells for, the blends to use first named first. A heuristic: of two plans
    the one with more kits is taken, then the one with fewer blends. With two blends a kit the second is the alias
    method (Walker 1977): whole kits whenever there are as many blends as kits.
    """
    plans = [_whole_first(available, groups, per_kit), _smallest_first(available, groups, per_kit)]
    plans = [sorted(found, key=len)[:wanted] for found in plans]
    return min(plans, key=lambda found: (-len(found), sum(len(kit) for kit in found)))


def _whole_first(available: Mapping[int, int], groups: int, per_kit: int) -> Plan:
    """Kits of one blend; what is left of the largest is filled up by the smallest that suffices."""
    made: Plan = [{blend: groups} for blend, count in available.items() for _ in range(count // groups)]
    rests = {blend: count % groups for blend, count in available.items() if count % groups}
    while rests:
        largest = max(rests, key=lambda blend: rests[blend])
        kit = {largest: rests.pop(largest)}
        while (need := groups - sum(kit.values())) and rests and len(kit) < per_kit:
            enough = [blend for blend in rests if rests[blend] >= need]
            filler = min(enough, key=lambda b: rests[b]) if enough else max(rests, key=lambda b: rests[b])
            kit[filler] = min(need, rests[filler])
            rests[filler] -= kit[filler]
            if not rests[filler]:
                del rests[filler]
        if not need:
            made.append(kit)
    return made


def _smallest_first(available: Mapping[int, int], groups: int, per_kit: int) -> Plan:
    """Use up the smallest blend, filled up by the largest; a smallest one that can't be filled up is left."""
    made: Plan = []
    rests = {blend: count for blend, count in available.items() if count}
    while rests:
        smallest = min(rests, key=lambda blend: rests[blend])
        largest = sorted(rests.keys() - {smallest}, key=lambda blend: (-rests[blend], blend))
        kit: dict[int, int] = {}
        for blend in (smallest, *largest)[:per_kit]:
            if need := groups - sum(kit.values()):
                kit[blend] = min(need, rests[blend])
        if sum(kit.values()) < groups:
            del rests[smallest]
            continue
        made.append(kit)
        rests = {blend: count - kit.get(blend, 0) for blend, count in rests.items() if count > kit.get(blend, 0)}
    return made
