"""Compares what every PLC saw with its own eyes with what is recorded, and names whatever differs."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mes.records.audit import audit
from tests.faults.floor import FIRST, LAST
from tests.faults.plc import FINDINGS, PASSED, Turn
from tests.faults.shift import OFFLINE_FOR_S, Shift
from tests.faults.striking import Struck

_CYCLES = """
    SELECT s.code, c.cycle, u.serial, c.verdict, m.numbers[2]::int AS ticket FROM cycle c
    JOIN station s ON s.id = c.station_id JOIN unit u ON u.id = c.unit_id LEFT JOIN measurement m ON m.cycle_id = c.id
"""
_PERMITS = """
    SELECT s.code, p.cycle, p.serial, p.granted, p.refusals, p.facts_at IS NOT NULL AS is_offline,
           extract(epoch FROM p.asked_at - p.facts_at)::float8 AS age_s
    FROM permit p JOIN station s ON s.id = p.station_id
"""
_FINDINGS = """
    SELECT s.code, c.cycle, f.code AS finding, f.facts::text AS facts
    FROM finding f JOIN cycle c ON c.id = f.cycle_id JOIN station s ON s.id = c.station_id
"""
_UNHEARD = """
    SELECT message -> 'request' ->> 'station' AS code, message -> 'request' ->> 'cycle' AS cycle
    FROM act WHERE name = 'execution.record_offline_permit' AND NOT (message ->> 'granted')::boolean
"""
# What a station that may ask is told: that the gateway knows too little; or that its work, forgotten, is recorded.
EXPECTED = {"offline", "step_passed", "already_finished"}


@dataclass
class Audit:
    """What was asked, done and recorded, and all that is wrong."""

    turns: list[Turn]
    recorded: Counter[tuple[str, str]]
    recorded_tickets: Counter[tuple[str, int | None]]
    offline: set[tuple[str, str]]
    wrong: list[str] = field(default_factory=list)

    def results(self, turns: Sequence[Turn]) -> tuple[int, int, int]:
        """Of these turns: results that must be recorded, how many are not, and how many more than once."""
        done = [turn for turn in turns if turn.ticket is not None]
        times = [self.recorded_tickets[turn.station, turn.ticket] for turn in done]
        # Its memory gone, a PLC can tell nobody what it had not told by then.
        lost = sum(time == 0 and not turn.is_forgotten for turn, time in zip(done, times, strict=True))
        return len(done), lost, sum(time > 1 for time in times)

    def unanswered(self, turns: Sequence[Turn]) -> int:
        """How many questions of these were never answered, though the PLC remembers that it asked."""
        return sum(turn.answered_at is None and not turn.is_forgotten for turn in turns)


async def audited(shift: Shift, struck: Sequence[Struck]) -> Audit:
    """Audit a shift that is over."""
    turns = [turn for plc in shift.plcs.values() for turn in plc.turns]
    async with shift.database.reading() as session:
        cycles = [dict(row) for row in await session.driver.fetch(_CYCLES)]
        permits = {(row["code"], row["cycle"]): dict(row) for row in await session.driver.fetch(_PERMITS)}
        findings = [dict(row) for row in await session.driver.fetch(_FINDINGS)]
        holds = [row["reason"] for row in await session.driver.fetch("SELECT reason FROM hold")]
        unheard = {(row["code"], row["cycle"]) for row in await session.driver.fetch(_UNHEARD)}
        laws = await audit(session)
    found = Audit(
        turns,
        Counter((row["code"], row["cycle"]) for row in cycles),
        Counter((row["code"], row["ticket"]) for row in cycles),
        {key for key, row in permits.items() if row["is_offline"]},
    )
    found.wrong += [f"law: {law}: {broken}" for law, broken in laws.items() if broken]
    found.wrong += [f"finding: {finding}" for finding in findings] + [f"hold: {reason}" for reason in holds]
    found.wrong += [f"dead letter: {path.read_text()}" for path in (shift.folder / "dead-letters").glob("*.json")]
    found.wrong += _results(turns, cycles) + _answers(turns, permits, unheard) + _stale(turns, permits, struck)
    return found


def _results(turns: Sequence[Turn], cycles: Sequence[dict[str, Any]]) -> list[str]:
    """Every result that a PLC counted is recorded once, as it was; and nothing else is."""
    wrong = []
    recorded: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in cycles:
        recorded[row["code"], row["cycle"]].append(row)
    for turn in turns:
        rows = recorded.pop((turn.station, turn.cycle), [])
        if turn.ticket is None or (turn.is_forgotten and not rows):
            wrong += [f"recorded, not done: {turn} {rows}"] if rows else []
        elif len(rows) != 1:
            wrong.append(f"{'lost' if not rows else 'doubled'}: {turn} {rows}")
        elif (rows[0]["serial"], rows[0]["ticket"], rows[0]["verdict"]) != (turn.serial, turn.ticket, "passed"):
            wrong.append(f"recorded as another: {turn} {rows[0]}")
        if turn.acked_at is not None and turn.ack != PASSED:
            wrong.append(f"acknowledged {'with findings' if turn.ack == FINDINGS else turn.ack}: {turn}")
    wrong += [f"recorded, never asked: {rows}" for rows in recorded.values()]
    tickets = Counter((row["code"], row["ticket"]) for row in cycles)
    return wrong + [f"doubled: the work {ticket}" for ticket, times in tickets.items() if times > 1]


def _answers(
    turns: Sequence[Turn], permits: dict[tuple[str, str], dict[str, Any]], unheard: set[tuple[str, str]]
) -> list[str]:
    """Every question is answered, as it is recorded; what must be refused is refused; what may be done, is done.

    A permit that never reached its gateway stays in the record beside the refusal that the station heard instead.
    """
    wrong = []
    done: dict[tuple[str, str], float] = {}  # station, serial -> since when
    for turn in sorted((one for one in turns if one.granted), key=lambda one: one.answered_at or 0):
        answered_at = turn.answered_at or 0
        if turn.station == LAST:
            if any(done.get((code, turn.serial), math.inf) > answered_at for code in FIRST):
                wrong.append(f"granted before its predecessors: {turn}")
            else:
                turn.is_legal = True  # asked for too early, it had become ready by the answer
        if not turn.is_legal:
            wrong.append(f"granted, must be refused: {turn}")
        key = (turn.station, turn.serial)
        if key in done and answered_at > done[key]:
            wrong.append(f"granted again, passed already: {turn}")
        if turn.acked_at is not None:
            done[key] = turn.acked_at
    for turn in turns:
        row = permits.get((turn.station, turn.cycle))
        if turn.answered_at is None:
            wrong += [] if turn.is_forgotten else [f"never answered: {turn}"]
        elif row and row["granted"] and not turn.granted and (turn.station, turn.cycle) in unheard:
            continue
        elif row is None or row["granted"] != turn.granted or row["serial"] != turn.serial:
            wrong.append(f"answered otherwise than recorded: {turn} {row}")
        elif turn.is_legal and not turn.granted and turn.reason not in EXPECTED:
            wrong.append(f"refused, may be done: {turn}")
    return wrong


def _stale(
    turns: Sequence[Turn], permits: dict[tuple[str, str], dict[str, Any]], struck: Sequence[Struck]
) -> list[str]:
    """No permit is given by facts beyond their age: by the gateway's own words, and by the clock of the driver."""
    offline = {key: row for key, row in permits.items() if row["is_offline"] and row["granted"]}
    wrong = [
        f"granted by facts {row['age_s']} s old: {key}" for key, row in offline.items() if row["age_s"] > OFFLINE_FOR_S
    ]
    away = [
        one for one in struck if "mes" in one.fault.targets and "clock" not in one.fault.name.replace("MES away", "")
    ]
    for turn in turns:
        if (turn.station, turn.cycle) not in offline:
            continue
        for one in away:
            if one.began_at + OFFLINE_FOR_S + 1 < turn.asked_at < one.healed_at:
                age_s = round(turn.asked_at - one.began_at, 1)
                wrong.append(f"granted {age_s} s after the MES had gone ({one.fault.name}): {json.dumps(vars(turn))}")
    return wrong
