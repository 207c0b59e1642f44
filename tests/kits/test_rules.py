"""What a kit is once something was fitted: no cell is lost, none is there twice."""

from hypothesis import given
from hypothesis import strategies as st

from mes.kits.rules import placed


@given(st.permutations(range(8)), st.sets(st.integers(1, 6)), st.lists(st.integers(0, 9), unique=True, max_size=6))
def test_a_cell_sits_where_it_was_fitted_and_no_other_is_lost(
    order: list[int], gone: set[int], cells: list[int]
) -> None:
    kit = {position: cell for position, cell in enumerate(order[:6], start=1) if position not in gone}
    fitted = dict(zip(range(1, 7), cells, strict=False))
    after = placed(kit, fitted)
    assert fitted.items() <= after.items()
    assert len(set(after.values())) == len(after)
    lost = set(kit.values()) - set(after.values())
    strangers = set(cells) - set(kit.values())
    assert len(lost) <= len(strangers), "only a stranger puts a cell of the kit out of it"


def test_places_are_exchanged_in_a_ring() -> None:
    kit = {1: 10, 2: 20, 3: 30}
    assert placed(kit, {1: 20}) == {1: 20, 2: 10, 3: 30}
    assert placed(kit, {1: 20, 2: 30}) == {1: 20, 2: 30, 3: 10}
    assert placed(kit, {1: 20, 2: 30, 3: 10}) == {1: 20, 2: 30, 3: 10}
    assert placed(kit, {1: 99, 2: 10}) == {1: 99, 2: 10, 3: 30}
