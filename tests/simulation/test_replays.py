"""Shortest replays of what the simulation found: none of them may break a law again."""

from typing import Any

import pytest

from tests.simulation.run import replay
from tests.simulation.server import make_template, stage
from tests.simulation.shift import Action

PLC, QUALITY, CLERK = ["plc", "station"], ["quinn", "quality"], ["otto", "operator"]
PEOPLE = {"operator": "ann", "second_operator": "bob"}


def action(number: int, do: str, by: list[str], **m: Any) -> Action:
    return {"n": number, "do": do, "by": by, "s": 1, "m": m}


def ask(number: int, station: str, serial: str, cycle: str, **more: Any) -> Action:
    return action(number, "permit", PLC, station=station, serial=serial, cycle=cycle, asker="sim", **more)


def tell(number: int, station: str, serial: str, cycle: str, **more: Any) -> Action:
    times = {"started_at": {"in_min": -1}, "ended_at": {"in_min": 0}}
    done = {"verdict": "passed", "values": {"ok": [True]}, **times} | more
    return action(number, "report", PLC, station=station, serial=serial, cycle=cycle, asker="sim", **done)


def waive(number: int, rule: str, serial: str) -> Action:
    until = {"in_min": 60}
    return action(number, "grant", QUALITY, rule=rule, serials=[serial], ends_at=until, reason=f"waiver {number}")


def fit(serial: str, position: int = 1) -> list[dict[str, Any]]:
    return [{"part": "CELL", "serial": serial, "position": position}]


BACK: Action = {"n": 90, "do": "clock", "minutes": -45}
CELL = "C2-32"  # the last one: nobody has fitted it before the shift
RECEIPT = {"lot": "LATE", "part": "CELL", "supplier": "A", "supplier_lot": "S", "country": "CN", "date_code": "X"}
REPLAYS: dict[str, list[Action]] = {
    "a refused permit asked again names its reasons in the same order": [
        ask(1, "W-50", "M00013", "c1", operation="50", lots=["NOLOT"], components=fit("NOBODY")),
        {"n": 2, "do": "again", "of": 1, "s": 1},
    ],
    "a refused permit asked again names its waivers too": [
        waive(1, "predecessor_missing", "M00013"),
        ask(2, "W-50", "M00013", "c2", operation="50", components=fit("NOBODY")),
        {"n": 3, "do": "again", "of": 2, "s": 1},
    ],
    "a part is never in two places, though the clock was set back": [
        tell(1, "W-10A", "M00013", "c1", components=fit(CELL)),
        tell(2, "W-10A", "M00013", "c2", removals=[{"serial": CELL, "to": "stock"}]),
        BACK,
        tell(3, "W-10A", "M00012", "c3", components=fit(CELL)),
    ],
    "a waiver for one unit is not used by another under the same number": [
        waive(1, "predecessor_missing", "M00013"),
        ask(2, "W-50", "M00013", "c2", operation="50", **PEOPLE),
        tell(3, "W-50", "M00012", "c2", operation="50", **PEOPLE),
    ],
    "a lot that its own report puts on hold takes along what it is used in": [
        tell(1, "W-21", "M00010", "c1", operation="21", lots=[{"lot": "G1", "quantity": "1"}], verdict="failed"),
        tell(2, "W-05", "G1", "c2", operation="05"),
    ],
}


@pytest.mark.parametrize("says", REPLAYS)
async def test_what_was_found_is_mended(says: str) -> None:
    await make_template()
    async with stage() as set_stage:
        broken = await replay(set_stage, REPLAYS[says])
        assert broken is None, broken.seen


async def test_a_late_lot_is_contained_though_the_clock_was_set_back() -> None:
    await make_template()
    actions = [
        tell(1, "W-10A", "M00013", "c1", components=fit("U1")),
        BACK,
        action(3, "receive_units", CLERK, **RECEIPT, rows=[["U1", "K", "D"]]),
        action(4, "contain", QUALITY, lot="LATE", reason="hold 4"),
    ]
    async with stage() as set_stage:
        broken = await replay(set_stage, actions)
        assert broken is None, broken.seen
