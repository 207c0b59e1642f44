"""Acts that must not be done: by whom, on what, twice. Each must be answered by an error, and change nothing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from mes.execution.rules.words import Reason
from tests.execution.illegal_kinds import PERMIT, REPORT, Attempt, Body, Kind, World

LAWS = sorted(
    {Reason.ON_HOLD, Reason.SCRAPPED, Reason.COMPONENT_ON_HOLD, Reason.COMPONENT_ELSEWHERE, Reason.POSITION_TAKEN}
    | {Reason.CHECK_FAILED, Reason.FIRST_ARTICLE_OPEN, Reason.PERSON_MISSING, Reason.STEP_PASSED}
    | {Reason.NOT_IN_ROUTE, Reason.UNIT_REMOVED, Reason.ORDER_NOT_RELEASED, Reason.COMPONENT_SCRAPPED}
)
WHY = "because I say so"


def refused(status: int, code: str, path: str, body: Callable[[World], Body], *keys: str) -> Kind:
    """Try an act with one of some keys."""
    return lambda w: Attempt(path, body(w), code, status, w.chance.choice(keys or ("quinn", "root")))


def _release(name: str) -> Callable[[World], Body]:
    return lambda w: {"containment": w.state.numbers[name], "reason": WHY}


def _dispose(pool: str) -> Callable[[World], Body]:
    def say(world: World) -> Body:
        chosen = world.chance.choice([{"decision": "scrap"}, {"decision": "rework", "operation": "200"}])
        return {"serial": world.pick(pool), "reason": WHY} | chosen

    return say


def _retest(*pools: str) -> Callable[[World], Body]:
    return lambda w: {
        "serial": w.pick(w.chance.choice(pools)),
        "verdict": w.chance.choice(["passed", "failed"]),
        "reason": WHY,
    }


def _waiver(rule: Callable[[World], str], hours: float = 1.0) -> Callable[[World], Body]:
    def say(world: World) -> Body:
        ends = datetime.now(UTC) + timedelta(hours=hours)
        return {"rule": rule(world), "serials": [world.pick("still")], "ends_at": ends.isoformat(), "reason": WHY}

    return say


def _order(event: str, *numbers: str) -> Callable[[World], Body]:
    return lambda w: {"order": w.chance.choice(numbers), "event": event}


def _office(world: World) -> tuple[str, Body]:
    """An act that stations and operators have no business with."""
    held, still = world.pick("held"), world.pick("still")
    return world.chance.choice(
        [
            ("/api/containments", {"serial": still, "reason": WHY}),
            ("/api/containments/release", _release("signed")(world)),
            ("/api/holds/release", {"hold": world.state.numbers["signed hold"], "reason": WHY}),
            ("/api/dispositions", {"serial": held, "decision": "scrap", "reason": WHY}),
            ("/api/retests", {"serial": world.pick("removed"), "verdict": "passed", "reason": WHY}),
            ("/api/waivers", _waiver(lambda _: Reason.TOO_LATE)(world)),
            ("/api/first-articles/sign", {"station": "S-130", "verdict": "passed"}),
            ("/api/checks/hold", {"check": world.state.numbers["S-FAILED"], "reason": WHY}),
            ("/api/orders", {"order": world.name("WO"), "part": "U", "quantity": 1}),
            ("/api/orders/move", {"order": "WO-PAUSED", "event": "resume"}),
            ("/api/keys", {"name": world.name("key"), "role": "admin"}),
            ("/api/certificates", {"person": "carl", "certificate": "HV", "expires_at": "2099-01-01T00:00:00Z"}),
        ]
    )


def without_the_role(world: World) -> Attempt:
    """A station's or an operator's key does what is the office's."""
    path, body = _office(world)
    return Attempt(path, body, "Forbidden", 403, world.chance.choice(["station-1", "oskar"]))


def without_a_key(world: World) -> Attempt:
    """No key, a made-up one, a revoked one, one that has ended: whatever is asked."""
    path, body = _office(world)
    if world.chance.random() < 0.5:
        path, body = PERMIT, world.asking("S-200", world.pick("still"))
    return Attempt(path, body, "Unauthorized", 401, world.chance.choice(["nobody", "stranger", "gone", "over"]))


def door_of_quality(world: World) -> Attempt:
    """Quality asks and reports at the station door: it holds units, it doesn't work on them."""
    body = world.asking("S-200", world.pick("still"))
    path, sent = world.chance.choice([(PERMIT, body), (REPORT, world.report_of(body))])
    return Attempt(path, sent, "Forbidden", 403, "quinn")


def number_of_another(world: World) -> Attempt:
    """A number that was asked for one unit is used to ask for another."""
    body = world.asking("S-120", world.state.pools["still"][0], program_revision="P1")
    other = body | {"serial": world.chance.choice(world.state.pools["still"][1:])}
    return Attempt(PERMIT, other, "CycleReused", 409, first=[body])


def number_of_another_result(world: World) -> Attempt:
    """A number that has a result is reported with another one."""
    told = world.report_of(world.asking("S-210", world.take("fresh")))
    late = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    other = world.chance.choice([{"verdict": "failed"}, {"ended_at": late}, {"serial": world.pick("still")}])
    return Attempt(REPORT, told | other, "CycleReused", 409, first=[told])


def not_understood(world: World) -> Attempt:
    """Nothing is guessed: unknown stations, units, values, tools and parts leave no record."""
    told = world.report_of(world.asking("S-200", world.pick("still")))
    wrong: list[dict[str, Any]] = [
        {"station": world.name("S")},
        {"serial": world.name("U")},
        {"values": {"weight": [1.0]}},
        {"values": {"ok": ["perhaps"]}},
        {"tool": "HAMMER"},
        {"components": [{"part": "STONE", "serial": "X1", "position": 1}]},
        {"started_at": "2026-11-23T08:30:00Z", "ended_at": "2026-11-23T08:29:59Z"},
        {"force": True},
    ]
    return Attempt(REPORT, told | world.chance.choice(wrong), "Malformed", 422)


def _receipt(lot: str, part: str) -> Body:
    return {"lot": lot, "part": part, "quantity": "5", "supplier": "A", "supplier_lot": "1", "country": "US"}


ACTS: dict[str, Kind] = {
    "sign a release twice": refused(409, "SignedAlready", "/api/containments/release", _release("signed"), "quinn"),
    "sign a hold's release twice": refused(
        409,
        "SignedAlready",
        "/api/holds/release",
        lambda w: {"hold": w.state.numbers["signed hold"], "reason": WHY},
        "quinn",
    ),
    "sign for a role already signed for": refused(
        403, "Forbidden", "/api/containments/release", _release("signed"), "olga"
    ),
    "release without a named role": refused(
        403, "Forbidden", "/api/containments/release", _release("quality's"), "sam"
    ),
    "release what is not held": refused(
        409, "NothingOpen", "/api/containments/release", lambda w: {"containment": 10**9, "reason": WHY}
    ),
    "waive a law": refused(409, "NotWaivable", "/api/waivers", _waiver(lambda w: w.chance.choice(LAWS))),
    "waive without the rule's role": refused(
        403, "Forbidden", "/api/waivers", _waiver(lambda _: Reason.TOO_LATE), "sam"
    ),
    "waive for ever, or for the past": lambda w: refused(
        409, "WindowWrong", "/api/waivers", _waiver(lambda _: Reason.TOO_LATE, w.chance.choice([-1, 24 * 91, 10**5]))
    )(w),
    "waive for the whole plant": refused(
        422, "Malformed", "/api/waivers", lambda w: _waiver(lambda _: Reason.TOO_LATE)(w) | {"serials": None}
    ),
    "retest what was not removed": refused(
        409, "NotPossible", "/api/retests", _retest("still", "named", "scrapped", "scrap")
    ),
    "retest what is fitted": refused(409, "StillFitted", "/api/retests", _retest("elsewhere")),
    "dispose of a fitted unit": refused(409, "StillFitted", "/api/dispositions", _dispose("elsewhere")),
    "un-scrap": refused(409, "NotPossible", "/api/dispositions", _dispose("scrapped")),
    "sign one's own first article": refused(
        409, "SamePerson", "/api/first-articles/sign", lambda _: {"station": "S-130", "verdict": "passed"}, "olga"
    ),
    "sign where none is open": refused(
        404, "NotFound", "/api/first-articles/sign", lambda _: {"station": "S-200", "verdict": "passed"}
    ),
    "hold since a good check": refused(
        409, "CheckPassed", "/api/checks/hold", lambda w: {"check": w.state.numbers["S-200"], "reason": WHY}
    ),
    "without the role": without_the_role,
    "without a key": without_a_key,
    "at the door as quality": door_of_quality,
    "another's cycle number": number_of_another,
    "another result's cycle number": number_of_another_result,
    "not understood": not_understood,
    "order the same number": refused(
        409,
        "OrderExists",
        "/api/orders",
        lambda w: {"order": w.chance.choice(["WO-1", "WO-HELD"]), "part": "U", "quantity": 1},
        "sam",
        "root",
    ),
    "order what is not made here": refused(
        409, "NotMadeHere", "/api/orders", lambda w: {"order": w.name("WO"), "part": "CELL", "quantity": 1}, "sam"
    ),
    "release an order twice": refused(
        409, "EventRefused", "/api/orders/move", _order("release", "WO-1", "WO-HELD", "WO-PAUSED"), "sam", "root"
    ),
    "receive a lot twice": refused(409, "LotExists", "/api/lots", lambda _: _receipt("GLUE-OK", "GLUE"), "oskar"),
    "receive cells as a mere quantity": refused(
        409, "NotTracedByLot", "/api/lots", lambda w: _receipt(w.name("LOT"), "CELL"), "oskar"
    ),
    "open a lot twice": refused(409, "OpenedBefore", "/api/lots/open", lambda _: {"lot": "GLUE-OPEN"}, "station-1"),
    "move what must not be moved": lambda w: Attempt(
        "/api/moves", {"serial": w.pick("not to move"), "location": w.name("shelf")}, Reason.ON_HOLD, key="oskar"
    ),
}
