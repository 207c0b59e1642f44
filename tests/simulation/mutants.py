"""Deliberate faults, put into the service while it runs: each must be found, else the auditor is blind to it."""

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import mes.db
from mes.execution import permits, queries, reports, rules, seen
from mes.execution.rules.progress import Progress
from mes.execution.rules.words import Reason
from mes.quality import dispositions, service
from mes.units.rules import NEXT, Event, State

Patch = tuple[Any, Any, Any]


@dataclass(frozen=True)
class Mutant:
    """A fault: what it says, and what it puts where (a module, a class or a dictionary; the name; the value)."""

    says: str
    patches: Callable[[], list[Patch]]

    @contextmanager
    def patched(self) -> Iterator[None]:
        """Make the fault as long as the block lasts."""
        with ExitStack() as undo:
            for owner, name, value in self.patches():
                is_table = isinstance(owner, dict)
                was = owner[name] if is_table else getattr(owner, name)
                put = owner.__setitem__ if is_table else lambda name, value, owner=owner: setattr(owner, name, value)
                put(name, value)
                undo.callback(put, name, was)
            yield


def _without_unit_lock() -> list[Patch]:
    def unlocked(locking: Any) -> Any:
        lots, units = locking.sql.split("units AS MATERIALIZED", 1)
        assert "FOR NO KEY UPDATE" in units
        return _saying(locking, lots + "units AS MATERIALIZED" + units.replace("FOR NO KEY UPDATE", "", 1))

    return [(queries, name, unlocked(getattr(queries, name))) for name in ("_LOCK_TO_REPORT", "_LOCK_TO_ASK")]


def _saying(prepared: Any, sql: str) -> Any:
    """The same statement in other words."""
    assert sql != prepared.sql
    other = copy.copy(prepared)
    other.sql = sql
    return other


def _one_trace() -> list[Patch]:
    containing = service.containing

    async def first(session: Any, **named: Any) -> Any:
        if "traced" not in session.__dict__:
            session.traced = await containing(session, **named)
        return session.traced

    return [(service, "containing", first)]


_is_again: ContextVar[bool] = ContextVar("is_again", default=False)


def _recorded_again() -> list[Patch]:
    see, record = reports.see_subject, reports._to_record

    async def forgetful(*args: Any) -> Any:
        found = await see(*args)
        _is_again.set(found.cycle_answer is not None)
        return replace(found, cycle_answer=None)

    def under_another_number(*args: Any) -> Any:
        recorded = record(*args)
        return recorded | ({"cycle": f"{recorded['cycle']}-2"} if _is_again.get() else {})

    return [(reports, "see_subject", forgetful), (reports, "_to_record", under_another_number)]


def _without_rule(reason: Reason) -> list[Patch]:
    return [(rules, "LIBRARY", tuple(rule for rule in rules.LIBRARY if rule.reason != reason))]


def _all_permitted() -> list[Patch]:
    judge = reports.judge_report

    def lenient(facts: Any, waivers: Any, *, cycle: str, was_permitted: bool | None) -> Any:
        return judge(facts, waivers, cycle=cycle, was_permitted=True)

    return [(reports, "judge_report", lenient)]


def _lot_once() -> list[Patch]:
    compare = reports.compare

    def forgetful(report: Any, progress: Any, about: Any, found: Any, known: Any, lots: Any, at: Any) -> Any:
        made = compare(report, progress, about, found, known, lots, at)
        made.used = {lots[used.lot].id: used.quantity for used in report.lots if used.lot in lots}
        return made

    return [(reports, "compare", forgetful)]


def _one_signature() -> list[Patch]:
    lock = service.lock_open_holds

    async def first_role(session: Any, **named: Any) -> Any:
        holds = await lock(session, **named)
        for hold in holds:
            hold.release_roles = hold.release_roles[:1]
        return holds

    return [(service, "lock_open_holds", first_role)]


def _endless_waiver() -> list[Patch]:
    endless = re.sub(r"AND \w\.ends_at > \$\d+::TIMESTAMP WITH TIME ZONE", "", seen._SEE.sql)
    return [(seen, "_SEE", _saying(seen._SEE, endless))]


def _nothing_void() -> list[Patch]:
    def stands(progress: Progress, operation: str) -> bool:
        cycles = progress.of(operation)
        return bool(cycles.ids) and bool(cycles.passed[-1]) and cycles.last > progress.reworks.get(operation, 0)

    return [(Progress, "_stands", stands)]


def _unjournaled() -> list[Patch]:
    write = mes.db._write_journal

    async def skipping(session: Any, act: Any, *message: Any) -> None:
        if act.__name__ != "dispose":
            await write(session, act, *message)

    return [(mes.db, "_write_journal", skipping)]


def _order_hold_ignored() -> list[Patch]:
    see = {module: module.see_subject for module in (reports, permits)}

    def blind(module: Any) -> Any:
        async def see_less(*args: Any) -> Any:
            found = await see[module](*args)
            return replace(found, holds=tuple(hold for hold in found.holds if hold.order_id is None))

        return see_less

    return [(module, "see_subject", blind(module)) for module in see]


async def _nowhere(*_: Any) -> None:
    """Say nothing of where a part went."""


def _late_repeat() -> list[Patch]:
    repeat = permits._repeat_permit

    def judged_anew(session: Any, message: Any, asked: Any) -> Any:
        answer = repeat(session, message, asked)
        return answer if not asked.judgement.broken else answer.model_copy(update={"granted": False})

    return [(permits, "_repeat_permit", judged_anew)]


MUTANTS: dict[str, Mutant] = {
    "no-unit-lock": Mutant("a station doesn't lock the units it names", _without_unit_lock),
    "one-trace": Mutant("a containment traces once, before its locks", _one_trace),
    "no-inheritance": Mutant("a held part passes no hold on", lambda: [(reports, "_inherited", lambda *_: [])]),
    "recorded-again": Mutant("a report sent again is recorded again", _recorded_again),
    "no-predecessors": Mutant("predecessors aren't asked for", lambda: _without_rule(Reason.PREDECESSOR_MISSING)),
    "unasked-is-fine": Mutant("a report that nobody asked for is judged as permitted", _all_permitted),
    "lot-once": Mutant("a lot named twice in a report is counted down once", _lot_once),
    "one-signature": Mutant("the first of a hold's roles releases it", _one_signature),
    "endless-waiver": Mutant("a waiver never ends", _endless_waiver),
    "nothing-void": Mutant("a rework makes nothing void", _nothing_void),
    "not-journaled": Mutant("one act isn't journaled", _unjournaled),
    "scrap-reopened": Mutant(
        "scrap can be reworked", lambda: [(NEXT, (State.SCRAPPED, Event.REOPEN), State.IN_PROCESS)]
    ),
    "order-hold-ignored": Mutant("a hold on an order stops nothing", _order_hold_ignored),
    "lost-part": Mutant("what comes out isn't decided on", lambda: [(reports, "take_out", _nowhere)]),
    "repeat-judged-anew": Mutant("a permit asked again is judged again", _late_repeat),
}
assert dispositions.NEXT is NEXT
