"""Thousands of illegal attempts over HTTP, of every kind and at random, 500 of them at once with others: none passes.

To pass is: a permit granted, an act with an effect, or a report recorded without a finding. A report is a fact and is
recorded, so it must have its finding, and its unit a hold.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mes.bench.load import Connection
from mes.db import Database
from mes.execution import rules
from mes.execution.rules.words import Reason
from mes.records.audit import audit
from tests.conftest import server_url
from tests.execution.illegal_acts import ACTS
from tests.execution.illegal_kinds import ASKER, FITTING, NAMING, PERMIT, PERMITS, REPORT, REPORTS, Attempt, Kind, World
from tests.execution.illegal_plant import NAMED, State, build_state
from tests.execution.serving import connected, post

ATTEMPTS, STREAM, AT_ONCE, BURST, LEAST = 2_000, 5, 250, 50, 12
KINDS: dict[str, Kind] = {**PERMITS, **NAMING, **FITTING, **REPORTS, **ACTS}


@pytest.fixture
async def state(database: Database) -> State:
    """Build the plant."""
    return await build_state(database)


@pytest.fixture
async def connections(state: State, database_name: str) -> AsyncIterator[list[Connection]]:
    """Serve the plant on a port, with as many connections to it as a burst needs."""
    async with connected(server_url(database_name), BURST) as opened:
        yield opened


async def refused(connection: Connection, state: State, attempt: Attempt) -> str:
    """Try; what is wrong with the answer, or nothing."""
    for body in attempt.first:
        path = REPORT if "verdict" in body else PERMIT
        status, answer = await post(connection, state.keys["station-1"], path, body)
        assert status == 200, answer
    status, answer = await post(connection, state.keys[attempt.key], attempt.path, attempt.body)
    if status != 200:
        found = [answer["code"]]
    else:
        found = [said["code"] for said in answer.get("refusals") or answer.get("findings") or []]
    is_right = found == [attempt.code] if attempt.alone else attempt.code in found
    has_passed = answer.get("granted") or answer.get("moved")
    if status == attempt.status and is_right and not has_passed:
        return ""
    return f"{attempt.path} {attempt.body}: expected {attempt.status} {attempt.code}, got {status} {answer}"


@pytest.mark.parametrize("seed", [20261124])
async def test_none_of_thousands_of_illegal_attempts_passes(
    database: Database, state: State, connections: list[Connection], seed: int
) -> None:
    world = World(state, random.Random(seed))
    before = await effects(database)
    tried: Counter[str] = Counter()
    passed: list[str] = []
    while sum(tried.values()) < ATTEMPTS:
        left = ATTEMPTS - sum(tried.values())
        size = BURST if left <= AT_ONCE else STREAM
        # a full deck of all kinds is dealt before any comes a second time
        names = [deal(world, tried) for _ in range(size)]
        attempts = [KINDS[name](world) for name in names]
        told = await asyncio.gather(*(refused(c, state, a) for c, a in zip(connections, attempts, strict=False)))
        passed += [f"{name}: {said}" for name, said in zip(names, told, strict=True) if said]
    assert not passed, f"seed {seed}, {len(passed)} passed:\n" + "\n".join(passed[:20])
    assert min(tried[name] for name in KINDS) >= LEAST, tried
    assert await effects(database) == before
    assert await unfound_reports(database) == []
    async with database.reading() as session:
        assert not any((await audit(session)).values())


def deal(world: World, tried: Counter[str]) -> str:
    """Choose among the kinds that were tried least."""
    least = min(tried[name] for name in KINDS)
    name = world.chance.choice([name for name in KINDS if tried[name] == least])
    tried[name] += 1
    return name


async def effects(database: Database) -> dict[str, Any]:
    """What no illegal attempt may change: acts other than the door's, units finished, granted by illegal asking."""
    async with database.reading() as session:
        acts = await session.driver.fetch(
            "SELECT name, count(*) FROM act WHERE name NOT IN ('execution.request_permit', 'execution.report_result')"
            " AND NOT (name = 'execution.move_stock') GROUP BY name ORDER BY name"
        )
        finished = await session.driver.fetch("SELECT serial FROM unit WHERE state = 'finished' ORDER BY serial")
        placed = await session.driver.fetchval("SELECT count(*) FROM unit WHERE location IS NOT NULL")
        lots = await session.driver.fetch("SELECT number, state FROM lot ORDER BY number")
    return {"acts": list(map(tuple, acts)), "finished": finished, "placed": placed, "lots": lots}


async def unfound_reports(database: Database) -> list[Any]:
    """Cycles of illegal reports that lack a finding, a hold of their own, or the hold of the held part they fitted."""
    async with database.reading() as session:
        rows = await session.driver.fetch(
            """
            SELECT c.id, c.cycle, array_agg(f.code) AS codes FROM cycle c LEFT JOIN finding f ON f.cycle_id = c.id
            WHERE c.asker = $1 GROUP BY c.id HAVING count(f.id) = 0
               OR NOT EXISTS (SELECT FROM hold h WHERE h.cycle_id = c.id AND h.unit_id = c.unit_id
                              AND h.inherited_from IS NULL AND h.released_at IS NULL)
               OR 'component_on_hold' = ANY(array_agg(f.code)) AND NOT EXISTS (
                   SELECT FROM hold h WHERE h.cycle_id = c.id AND h.unit_id = c.unit_id
                                   AND h.inherited_from IS NOT NULL)
            """,
            ASKER,
        )
        assert await session.driver.fetchval("SELECT count(*) FROM cycle WHERE asker = $1", ASKER)
    return list(rows)


async def test_the_same_is_granted_when_it_is_as_it_should_be(state: State, connections: list[Connection]) -> None:
    """So each attempt is refused for its own reason, and not because nothing would be granted here."""
    pools = state.pools
    still, cell = pools["still"][0], pools["named"][0]
    legal: list[dict[str, Any]] = [
        *(
            {"station": f"S-{operation}"}
            for operation in ("010", "012", "015", "200", "400", "500", "600", "700", "900")
        ),
        {"station": "S-010", "components": [{"part": "CELL", "serial": cell, "position": 1}]},
        {"station": "S-010", "components": [{"part": "CELL-B", "serial": pools["cell b"][0], "position": 2}]},
        {"station": "S-012", "lots": ["GLUE-OK", "RESIN-OK"]},
        {"station": "S-015", "components": [{"part": "SUB", "serial": pools["sub"][0], "position": 1}]},
        {"station": "S-100", **NAMED},
        {"station": "S-110", "recipe_digest": state.recipe},
        {"station": "S-120", "program_revision": "P7"},
        {"station": "S-CAL", "tool": "GAUGE"},
        {"station": "S-210", "serial": pools["did 200"][0]},
        {"station": "S-410", "serial": pools["failed 400"][0]},
        {"station": "S-200", "serial": pools["intercepted"][0]},
        {"station": "S-600", "serial": pools["not to ship"][0]},
        {"station": "S-600", "serial": pools["not to move"][0]},
    ]
    for body in legal:
        status, answer = await post(connections[0], state.keys["root"], "/api/station/why", {"serial": still} | body)
        assert (status, answer["granted"]) == (200, True), (body, answer)


async def test_each_rule_taken_away_lets_its_attempts_pass(
    state: State, connections: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempts can tell: without its rule each would pass, or be stopped by another alone. None is forgotten."""
    world, whole = World(state, random.Random(7)), rules.LIBRARY
    kinds = [kind for name, kind in KINDS.items() if name not in ACTS]
    for rule in whole:
        monkeypatch.setattr(rules, "LIBRARY", tuple(other for other in whole if other is not rule))
        mine = [attempt for kind in kinds if (attempt := kind(world)).code == rule.reason]
        assert mine, f"nothing tries to break {rule.reason}: add a kind"
        for attempt in mine:
            assert await refused(connections[0], state, attempt), (rule.reason, attempt)


OTHERWISE: dict[str, tuple[str, dict[str, Any], dict[str, Any], Reason]] = {
    "program": ("S-120", {"program_revision": "P7"}, {"program_revision": "P6"}, Reason.PROGRAM_WRONG),
    "recipe": ("S-110", {}, {"recipe_digest": "0" * 64}, Reason.RECIPE_WRONG),
    "person": ("S-100", NAMED, {"operator": "dora"}, Reason.NOT_CERTIFIED),
    "tool": ("S-CAL", {"tool": "GAUGE"}, {"tool": "WRENCH"}, Reason.CALIBRATION_DUE),
}


async def test_what_is_reported_otherwise_than_it_was_asked_is_found(
    state: State, connections: list[Connection]
) -> None:
    world, missed = World(state, random.Random(0)), []
    for what, (station, said, done, code) in OTHERWISE.items():
        right = {"recipe_digest": state.recipe} if what == "recipe" else {}
        asked = world.asking(station, world.take("fresh")) | said | right
        attempt = Attempt(REPORT, world.report_of(asked) | done, code, first=[asked])
        missed += [what] if await refused(connections[0], state, attempt) else []
    assert missed == []


async def test_a_step_is_not_passed_twice_by_two_permits(state: State, connections: list[Connection]) -> None:
    world = World(state, random.Random(0))
    serial = world.take("fresh")
    one, other = world.asking("S-200", serial), world.asking("S-200", serial)
    attempt = Attempt(REPORT, world.report_of(other), Reason.STEP_PASSED, first=[one, other, world.report_of(one)])
    assert not await refused(connections[0], state, attempt)
