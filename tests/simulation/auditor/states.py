"""Law 6: the ledgers add up to the states of units, orders and lots."""

from collections import Counter

from tests.simulation.auditor.laws import Book, LawBroken, Look
from tests.simulation.auditor.rows import Lot, Order

# where an order may go in one step of whatever happens to it
ARROWS: dict[str, set[str]] = {
    "created": {"released", "cancelled"},
    "released": {"started", "on_hold", "cancelled", "completed"},
    "started": {"on_hold", "completed"},
    "on_hold": {"released", "completed"},
    "completed": {"closed", "started"},
    "closed": set(),
    "cancelled": set(),
}
DECIDED = {"release": "released", "reject": "rejected"}
OPEN = {"released", "started", "on_hold"}


def check_states(book: Book, look: Look) -> None:
    """Law 6."""
    tables, news = book.tables, look.news
    worked = {c.unit_id for c in news.cycles if c.unit_id is not None} | {
        d.unit_id for d in news.dispositions if d.unit_id is not None
    }
    for unit_id in {*worked, *news.was_state, *(unit.id for unit in news.units)}:
        if (state := book.unit(unit_id).state) != tables.state[unit_id]:
            raise LawBroken(6, f"{book.name(unit_id)} is {tables.state[unit_id]}; by its history it is {state}")
    if news.was_state or news.was_order or news.is_first:
        _check_orders(book, look)
    for lot in tables.lots.values():
        _check_lot(book, look, lot)
    for unit_id, was in look.lots_before.items():
        if was is not None and tables.lot_of.get(unit_id) != was:
            raise LawBroken(6, f"{book.name(unit_id)} came with lot {was} and is of lot {tables.lot_of.get(unit_id)}")


def _check_orders(book: Book, look: Look) -> None:
    tables = book.tables
    finished = Counter(
        (unit.order_id, unit.part_id) for unit in tables.units.values() if tables.state[unit.id] == "finished"
    )
    for order in tables.orders.values():
        count = finished[order.id, order.part_id]
        if order.finished != count:
            raise LawBroken(6, f"order {order.number} counts {order.finished} finished, and {count} are")
        if order.finished >= order.quantity and order.state in OPEN:
            raise LawBroken(6, f"order {order.number} has all {order.quantity} finished, and is {order.state}")
    for id_, was in look.news.was_order.items():
        _check_moved(look, was, tables.orders[id_])


def _check_moved(look: Look, was: Order, now: Order) -> None:
    reach = {was.state}
    for _ in range(2 * len(look.said)):
        reach |= {following for state in reach for following in ARROWS[state]}
    if now.state not in reach:
        raise LawBroken(6, f"order {now.number} went from {was.state} to {now.state}")
    asked = any(said.message.get("event") == "complete" for said in look.said)
    if look.is_alone and now.state == "completed" != was.state and not asked and now.finished != now.quantity:
        raise LawBroken(6, f"order {now.number} is completed with {now.finished} of {now.quantity}")


def _check_lot(book: Book, look: Look, lot: Lot) -> None:
    state = book.lot_states.get(lot.id, "quarantined" if lot.revision_id is not None else "released")
    inspected = [cycle for cycle in look.news.cycles if cycle.lot_id == lot.id]
    decided = [decision for decision in look.news.dispositions if decision.lot_id == lot.id]
    for cycle in inspected:
        is_clean = cycle.verdict == "passed" and not book.tables.findings[cycle.id]
        if state != "rejected":
            state = "released" if is_clean else "quarantined"
    for decision in decided:
        state = DECIDED[decision.decision]
    if lot.state != state and not (inspected and decided):  # which came first, nobody can tell
        raise LawBroken(6, f"lot {lot.number} is {lot.state}; by its inspections it is {state}")
    book.lot_states[lot.id] = lot.state
