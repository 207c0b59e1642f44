"""Everything that must not be done, a kind each: how it is tried at random, and what has to be answered."""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mes.execution.rules.words import Reason
from tests.execution.illegal_plant import NAMED, OK, State

Body = dict[str, Any]
PERMIT, REPORT = "/api/station/permit", "/api/station/report"
ASKER = "illegal"


@dataclass(frozen=True)
class Attempt:
    """One illegal attempt: what is sent, who sends it, and the answer it must get.

    `code`: a reason among the refusals or findings, or the code of the error. `alone`: no other reason may stand
    beside it, so that nothing but this rule is in its way. `first`: what is legal and comes before.
    """

    path: str
    body: Body
    code: str
    status: int = 200
    key: str = "station-1"
    alone: bool = False
    first: Sequence[Body] = ()


@dataclass
class World:
    """What attempts are made of: a plant, chance, and numbers that no cycle has had."""

    state: State
    chance: random.Random
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def pick(self, pool: str) -> str:
        """Choose one that stays where it is."""
        return self.chance.choice(self.state.pools[pool])

    def take(self, pool: str) -> str:
        """Take one that nobody has touched."""
        return self.state.pools[pool].pop(self.chance.randrange(len(self.state.pools[pool])))

    def name(self, kind: str = "c") -> str:
        """Make up a name that is known nowhere."""
        return f"{kind}-{next(self.numbers)}-{self.chance.randrange(10**6)}"

    def asking(self, station: str, serial: str, **more: Any) -> Body:
        """Write a question down, with details that don't matter."""
        body = {"station": station, "serial": serial, "cycle": self.name(), "asker": ASKER} | more
        if self.chance.random() < 0.3:
            body.setdefault("operator", self.chance.choice(["ann", "bob"]))
        return body

    def report_of(self, body: Body, **more: Any) -> Body:
        """Write the report of a question down."""
        now = datetime.now(UTC).isoformat()
        said = {"verdict": "passed", "started_at": now, "ended_at": now, "values": OK}
        return {name: value for name, value in body.items() if name != "lots"} | said | more


Kind = Callable[[World], Attempt]
Fields = Callable[[World], Body]


def nothing(_: World) -> Body:
    """Say no more than is needed."""
    return {}


def at(serial: str, position: int = 1, part: str = "CELL") -> Body:
    """Name a part at a position."""
    return {"part": part, "serial": serial, "position": position}


def cells(first: Callable[[World], str], part: str = "CELL", *, alone: str = "take") -> Fields:
    """Name two cells: the one in question, and a good one; which comes first is chance."""

    def say(world: World) -> Body:
        good = world.take("good") if alone == "take" else world.pick("named")
        first_at = world.chance.choice([1, 2])
        return {"components": [at(first(world), first_at, part), at(good, 3 - first_at)]}

    return say


def picked(pool: str) -> Callable[[World], str]:
    """Choose from a pool."""
    return lambda world: world.pick(pool)


def taken(pool: str) -> Callable[[World], str]:
    """Take from a pool."""
    return lambda world: world.take(pool)


def reported(pool: str) -> Callable[[World], str]:
    """Choose from those that are kept for reports: each leaves its unit held."""
    return lambda world: world.pick(f"reported {pool}")


def asked(code: Reason, station: str, pool: str, fields: Fields = nothing, *, alone: bool = True) -> Kind:
    """Try to be permitted; the unit isn't changed by it."""
    return lambda w: Attempt(PERMIT, w.asking(station, w.pick(pool), **fields(w)), code, alone=alone)


def asked_for(code: Reason, say: Callable[[World], tuple[str, str]], *, alone: bool = True) -> Kind:
    """Try to be permitted, at a station and for a serial that chance chooses."""
    return lambda w: Attempt(PERMIT, w.asking(*say(w)), code, alone=alone)


def unasked(code: Reason, station: str, serial: Callable[[World], str], fields: Fields = nothing) -> Kind:
    """Report what nobody asked for: the rule and the missing permit are both found."""
    return lambda w: Attempt(REPORT, w.report_of(w.asking(station, serial(w)), **fields(w)), code)


def fitted(code: Reason, fields: Fields, station: str = "S-010", *, alone: bool = True) -> Kind:
    """Ask rightly for a fresh unit, then report what must not be fitted, used up or taken out."""

    def make(world: World) -> Attempt:
        body = world.asking(station, world.take("fresh"))
        return Attempt(REPORT, world.report_of(body, **fields(world)), code, alone=alone, first=[body])

    return make


def lots(*numbers: str) -> Fields:
    """Name lots of a question."""
    return lambda world: {"lots": world.chance.sample(numbers, len(numbers))}


def used(**quantities: float) -> Fields:
    """Name quantities of lots of a report; a dash of a lot's number is written as an underscore."""

    def say(world: World) -> Body:
        chosen = [{"lot": lot.replace("_", "-"), "quantity": quantity} for lot, quantity in quantities.items()]
        world.chance.shuffle(chosen)
        return {"lots": chosen}

    return say


def _failing(fields: Fields = nothing) -> Fields:
    return lambda world: fields(world) | {"verdict": world.chance.choice(["failed", "passed"])}


def _one_station(world: World) -> str:
    return world.chance.choice(["S-010", "S-012", "S-015", "S-120", "S-200", "S-400", "S-500", "S-600", "S-800"])


R = Reason
PERMITS: dict[str, Kind] = {
    "out of order": asked_for(
        R.PREDECESSOR_MISSING, lambda w: (w.chance.choice(["S-210", "S-220", "S-610", "S-620"]), w.pick("still"))
    ),
    "a step before the last is missing": asked(R.PREDECESSOR_MISSING, "S-220", "did 200"),
    "passed step": asked_for(
        R.STEP_PASSED,
        lambda w: w.chance.choice([("S-200", w.pick("did 200")), ("S-600", w.pick("did 600"))]),
    ),
    "passed by its alternative": asked_for(
        R.STEP_PASSED, lambda w: (w.chance.choice(["S-700", "S-710"]), w.pick("did 710"))
    ),
    "wrong station": asked_for(
        R.NOT_IN_ROUTE, lambda w: (w.chance.choice(["S-ELSEWHERE", "S-S10", "S-K10"]), w.pick("still"))
    ),
    "an operation the station has not": asked(
        R.NOT_IN_ROUTE, "S-200", "still", lambda w: {"operation": w.chance.choice(["010", "900", "999"])}
    ),
    "unknown station": asked_for(R.STATION_UNKNOWN, lambda w: (w.name("S"), w.pick("still"))),
    "unknown unit": asked_for(R.UNIT_UNKNOWN, lambda w: (_one_station(w), w.name("U"))),
    "unit on hold": asked_for(R.ON_HOLD, lambda w: ("S-200", w.pick("held"))),
    "order on hold by quality": asked_for(R.ON_HOLD, lambda w: ("S-200", w.pick("of held order"))),
    "hold inherited from a cell": asked_for(R.ON_HOLD, lambda w: ("S-200", w.pick("with bad cell"))),
    "hold by a station's window": asked_for(R.ON_HOLD, lambda w: ("S-200", w.pick("did 700"))),
    "half released": asked_for(R.ON_HOLD, lambda w: ("S-200", w.pick("signed"))),
    "intercept reached": asked_for(R.ON_HOLD, lambda w: ("S-600", w.pick("intercepted"))),
    "not to be shipped": asked(R.ON_HOLD, "S-900", "not to ship"),
    "scrapped": asked_for(R.SCRAPPED, lambda w: ("S-200", w.pick("scrapped"))),
    "removed and not tested": asked(R.UNIT_REMOVED, "S-S10", "removed", alone=False),
    "order not released": asked_for(R.ORDER_NOT_RELEASED, lambda w: ("S-200", w.pick("paused"))),
    "finished": asked_for(R.ALREADY_FINISHED, lambda w: ("S-S10", w.pick("sub"))),
    "tool out of calibration": asked(
        R.CALIBRATION_DUE,
        "S-CAL",
        "still",
        lambda w: w.chance.choice([{}, {"tool": "WRENCH"}, {"tool": w.name("HAMMER")}]),
    ),
    "check failed": asked(R.CHECK_FAILED, "S-FAILED", "still"),
    "check due": asked(R.CHECK_DUE, "S-DUE", "still"),
    "chart signalled": asked(R.SIGNAL_OPEN, "S-140", "still"),
    "first article open": asked(R.FIRST_ARTICLE_OPEN, "S-130", "still", lambda _: {"operator": "olga"}),
    "recipe wrong": asked(
        R.RECIPE_WRONG, "S-110", "still", lambda w: {"recipe_digest": f"{w.chance.getrandbits(256):064x}"}
    ),
    "recipe not read back": asked(R.RECIPE_WRONG, "S-110", "still"),
    "program wrong": asked(
        R.PROGRAM_WRONG, "S-120", "still", lambda w: {"program_revision": w.chance.choice(["P6", "p7", "P7.1"])}
    ),
    "program not said": asked(R.PROGRAM_WRONG, "S-120", "still"),
    "one person for two": asked(R.PERSON_MISSING, "S-100", "still", lambda w: {"operator": "ann"}),
    "same person twice": asked(
        R.PERSON_MISSING, "S-100", "still", lambda w: dict.fromkeys(NAMED, w.chance.choice(["ann", "bob"]))
    ),
    "never certified": asked(R.NOT_CERTIFIED, "S-100", "still", lambda w: NAMED | {"operator": w.name("carl")}),
    "certificate expired": asked(R.NOT_CERTIFIED, "S-100", "still", lambda w: NAMED | {"second_operator": "dora"}),
    "certificate withdrawn": asked(R.NOT_CERTIFIED, "S-100", "still", lambda w: NAMED | {"operator": "emil"}),
    "attempts exhausted": asked(R.ATTEMPTS_EXHAUSTED, "S-500", "failed 500"),
    "retry before rework": asked(R.REWORK_OPEN, "S-400", "failed 400"),
    "rework not open": asked(R.REWORK_NOT_OPEN, "S-410", "still"),
    "too early": asked(R.TOO_EARLY, "S-610", "did 600"),
    "too late": asked(R.TOO_LATE, "S-620", "did 600"),
    "record not complete": asked(R.INCOMPLETE, "S-800", "still"),
    "document missing": asked_for(R.DOCUMENT_MISSING, lambda _: ("S-T10", "TONER")),
}


def _named(first: Callable[[World], str], part: str = "CELL") -> Fields:
    return cells(first, part, alone="pick")


def _sub(pool: str, take: Callable[[str], Callable[[World], str]] = picked) -> Fields:
    return lambda world: {"components": [at(take(pool)(world), 1, "SUB")]}


def _bean(pool: str) -> Fields:
    return lambda world: {"components": [at(world.pick(pool), world.chance.randrange(1, 5), "BEAN")]}


def _seen(pool: Callable[[World], str], **read: Any) -> Fields:
    return lambda world: {"components": [at(pool(world)) | read]}


def itself(world: World) -> Attempt:
    """Name a unit as its own part."""
    serial = world.pick("still")
    body = world.asking("S-010", serial, components=[at(serial, part="U")])
    return Attempt(PERMIT, body, R.COMPONENT_ELSEWHERE, alone=True)


NAMING: dict[str, Kind] = {
    "names a held cell": asked(R.COMPONENT_ON_HOLD, "S-010", "still", _named(picked("bad"))),
    "names a cell of a held carton": asked(R.COMPONENT_ON_HOLD, "S-010", "still", _named(picked("date"))),
    "names a part of a held order": asked(R.COMPONENT_ON_HOLD, "S-015", "still", _sub("held sub"), alone=False),
    "names a cell that is elsewhere": asked(R.COMPONENT_ELSEWHERE, "S-010", "still", _named(picked("elsewhere"))),
    "names scrap": asked(R.COMPONENT_SCRAPPED, "S-010", "still", _named(picked("scrap"))),
    "names an untested cell": asked(R.COMPONENT_UNTESTED, "S-010", "still", _named(picked("untested"))),
    "names an unknown cell": asked(R.COMPONENT_UNKNOWN, "S-010", "still", _named(lambda w: w.name("X"))),
    "names cells for a unit without a kit": asked(R.KIT_MISSING, "S-Q10", "no kit", _bean("loose bean")),
    "names a cell of another kit": asked(R.NOT_FROM_KIT, "S-Q10", "kitted", _bean("reserved bean")),
    "names a cell that is in no kit": asked(R.NOT_FROM_KIT, "S-Q10", "kitted", _bean("loose bean")),
    "names a cell the wrong way up": asked(
        R.POLARITY_REVERSED, "S-010", "still", _seen(picked("named"), polarity_ok=False)
    ),
    "names a cell in another slot": asked(R.SLOT_WRONG, "S-010", "still", _seen(picked("named"), read_position=2)),
    "names a wrong part": asked(R.COMPONENT_WRONG, "S-010", "still", _named(picked("wood"), "WOOD")),
    "calls a wrong part a cell": asked(R.COMPONENT_WRONG, "S-010", "still", _named(picked("wood"))),
    "names itself": itself,
    "names an unfinished part": asked(R.COMPONENT_UNFINISHED, "S-015", "still", _sub("unfinished")),
    "names another revision": asked(R.COMPONENT_REVISION, "S-015", "still", _sub("newer sub")),
    "names a position twice": asked(
        R.POSITION_TAKEN, "S-010", "still", lambda w: {"components": [at(w.state.pools["named"][n]) for n in (0, 1)]}
    ),
    "names a taken position": asked(
        R.POSITION_TAKEN, "S-010", "with bad cell", lambda w: {"components": [at(w.pick("named"))]}, alone=False
    ),
    "names a position that is not there": asked(
        R.COMPONENT_WRONG, "S-010", "still", lambda w: {"components": [at(w.pick("named"), w.chance.randrange(3, 99))]}
    ),
    "names a cell twice": asked(
        R.COMPONENT_ELSEWHERE,
        "S-010",
        "still",
        lambda w: {"components": [at(w.state.pools["named"][0], n) for n in (1, 2)]},
    ),
    "takes out what is not in it": asked(
        R.REMOVAL_UNKNOWN, "S-010", "still", lambda w: {"removals": [w.chance.choice([w.pick("elsewhere"), w.name()])]}
    ),
    "takes out what another step fits": asked(
        R.REMOVAL_WRONG, "S-012", "holding", lambda w: {"removals": [w.pick("inside")]}, alone=False
    ),
    "names a held lot": asked(R.COMPONENT_ON_HOLD, "S-012", "still", lots("GLUE-HELD", "RESIN-OK")),
    "names an expired lot": asked(R.LOT_EXPIRED, "S-012", "still", lots("GLUE-EXPIRED", "RESIN-OK")),
    "names a lot open too long": asked(R.LOT_EXPIRED, "S-012", "still", lots("GLUE-OPEN", "RESIN-OK")),
    "names a lot that is not first": asked(R.LOT_NOT_FIRST, "S-012", "still", lots("GLUE-LATE", "RESIN-OK")),
    "names an empty lot": asked(R.LOT_OVERDRAWN, "S-012", "still", lots("GLUE-OK", "RESIN-EMPTY")),
    "names a quarantined lot": asked(R.LOT_NOT_RELEASED, "S-012", "still", lots("GLUE-OK", "RESIN-NEW")),
    "names a wrong lot": asked(R.LOT_WRONG, "S-012", "still", lots("GLUE-OK", "RESIN-OK", "PAINT")),
    "names an unknown lot": asked(R.LOT_UNKNOWN, "S-012", "still", lambda w: {"lots": ["GLUE-OK", w.name("LOT")]}),
}
FITTING: dict[str, Kind] = {
    "fits a held cell": fitted(R.COMPONENT_ON_HOLD, cells(taken("bad"))),
    "fits a cell that is elsewhere": fitted(R.COMPONENT_ELSEWHERE, cells(picked("elsewhere")), alone=False),
    "fits scrap": fitted(R.COMPONENT_SCRAPPED, cells(taken("scrap"))),
    "fits an untested cell": fitted(R.COMPONENT_UNTESTED, cells(taken("untested"))),
    "fits an unknown cell": fitted(R.COMPONENT_UNKNOWN, cells(lambda w: w.name("X"))),
    "fits a wrong part": fitted(R.COMPONENT_WRONG, cells(taken("wood"), "WOOD"), alone=False),
    "fits an unfinished part": fitted(R.COMPONENT_UNFINISHED, _sub("unfinished", taken), "S-015"),
    "fits another revision": fitted(R.COMPONENT_REVISION, _sub("newer", taken), "S-015", alone=False),
    "fits at a taken position": fitted(
        R.POSITION_TAKEN, lambda w: {"components": [at(w.take("good")), at(w.take("good"))]}, alone=False
    ),
    "fits a cell the wrong way up": fitted(R.POLARITY_REVERSED, _seen(taken("good"), polarity_ok=False), alone=False),
    "fits a cell in another slot": fitted(R.SLOT_WRONG, _seen(taken("good"), read_position=2), alone=False),
    "fits nothing": fitted(R.COMPONENT_MISSING, nothing),
    "takes out what was never in": fitted(
        R.REMOVAL_UNKNOWN, lambda w: cells(taken("good"))(w) | {"removals": [w.pick("elsewhere")]}
    ),
    "uses a held lot": fitted(R.COMPONENT_ON_HOLD, used(GLUE_HELD=1, RESIN_OK=1), "S-012"),
    "uses an expired lot": fitted(R.LOT_EXPIRED, used(GLUE_EXPIRED=1, RESIN_OK=1), "S-012"),
    "uses a lot open too long": fitted(R.LOT_EXPIRED, used(GLUE_OPEN=1, RESIN_OK=1), "S-012"),
    "uses a lot that is not first": fitted(R.LOT_NOT_FIRST, used(GLUE_LATE=1, RESIN_OK=1), "S-012"),
    "uses a quarantined lot": fitted(R.LOT_NOT_RELEASED, used(GLUE_OK=1, RESIN_NEW=1), "S-012"),
    "uses a wrong lot": fitted(R.LOT_WRONG, used(GLUE_OK=1, RESIN_OK=1, PAINT=1), "S-012"),
    "uses more than is left": fitted(R.LOT_OVERDRAWN, used(GLUE_SMALL=5, RESIN_OK=1), "S-012"),
    "uses too little": fitted(R.COMPONENT_MISSING, used(GLUE_OK=0.5, RESIN_OK=1), "S-012"),
}
REPORTS: dict[str, Kind] = {
    "nobody asked": unasked(R.PERMIT_MISSING, "S-200", taken("fresh")),
    "worked on hold": unasked(R.ON_HOLD, "S-200", reported("held"), _failing()),
    "worked in a held order": unasked(R.ON_HOLD, "S-200", reported("of held order"), _failing()),
    "worked on scrap": unasked(R.SCRAPPED, "S-200", reported("scrapped"), _failing()),
    "worked for an order not released": unasked(R.ORDER_NOT_RELEASED, "S-200", reported("paused"), _failing()),
    "worked out of order": unasked(R.PREDECESSOR_MISSING, "S-210", taken("fresh")),
    "worked a passed step": unasked(R.STEP_PASSED, "S-710", reported("did 710")),
    "worked a finished unit": unasked(R.ALREADY_FINISHED, "S-K10", lambda w: w.state.pools["racks"][0]),
    "worked by nobody": unasked(R.PERSON_MISSING, "S-100", taken("fresh")),
    "worked uncertified": unasked(R.NOT_CERTIFIED, "S-100", taken("fresh"), lambda _: NAMED | {"operator": "dora"}),
    "worked with another recipe": unasked(R.RECIPE_WRONG, "S-110", taken("fresh")),
    "worked with another program": unasked(R.PROGRAM_WRONG, "S-120", taken("fresh")),
    "worked though a chart had signalled": unasked(R.SIGNAL_OPEN, "S-140", taken("fresh")),
    "worked before the first article was signed": unasked(R.FIRST_ARTICLE_OPEN, "S-130", taken("fresh")),
    "worked with a tool out of calibration": unasked(R.CALIBRATION_DUE, "S-CAL", taken("fresh")),
    "worked where a check failed": unasked(R.CHECK_FAILED, "S-FAILED", taken("fresh")),
    "worked where a check is due": unasked(R.CHECK_DUE, "S-DUE", taken("fresh")),
    "worked too often": unasked(R.ATTEMPTS_EXHAUSTED, "S-500", reported("failed 500"), lambda _: {"verdict": "failed"}),
    "worked before rework": unasked(R.REWORK_OPEN, "S-400", reported("failed 400"), lambda _: {"verdict": "failed"}),
    "reworked what is whole": unasked(R.REWORK_NOT_OPEN, "S-410", taken("fresh")),
    "worked too early": unasked(R.TOO_EARLY, "S-610", reported("did 600"), lambda _: {"verdict": "failed"}),
    "worked too late": unasked(R.TOO_LATE, "S-620", reported("did 600"), lambda _: {"verdict": "failed"}),
    "passed with gaps": unasked(R.INCOMPLETE, "S-800", taken("fresh")),
}


def against_refusal(world: World) -> Attempt:
    """Report work that was refused."""
    body = world.asking("S-120", world.take("fresh"), program_revision="P1")
    return Attempt(REPORT, world.report_of(body), R.PERMIT_REFUSED, first=[body])


def with_anothers_permit(world: World) -> Attempt:
    """Report one unit under the number that another's permit has."""
    body = world.asking("S-200", world.pick("still"))
    return Attempt(
        REPORT, world.report_of(body, serial=world.take("fresh")), R.PERMIT_MISSING, alone=True, first=[body]
    )


def refused_number_again(world: World) -> Attempt:
    """Ask under a refused number once more: the same answer, never another."""
    body = world.asking("S-120", world.pick("still"), program_revision="P1")
    return Attempt(PERMIT, body, R.PROGRAM_WRONG, alone=True, first=[body])


REPORTS |= {"worked against a refusal": against_refusal, "worked with another's permit": with_anothers_permit}
PERMITS |= {"a refused number once more": refused_number_again}
