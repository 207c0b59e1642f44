"""What waits for the MES, and what is set aside."""

from pathlib import Path

from plc_adapters.dead_letters import DeadLetters, read_letter
from plc_adapters.port import Problem, Reported, Turn
from plc_adapters.waiting import Entry, Waiting
from tests.plc_adapters.test_keeping import done


def test_no_letter_replaces_another(tmp_path: Path) -> None:
    letters, problem = DeadLetters(tmp_path), Problem(422, "Unknown", "what is this")
    one, other = done("ST-20", "M00001", "1"), done("ST-20", "M00002", "2")
    for report in (one, other, one, other):  # a spool begun anew counts from one again
        letters.keep(Reported(Turn("spool", 1), report), problem)
    assert [read_letter(path).cycle for path in letters.paths()] == ["1", "2"]


def test_what_waits_is_found_without_a_search() -> None:
    entries = [Entry(n, "result", f"ST-{n % 3}", str(n), frozenset({f"U{n // 2}"})) for n in range(1, 8)]
    waiting = Waiting(entries)
    assert [one.id for one in waiting.oldest_first({"U1"}, 100)] == [1, 4, 6]
    assert (waiting.count("ST-1"), waiting.holds({"U0"}), waiting.holds({"U9"})) == (3, True, False)
    for entry in entries[:3]:
        waiting.discard(entry)
        waiting.discard(entry)
    assert (waiting.count("ST-1"), waiting.holds({"U0"}), len(waiting)) == (2, False, 4)
    assert sorted(waiting.keys("result")) == ["ST-0/6", "ST-1/4", "ST-1/7", "ST-2/5"]
    assert not waiting.keys("permit")
