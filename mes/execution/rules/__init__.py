"""What a station may do, decided by facts alone: a library of small named rules.

A permit may be refused; a fact may not. So the same rules speak twice: as the reasons of a refusal before the work, and
as the findings of a report after it. A rule answers None when the step doesn't ask for it, "" when it is kept, and
what broke it otherwise. Every rule of `LIBRARY` judges every permit; nothing switches one off, a waiver lets a named
unit by.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mes.execution.rules import equipment, material, route
from mes.execution.rules.facts import Facts
from mes.execution.rules.rule import Rule
from mes.execution.rules.words import WORDS, Reason, Said

__all__ = ["LIBRARY", "Facts", "Judgement", "Reason", "Rule", "Said", "WaiverSeen", "judge", "judge_report", "waivable"]

LIBRARY: tuple[Rule, ...] = tuple(
    sorted((*route.RULES, *equipment.RULES, *material.RULES), key=lambda rule: list(Reason).index(rule.reason))
)


@dataclass(frozen=True, slots=True)
class WaiverSeen:
    """A waiver in force for the unit or the window; None: whatever the station or operation. `ends_at`: of one that is
    kept to be asked later."""

    id: int
    rule: str
    station: str | None
    operation: str | None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What every rule that the step asks for said: `broken` gravest first; `verdicts` as they are stored."""

    broken: list[Said] = field(default_factory=list)
    waived: list[int] = field(default_factory=list)
    verdicts: dict[str, tuple[int, str]] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)  # what broke each rule, waived or not, as it is stored


def waivable() -> Mapping[Reason, frozenset[str]]:
    """The rules that may be waived, and the roles that may; the others are laws."""
    return {rule.reason: rule.waived_by for rule in LIBRARY if rule.waived_by}


def judge(facts: Facts, waivers: Iterable[WaiverSeen] = (), *, is_begun: bool = False) -> Judgement:
    """Ask every rule. Work begun under a permit (`is_begun`) is judged by what the permit doesn't cover alone."""
    judgement = Judgement()
    in_force = list(waivers)
    for rule in LIBRARY:
        if is_begun and rule.is_covered:
            continue
        detail = rule.judge(facts)
        if detail is None:
            continue
        waiver = _waiver(rule, facts, in_force) if detail else None
        word = "kept" if not detail else "waived" if waiver is not None else "broken"
        judgement.verdicts[rule.reason.value] = (rule.version, word)
        if detail:
            judgement.details[rule.reason.value] = detail
        if waiver is not None:
            judgement.waived.append(waiver)
        elif detail:
            judgement.broken.append(Said(rule.reason, rule.version, detail, facts.text))
    return judgement


def _waiver(rule: Rule, facts: Facts, waivers: Iterable[WaiverSeen]) -> int | None:
    operation = facts.progress.step.operation if facts.progress.step else None
    for waiver in waivers:
        fits = waiver.station in {None, facts.station.code} and waiver.operation in {None, operation}
        if rule.waived_by and waiver.rule == rule.reason and fits:
            return waiver.id
    return None


def judge_report(facts: Facts, waivers: Iterable[WaiverSeen], *, cycle: str, was_permitted: bool | None) -> Judgement:
    """Ask every rule about what was done: what it broke are its findings. `was_permitted` None: nobody asked.

    A permit covers what changes between asking and reporting (a hold opened meanwhile, an order put on hold): the
    work was rightly begun. What was fitted is judged as of now.
    """
    judgement = judge(facts, waivers, is_begun=bool(was_permitted))
    if not was_permitted:
        code = Reason.PERMIT_MISSING if was_permitted is None else Reason.PERMIT_REFUSED
        judgement.verdicts[code.value] = (1, "broken")
        judgement.broken.append(Said(code, 1, cycle, {**facts.text, "cycle": cycle}))
    return judgement


assert set(WORDS) == set(Reason)  # noqa: S101 - a rule without words would fail at a station
