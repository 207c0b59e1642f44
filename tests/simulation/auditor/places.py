"""Laws 1 and 2: where parts are, and what is left of lots."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from tests.simulation.auditor.laws import Book, LawBroken, Look, message_of
from tests.simulation.auditor.rows import Cycle, Edge, Said


def check_places(book: Book, look: Look) -> None:
    """Law 1."""
    tables, news = book.tables, look.news
    if lost := [unit for unit in tables.units if unit not in tables.state]:
        raise LawBroken(1, f"units are gone: {[book.name(unit) for unit in lost]}")
    touched = [*news.edges, *news.closed_edges]
    for child in {edge.child_id for edge in touched if edge.child_id is not None}:
        _check_history(book, child)
    for place in {(e.parent_id, e.part_id, e.position) for e in news.edges if e.position is not None}:
        _check_position(book, place)
    for parent in {edge.parent_id for edge in touched}:
        held = [tables.edges[id_] for id_ in tables.inside[parent] if tables.edges[id_].child_id is not None]
        doubled = [place for place, n in Counter((edge.part_id, edge.position) for edge in held).items() if n > 1]
        if doubled:
            raise LawBroken(1, f"positions of {book.name(parent)} hold two units: {doubled}")
        if parent in tables.above(parent):
            raise LawBroken(1, f"{book.name(parent)} is inside itself")
    for edge in news.closed_edges:
        decided = tables.dispositions_of[edge.child_id or 0]
        if not any(d.cycle_id == edge.removed_cycle_id for d in decided):
            raise LawBroken(1, f"{book.name(edge.child_id)} came out, and nobody knows where it went")
    for cycle in news.cycles:
        if cycle.unit_id is not None:
            _check_fitted(book, cycle, message_of(book, cycle))


def _check_history(book: Book, child: int) -> None:
    places = [book.tables.edges[id_] for id_ in book.tables.places_of[child]]
    if len([edge for edge in places if edge.removed_at is None]) > 1:
        raise LawBroken(1, f"{book.name(child)} is in two places: {[book.name(e.parent_id) for e in places]}")
    until = None
    for edge in places:
        since = datetime.fromisoformat(edge.installed_at)
        if until is not None and since < until:
            raise LawBroken(1, f"{book.name(child)} was in two places at {edge.installed_at}: {_shown(book, places)}")
        until = datetime.fromisoformat(edge.removed_at) if edge.removed_at else until
        if until is not None and edge.removed_at and until < since:
            raise LawBroken(1, f"{book.name(child)} came out before it went in: {_shown(book, places)}")


def _check_position(book: Book, place: tuple[int, int, int]) -> None:
    """A position held one unit at a time."""
    tables = book.tables
    held = [tables.edges[id_] for id_ in tables.edges_at[place]]
    for before, after in pairwise(held):
        if before.removed_at is None or after.installed_at < before.removed_at:
            raise LawBroken(1, f"position {place[2]} of {book.name(place[0])} held two units: {before}, {after}")


def _shown(book: Book, places: Iterable[Edge]) -> list[str]:
    return [f"{book.name(e.parent_id)} {e.installed_at} - {e.removed_at}" for e in places]


def _check_fitted(book: Book, cycle: Cycle, said: Said) -> None:
    """What was reported as fitted and taken out is where the report says, or a finding says why not."""
    tables, found = book.tables, book.tables.findings[cycle.id]
    edges = [tables.edges[id_] for id_ in tables.edges_of_cycle[cycle.id]]
    at = {(book.name(e.child_id), e.position) for e in edges if e.child_id is not None}
    named = {(c["serial"], c["position"]) for c in said.message["components"]}
    if at - named or any(edge.parent_id != cycle.unit_id for edge in edges):
        raise LawBroken(1, f"cycle {cycle.cycle} fitted what it did not name: {at - named}")
    not_fitted = found.get("component_elsewhere", "") + found.get("position_taken", "")
    for serial, position in named:
        if serial not in tables.by_serial:
            raise LawBroken(1, f"{serial} was reported as fitted and nobody knows it")
        if (serial, position) not in at and f"{serial} at {position}" not in not_fitted:
            raise LawBroken(1, f"{serial} was reported as fitted at {position} and isn't recorded there")
    out = {e.child_id for e in tables.edges.values() if e.removed_cycle_id == cycle.id}
    removals = [r["serial"] for r in said.message["removals"]]
    if wrong := {book.name(child) for child in out} - set(removals):
        raise LawBroken(1, f"cycle {cycle.cycle} took out what it did not name: {wrong}")
    for serial in removals:
        child = tables.by_serial.get(serial)
        if child in out:
            continue
        stays = tables.parent.get(child or 0)
        still = stays is not None and tables.edges[stays].parent_id == cycle.unit_id
        if "removal_unknown" not in found or (still and tables.edges[stays or 0].cycle_id < cycle.id):
            raise LawBroken(1, f"{serial} was reported as taken out of {said.message['serial']}, and is still inside")


class Lots:
    """Law 2: what was used up of each lot, by the messages heard of."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.by_messages: dict[str, Decimal] = {}
        self.by_edges: dict[int, Decimal] = {}

    def begin(self, book: Book) -> None:
        """Take the lots as they are found."""
        self.known = set(book.tables.lot_numbers)
        for edge in book.tables.edges.values():
            self._use(edge)
        self.by_messages = {lot.number: self.by_edges.get(lot.id, Decimal(0)) for lot in book.tables.lots.values()}

    def _use(self, edge: Edge) -> None:
        if edge.child_id is None and edge.lot_id is not None:
            self.by_edges[edge.lot_id] = self.by_edges.get(edge.lot_id, Decimal(0)) + Decimal(edge.quantity)

    def check(self, book: Book, look: Look) -> None:
        """Compare the tables with the messages."""
        tables = book.tables
        for cycle in look.news.cycles:
            if cycle.unit_id is None:
                continue
            recorded = {tables.edges[id_].lot_id for id_ in tables.edges_of_cycle[cycle.id]}
            for used in message_of(book, cycle).message["lots"]:
                lot = used["lot"]
                # received in the same step: whichever came first, the edge says it
                if lot in self.known or tables.lot_numbers.get(lot) in recorded:
                    self.by_messages[lot] = self.by_messages.get(lot, Decimal(0)) + Decimal(used["quantity"])
        for edge in look.news.edges:
            self._use(edge)
        for lot in tables.lots.values():
            left, came = Decimal(lot.quantity_left), Decimal(lot.quantity)
            by_edges, by_messages = self.by_edges.get(lot.id, Decimal(0)), self.by_messages.get(lot.number, Decimal(0))
            if not left == came - by_edges == came - by_messages:
                seen = f"{came} came in, {left} is left, {by_edges} used by the tables, {by_messages} by the messages"
                raise LawBroken(2, f"lot {lot.number}: {seen}")
        self.known = set(tables.lot_numbers)
