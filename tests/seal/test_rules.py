"""When a number is settled, how runs are cut, which row of a part doesn't fit."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes.seal.rules import LOWEST, PART_IDS, Part, Settling, cut, first_difference


def test_a_number_is_settled_when_all_have_ended_who_could_have_a_lower_one() -> None:
    settling = Settling()
    assert settling.look({"s": 5}, {"s": {"a", "b"}}) == {"s": 0}
    assert settling.look({"s": 9}, {"s": {"b", "c"}}) == {}
    assert settling.look({"s": 12}, {"s": {"c", "d"}}) == {"s": 5}  # c came later: it drew 6 or more
    assert settling.look({"s": 12}, {"s": {"e"}}) == {"s": 12}
    assert settling.look({"s": 14}, {}) == {"s": 14}


@given(st.integers(0, 2**32))
def test_whatever_the_order_nothing_settled_comes_later(seed: int) -> None:
    """Transactions draw, wait and end at random; the look reads the sequence first, and who holds it somewhat later."""
    chance, settling = random.Random(seed), Settling()
    last, done, drawn = 0, 0, {}
    noted = None
    for n in range(60):
        match chance.randrange(4):
            case 0 | 1:
                last += 1
                drawn.setdefault(chance.choice((f"t{n}", *drawn)), []).append(last)
            case 2 if drawn:
                numbers = drawn.pop(chance.choice(list(drawn)))
                assert min(numbers) > done, "came after it was settled"
            case 3:
                if noted is None:
                    noted = last
                else:
                    done = max(done, settling.look({"s": noted}, {"s": frozenset(drawn)}).get("s", 0))
                    noted = None


@pytest.mark.parametrize(
    ("sealed", "upto", "most", "runs"),
    [
        (None, 0, 100, []),
        (None, 3, 100, [(LOWEST, 3)]),
        (3, 3, 100, []),
        (3, 2, 100, []),
        (3, 300, 1000, [(4, 3 + PART_IDS), (4 + PART_IDS, 300)]),
        (3, 300, 10, [(4, 13)]),
    ],
)
def test_runs_follow_on_one_another(sealed: int | None, upto: int, most: int, runs: list[tuple[int, int]]) -> None:
    assert list(cut(sealed, upto, most)) == runs


def mark(key: int, what: str = "") -> bytes:
    return bytes([20 - key]) + (f"{key}{what}".encode() * 4)[:4]


PART = Part(1, 1, LOWEST, 20, 4, b"", b"".join(map(mark, (3, 7, 8, 20))))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({3: "", 7: "x", 8: "", 20: ""}, ("changed", 7)),
        ({3: "", 8: "", 20: ""}, ("missing", 7)),
        ({3: "", 7: "", 8: "", 9: "", 20: ""}, ("added", 9)),
        ({-300: "", 3: "", 7: "", 8: "", 20: ""}, ("added", -300)),
        ({3: "", 7: "", 8: "", 20: ""}, ("changed", None)),
    ],
)
def test_the_first_row_that_does_not_fit(now: dict[int, str], expected: tuple[str, int | None]) -> None:
    marks = b"".join(mark(key, what) if key > 0 else b"12345" for key, what in now.items())
    assert first_difference(PART, list(now), marks) == expected
