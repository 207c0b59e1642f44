"""`mes bench common`: simulated incidents with a cause planted in them, or none; how often it is found first."""

import random
import time
from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from mes.commonality.rules import Factor, Kind, rank, regions

PACKS, SUSPECTS, DAYS = 1012, 12, 10
SHIFTS = ("06:00", "14:00", "22:00")
# operation -> its parallel stations; each with two tools, one of which is in use
OPERATIONS = {"100": 3, "110": 1, "120": 2, "130": 4, "140": 1, "150": 2, "160": 3, "170": 1}
CHARACTERISTICS = 24
FROM_CAUSE = 0.9  # of the suspects; the others went wrong for another reason
PLANTED = (Kind.LOT, Kind.STATION, Kind.TOOL, Kind.PROGRAM, Kind.OPERATOR, Kind.SHIFT, Kind.PARAMETER)
SHARE = (0.015, 0.25)  # of all units that have the cause: below there are too few to draw from, above it says little


@dataclass(frozen=True)
class Incident:
    """Suspects, comparables, what they have; and what made them go wrong."""

    suspects: list[int]
    comparables: list[int]
    having: dict[Factor, set[int]]
    cause: Factor | None


def incident(seed: int, *, has_cause: bool) -> Incident:
    """One incident of a plant of parallel stations, tools, shifts, lots and cartons that follow each other."""
    chance = random.Random(seed)  # noqa: S311 - a simulation, the same for the same seed
    having: defaultdict[Factor, set[int]] = defaultdict(set)
    for unit in range(PACKS):
        for factor in _of_unit(unit, chance):
            having[factor].add(unit)
    values = {
        f"c{n:02} of {150 + n % 3 * 10}": {u: chance.gauss(10, 1) for u in range(PACKS)} for n in range(CHARACTERISTICS)
    }
    cause, ill = None, set(range(PACKS))
    if has_cause:
        cause, ill = _plant(having, values, chance)
    well = sorted(set(range(PACKS)) - ill) or sorted(ill)
    drawn: set[int] = set()
    while len(drawn) < SUSPECTS:
        drawn.add(chance.choice(sorted(ill) if chance.random() < FROM_CAUSE else well))
    suspects = sorted(drawn)
    comparables = [unit for unit in range(PACKS) if unit not in drawn]
    for name, by_unit in values.items():
        having.update({factor: set(units) for factor, units in regions(name, by_unit, comparables).items()})
    return Incident(suspects, comparables, dict(having), cause)


def _of_unit(unit: int, chance: random.Random) -> list[Factor]:
    day, part_of_day = divmod(unit * DAYS * 3 * 100 // PACKS // 100, 3)
    found = [Factor(Kind.SHIFT, f"in the shift of day {day} {SHIFTS[part_of_day]}")]
    found += [
        Factor(Kind.LOT, f"{part}-{(unit + chance.randint(0, 4)) * of // PACKS}")
        for part, of in (("CELL", 8), ("GLUE", 20), ("BOARD", 5))
    ]
    found += [Factor(Kind.CARTON, f"B{unit * 112 // 160 + n}") for n in (0, 1)]
    team = [f"{SHIFTS[part_of_day]}-{n}" for n in range(sum(OPERATIONS.values()))]
    places = iter(range(len(team)))
    for operation, stations in OPERATIONS.items():
        own = [next(places) for _ in range(stations)]
        at = chance.randrange(stations)
        station, person = f"{operation}-{at + 1}", team[(own[at] + day) % len(team)]  # people change places day by day
        found.append(Factor(Kind.STATION, f"{operation} at {station}"))
        found.append(Factor(Kind.TOOL, f"{station}-{'A' if chance.random() < 0.5 else 'B'}"))
        found.append(Factor(Kind.PROGRAM, f"{operation} by {1 + (unit * 7 // PACKS + int(operation)) % 7}"))
        found.append(Factor(Kind.SHIFT, f"{operation} in the shift from {SHIFTS[part_of_day]}"))
        found += [Factor(Kind.OPERATOR, person), Factor(Kind.OPERATOR, f"{person} at {operation}")]
    return found


def _plant(
    having: dict[Factor, set[int]], values: dict[str, dict[int, float]], chance: random.Random
) -> tuple[Factor, set[int]]:
    """Choose a cause that some units have: a factor, or the tail of a characteristic's values."""
    kind = chance.choice(PLANTED)
    if kind is Kind.PARAMETER:
        found: dict[Factor, set[int]] = {}
        for name, by_unit in values.items():
            found |= regions(name, by_unit, range(PACKS))
        cause = chance.choice(sorted(found))
        return cause, found[cause]
    least, most = SHARE
    fitting = sorted(f for f, units in having.items() if f.kind is kind and least * PACKS <= len(units) <= most * PACKS)
    cause = chance.choice(fitting)
    return cause, having[cause]


def is_found_first(seed: int) -> bool:
    """Whether a planted cause is the first of what is said."""
    made = incident(seed, has_cause=True)
    assert made.cause is not None  # noqa: S101
    first = rank(made.suspects, made.comparables, made.having)[0].factors
    if made.cause.kind is Kind.PARAMETER:  # its region may be told by another width of the same tail
        return _tail(made.cause) in map(_tail, first)
    return made.cause in first


def _tail(factor: Factor) -> str:
    return factor.name.rpartition(" (")[0].rsplit(" ", 1)[0]


def is_silent(seed: int) -> bool:
    """Whether nothing is said to stand out where there is no cause."""
    made = incident(seed, has_cause=False)
    return not any(one.stands_out for one in rank(made.suspects, made.comparables, made.having))


def measure_common(incidents: int, without: int) -> dict[str, float]:
    """Play incidents with a cause, and others without; shares in %, and the seconds that a ranking takes."""
    took = []
    for seed in range(5):
        made = incident(seed, has_cause=True)
        began = time.perf_counter()
        rank(made.suspects, made.comparables, made.having)
        took.append(time.perf_counter() - began)
    return {
        "found_first_pct": 100 * sum(is_found_first(seed) for seed in range(incidents)) / incidents,
        "silent_pct": 100 * sum(is_silent(10_000 + seed) for seed in range(without)) / without,
        "rank_seconds": median(took),
    }
