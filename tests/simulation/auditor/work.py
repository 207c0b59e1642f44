"""Laws 3, 5 and 9: what is permitted and passed, each fact once, and no effect without a message."""

from datetime import datetime
from typing import Any

from tests.simulation.auditor.laws import Book, LawBroken, Look, message_of
from tests.simulation.auditor.rows import Cycle, Permit, Said
from tests.simulation.auditor.standing import ROUTES, Standing

ASK, TELL = "execution.request_permit", "execution.report_result"
UNASKED = {"permit_missing", "permit_refused"}


def check_order_of_work(book: Book, look: Look) -> None:
    """Law 3."""
    for permit in look.news.permits:
        _check_waivers(book, look, permit, permit.asked_at)
        if permit.granted and permit.unit_id is not None:
            _check_permit(book, look, permit)
    for cycle in look.news.cycles:
        _check_waivers(book, look, cycle, cycle.reported_at)
        _check_cycle(book, look, cycle)


def _check_permit(book: Book, look: Look, permit: Permit) -> None:
    unit, operation = permit.unit_id or 0, book.operation(permit.step_id)
    if any(d.unit_id == unit for d in look.news.dispositions) and not look.is_alone:
        return  # decided meanwhile: nobody can tell which came first
    before = {act.message["cycle"] for act in _acts_before(look, permit)}
    new = {cycle.id for cycle in look.news.cycles}
    cycles = [c for c in book.tables.cycles_of["unit", unit] if c.id not in new or c.cycle in before]
    missing = _missing(book.unit_before(unit, cycles), operation)
    if missing and not _is_waived(book, permit, "predecessor_missing"):
        raise LawBroken(3, f"{permit.serial} was permitted {operation} before {missing}")


def _acts_before(look: Look, permit: Permit) -> list[Any]:
    acts = [act for act in look.news.acts if act.name in {ASK, TELL}]
    mine = next((n for n, act in enumerate(acts) if act.name == ASK and act.message["cycle"] == permit.cycle), 0)
    return [act for act in acts[:mine] if act.name == TELL]


def _missing(stands: Standing, operation: str) -> list[str]:
    return stands.missing(operation) if operation in stands.route else [f"any step {operation}"]


def _check_cycle(book: Book, look: Look, cycle: Cycle) -> None:
    found = book.tables.findings[cycle.id]
    permit = book.tables.permits.get((cycle.station_id, cycle.cycle))
    serial = book.name(cycle.unit_id) if cycle.unit_id is not None else cycle.answer["serial"]
    is_covered = permit is not None and permit.granted and permit.serial == serial
    named = message_of(book, cycle).message["operation"]
    if permit is not None and named is not None and named != book.operation(permit.step_id):
        is_covered = False  # a permit for one step covers no other
    is_together = permit in look.news.permits and not look.is_alone
    if not is_covered and not UNASKED & set(found):
        raise LawBroken(3, f"cycle {cycle.cycle} of {serial} was not permitted, and no finding says so")
    if is_covered and not is_together and UNASKED & set(found):
        raise LawBroken(3, f"cycle {cycle.cycle} of {serial} was permitted, and a finding says it was not")
    if cycle.unit_id is None or cycle.verdict != "passed" or is_covered or "predecessor_missing" in found:
        return
    operation = book.operation(cycle.step_id)
    stands = book.unit_before(cycle.unit_id, book.tables.cycles_of["unit", cycle.unit_id], cycle.id)
    is_again = stands.route and stands.passed(operation) and not stands.route[operation].rework_of
    if (missing := _missing(stands, operation)) and not is_again and not _is_waived(book, cycle, "predecessor_missing"):
        raise LawBroken(3, f"{serial} passed {operation} before {missing}, and no finding says so")


def _is_waived(book: Book, row: Permit | Cycle, rule: str) -> bool:
    return any(book.tables.waivers[id_].rule == rule for id_ in row.waivers)


def _check_waivers(book: Book, look: Look, row: Permit | Cycle, at: str) -> None:
    """Each waiver on the record was in force for this unit, this station and this operation."""
    moment = datetime.fromisoformat(at)
    permit = book.tables.permits.get((row.station_id, row.cycle))
    # what let this work begin on this unit stands on its cycle too, whatever became of it since
    is_begun = isinstance(row, Cycle) and permit is not None and permit.granted and permit.unit_id == row.unit_id
    began_by = set(permit.waivers) if is_begun and permit is not None else set()
    for id_ in set(row.waivers) - began_by:
        waiver = book.tables.waivers.get(id_)
        if waiver is None:
            raise LawBroken(3, f"waiver {id_} is used by {row.cycle}, and was never granted")
        fits = waiver.unit_ids is None or row.unit_id in waiver.unit_ids
        fits &= waiver.station_id in {None, row.station_id}
        fits &= waiver.operation in {None, book.operation(row.step_id)}
        # work that nobody asked for is judged by when it was begun: its end is the latest that can be meant
        fits &= datetime.fromisoformat(waiver.starts_at) <= moment < datetime.fromisoformat(waiver.ends_at)
        if not fits or id_ in book.revoked:
            raise LawBroken(3, f"waiver {id_} ({waiver.rule}) was used by {row.cycle} at {at}, where it isn't in force")


def check_once(book: Book, look: Look) -> None:
    """Law 5, and a permit's answer is its row (9)."""
    tables = book.tables
    for said in look.said:
        if said.key is None or said.outcome != "answer":
            continue
        station = next((id_ for id_, code in tables.stations.items() if code == said.message["station"]), 0)
        first = next(s for s in book.sent[said.act, *said.key] if s.outcome == "answer")
        if first.answer != said.answer and station:
            raise LawBroken(5, f"{said.key} was answered {first.answer}, then {said.answer}")
        rows = tables.permits if said.act == ASK else tables.cycles
        row = rows.get((station, said.message["cycle"]))
        if row is None and station:
            raise LawBroken(5, f"{said.key} was answered, and nothing is recorded")
        if isinstance(row, Permit):
            _check_answer(row, said)
        elif isinstance(row, Cycle) and row.answer != said.answer:
            raise LawBroken(5, f"{said.key} was answered {said.answer}, and recorded is {row.answer}")


def _check_answer(permit: Permit, said: Said) -> None:
    told = (said.answer["granted"], [refusal["code"] for refusal in said.answer["refusals"]])
    if told != (permit.granted, permit.refusals) or permit.granted == bool(permit.refusals):
        raise LawBroken(9, f"permit {said.key} was answered {told}, recorded is {permit.granted} {permit.refusals}")
    if permit.granted and sorted(permit.waivers) != sorted(said.answer["waivers"]):
        raise LawBroken(9, f"permit {said.key} names waivers {said.answer['waivers']}, recorded are {permit.waivers}")


def check_effects(book: Book, look: Look) -> None:
    """Law 9: nothing is written that no message explains."""
    news = look.news
    heard = [said for said in look.said if said.outcome != "error"]
    acts = {said.act for said in heard}
    if acts <= {ASK} and not (news.is_empty and not news.was_order and not news.was_lot):
        raise LawBroken(9, f"a question had an effect: {news}")
    for row, act in [*((p, ASK) for p in news.permits), *((c, TELL) for c in news.cycles)]:
        if not any(said.outcome != "error" for said in book.told(act, row)):
            raise LawBroken(9, f"nobody sent {row}")
    new_cycles = {cycle.id for cycle in news.cycles}
    worked_on = {edge.id: edge.cycle_id for edge in news.edges}
    worked_on |= {edge.id: edge.removed_cycle_id or 0 for edge in news.closed_edges}
    for edge, cycle in worked_on.items():
        if cycle not in new_cycles:
            raise LawBroken(9, f"no new cycle fitted or took out {book.tables.edges[edge]}")
    _check_decisions(book, look, heard, new_cycles)


def _check_decisions(book: Book, look: Look, heard: list[Said], new_cycles: set[int]) -> None:
    """Holds, decisions, signatures and states: of a report of now, or of somebody who said so."""
    news = look.news
    contained = any(said.act in {"quality.contain", "execution.hold_since_check"} for said in heard)
    decided = {said.message["serial"] for said in heard if said.act in {"quality.dispose", "quality.record_retest"}}
    signers = {said.actor for said in heard if said.act.startswith("quality.release_")}
    worked = {c.unit_id for c in news.cycles} | {d.unit_id for d in news.dispositions}
    unexplained: list[Any] = [
        hold
        for hold in news.holds
        if hold.cycle_id not in new_cycles and not (contained and hold.containment_id is not None)
    ]
    lots = {said.message["lot"] for said in heard if said.act == "quality.dispose_lot"}
    lots_decided = {book.tables.lot_numbers.get(lot) for lot in lots}
    unexplained += [
        d
        for d in news.dispositions
        if d.cycle_id not in new_cycles and book.name(d.unit_id) not in decided and d.lot_id not in lots_decided
    ]
    unexplained += [signature for signature in news.signatures if signature.signed_by not in signers]
    unexplained += [f"{book.name(u)} is {book.tables.state.get(u)}" for u in news.was_state if u not in worked]
    if unexplained:
        raise LawBroken(9, f"nobody did this: {unexplained[0]}")


def reached(route: str, operation: str, intercept: str, station_operations: list[str]) -> bool:
    """Whether an operation stands at or behind an intercept; where the route hasn't got it, the station does."""
    order = list(ROUTES.get(route, {}))
    if intercept in order and operation in order:
        return order.index(operation) >= order.index(intercept)
    return intercept in station_operations
