"""Laws 4 and 8: what a held part is in is held; who releases; scrap and what came out."""

from collections.abc import Iterable

from tests.simulation.auditor.laws import Book, LawBroken, Look
from tests.simulation.auditor.rows import Edge, Hold, Permit
from tests.simulation.auditor.work import reached

Cause = tuple[str, int]
STATIONS_DO: dict[str, list[str]] = {
    "W-21": ["21", "22"],
    "W-40": ["40", "41"],
    "W-40B": ["40", "41"],
    "W-70": ["70", "71"],
}


def check_holds(book: Book, look: Look) -> None:
    """Law 4."""
    steady = look.held_before & book.tables.open_holds
    for edge in look.news.edges:
        _check_inherited(book, edge, steady)
    if look.news.edges or look.news.holds or look.news.closed_holds or look.news.units:
        _check_containers(book)
    for permit in look.news.permits:
        if permit.granted:
            _check_permit(book, permit, steady)


def _on(book: Book, hold: Hold, unit_id: int | None, lot_id: int | None) -> bool:
    """Whether a hold is on a unit (itself, its order) or a lot."""
    if unit_id is not None:
        order = book.tables.units[unit_id].order_id
        if hold.unit_id == unit_id or (hold.order_id is not None and hold.order_id == order):
            return True
    return lot_id is not None and hold.lot_id == lot_id


def _check_inherited(book: Book, edge: Edge, steady: Iterable[int]) -> None:
    """Whatever was held when it was fitted passed its hold on, all the way up."""
    tables = book.tables
    lot = edge.lot_id
    for hold in (tables.holds[id_] for id_ in steady):
        if not _on(book, hold, edge.child_id, lot):
            continue
        owed = [edge.parent_id] if edge.removed_at else [edge.parent_id, *tables.above(edge.parent_id)]
        for unit_id in owed:
            passed_on = (h for h in tables.holds.values() if h.inherited_from == hold.id and h.unit_id == unit_id)
            if not any(h.cycle_id == edge.cycle_id for h in passed_on):
                what = book.name(edge.child_id) if edge.child_id else f"lot {tables.lots[edge.lot_id or 0].number}"
                raise LawBroken(4, f"{what} is on hold {hold.id}, and {book.name(unit_id)} did not inherit it")


def _root(book: Book, hold: Hold) -> Cause:
    if hold.containment_id is not None:
        return "containment", hold.containment_id
    while hold.inherited_from is not None:
        hold = book.tables.holds[hold.inherited_from]
    # what a report broke holds the unit and all it is in at once: the cycle is what they share
    return "cycle", hold.cycle_id or 0


def _check_containers(book: Book) -> None:
    """Every unit around a held unit, or with anything of a held lot, is held for the same cause, or was released."""
    tables = book.tables
    held: dict[tuple[int, Cause], bool] = {}  # unit and cause -> whether a hold is open
    orders: set[tuple[int, Cause]] = set()
    for hold in tables.holds.values():
        cause = _root(book, hold)
        if hold.unit_id is not None:
            held[hold.unit_id, cause] = held.get((hold.unit_id, cause), False) or hold.released_at is None
        elif hold.order_id is not None:
            orders.add((hold.order_id, cause))
    for hold in (tables.holds[id_] for id_ in tables.open_holds):
        cause = _root(book, hold)
        for unit_id in _around(book, hold):
            for above in [unit_id, *tables.above(unit_id)]:
                is_held = held.get((above, cause))
                if is_held is None and (tables.units[above].order_id, cause) not in orders:
                    raise LawBroken(4, f"{book.name(above)} contains what hold {hold.id} is on, and isn't held: {hold}")
                if is_held is False:
                    break  # whoever released it here has decided that it goes no further


def _around(book: Book, hold: Hold) -> set[int]:
    """The units that hold it directly: what a unit is in, or what a lot's or an order's units are in."""
    tables = book.tables
    if hold.unit_id is not None:
        inside = [hold.unit_id]
    elif hold.lot_id is not None:
        inside = [unit for unit, lot in tables.lot_of.items() if lot == hold.lot_id]
    else:
        inside = [unit.id for unit in tables.units.values() if unit.order_id == hold.order_id]
    around = {tables.edges[tables.parent[unit]].parent_id for unit in inside if unit in tables.parent}
    if hold.lot_id is not None:
        around |= {e.parent_id for e in tables.edges.values() if e.lot_id == hold.lot_id and e.removed_at is None}
    return around


def _check_permit(book: Book, permit: Permit, steady: Iterable[int]) -> None:
    """No permit under a hold that stops consuming here, or shipping where the unit leaves."""
    operation, station = book.operation(permit.step_id), book.tables.stations[permit.station_id]
    part = _part(book, permit)
    for hold in (book.tables.holds[id_] for id_ in steady):
        if not _on(book, hold, permit.unit_id, permit.lot_id):
            continue
        does = STATIONS_DO.get(station, [operation])
        stopped = "consume" in hold.stops
        stopped &= hold.at_operation is None or reached(part, operation, hold.at_operation, does)
        step = book.unit(permit.unit_id).route.get(operation) if permit.unit_id is not None else None
        stopped |= "ship" in hold.stops and step is not None and step.ships
        if stopped:
            raise LawBroken(4, f"{permit.serial} was permitted {operation} under hold {hold}")


def _part(book: Book, permit: Permit) -> str:
    if permit.unit_id is not None:
        return book.tables.parts[book.tables.units[permit.unit_id].part_id]
    return book.tables.parts[book.tables.lots[permit.lot_id].part_id] if permit.lot_id is not None else ""


def check_signatures(book: Book, look: Look) -> None:
    """Law 8, of holds."""
    tables = book.tables
    touched = {hold.id for hold in [*look.news.holds, *look.news.closed_holds]}
    touched |= {signature.hold_id for signature in look.news.signatures}
    for hold in (tables.holds[id_] for id_ in touched):
        signed, owed = tables.signed[hold.id], set(hold.release_roles)
        if set(signed) - owed or len(set(signed.values())) < len(signed):
            raise LawBroken(8, f"hold {hold.id} owes {sorted(owed)}, and was signed by {signed}")
        if (set(signed) == owed) != (hold.released_at is not None):
            how = "is closed" if hold.released_at else "is open"
            raise LawBroken(8, f"hold {hold.id} owes {sorted(owed)}, was signed by {signed}, and {how}")


def check_scrap(book: Book, look: Look) -> None:
    """Law 8, of scrap and of what came out."""
    tables, news = book.tables, look.news
    for unit_id, was in news.was_state.items():
        if was == "scrapped":
            raise LawBroken(8, f"{book.name(unit_id)} was scrap, and is {tables.state.get(unit_id)}")
    for permit in news.permits:
        # what changed in this very step may have been otherwise when it was asked
        state = tables.state[permit.unit_id] if permit.unit_id not in {None, *news.was_state} else ""
        if permit.granted and state in {"scrapped", "removed"}:
            raise LawBroken(8, f"{permit.serial} is {state}, and was permitted")
    for edge in news.edges:
        if edge.child_id is None:
            continue
        found = tables.findings[edge.cycle_id]
        out = any(e.child_id == edge.child_id and e.removed_cycle_id == edge.cycle_id for e in news.closed_edges)
        state = None if edge.child_id in news.was_state else tables.state[edge.child_id]
        if (state == "removed" or out) and not {"component_untested", "component_scrapped"} & set(found):
            raise LawBroken(8, f"{book.name(edge.child_id)} was fitted without its re-test, and no finding says so")
        if state == "scrapped" and "component_scrapped" not in found:
            raise LawBroken(8, f"{book.name(edge.child_id)} is scrap and was fitted, and no finding says so")
