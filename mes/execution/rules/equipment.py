"""Rules of the station: its checks, tools, recipe and program, the first article, and the people at it."""

from datetime import datetime, timedelta

from mes.execution.rules.facts import CheckSeen, Facts
from mes.execution.rules.rule import BOARD, KEPT, QUALITY, Rule
from mes.execution.rules.words import Reason

_NAMES = {"known_good": "known-good master", "known_bad": "known-bad master", "daily": "daily check"}


def check_failed(facts: Facts) -> str | None:
    """A station that failed its last check of any kind is blocked. Plant rule 8."""
    if not facts.station.checks:
        return None
    failed = [check for check in facts.station.checks if not check.passed]
    return "; ".join(f"{_named(check)} at {check.checked_at:%Y-%m-%d %H:%M}" for check in failed)


def _named(check: CheckSeen) -> str:
    kind = _NAMES.get(check.kind, check.kind)
    return f"{kind} of {check.tool}" if check.tool else kind


def check_due(facts: Facts) -> str | None:
    """Masters and daily checks are good for so many hours. Plant rule 11."""
    if not facts.station.due_h:
        return None
    due = []
    for kind, hours in facts.station.due_h.items():
        last = _last_good(facts, kind)
        if last is None or facts.at - last > timedelta(hours=hours):
            due.append(f"{_NAMES[kind]}, {f'last at {last:%Y-%m-%d %H:%M}' if last else 'never done'}")
    return "; ".join(due)


def _last_good(facts: Facts, kind: str) -> datetime | None:
    """When the station, or the tool it names, last passed a check of this kind; of any tool, the oldest."""
    mine = [check for check in facts.station.checks if check.kind == kind]
    tool = facts.asked.tool if facts.asked.tool in {one.code for one in facts.station.tools} else None
    whole = [check.checked_at for check in mine if check.passed and check.tool is None]
    tools = [check for check in mine if check.tool is not None and (tool is None or check.tool == tool)]
    if not tools:
        return max(whole, default=None)
    oldest = min(check.checked_at for check in tools) if all(check.passed for check in tools) else None
    return max([*whole, *([oldest] if oldest else [])], default=None)


def calibrated(facts: Facts) -> str | None:
    """No tool is used after its calibration has ended. Plant rule 8."""
    named = [tool for tool in facts.station.tools if tool.code == facts.asked.tool]
    # a tool that isn't named, or that the station hasn't, may be any of them
    used = named or ([] if facts.is_begun else facts.station.tools)
    dated = [tool for tool in used if tool.calibration_due is not None]
    if not dated:
        return None
    over = [tool for tool in dated if tool.calibration_due is not None and tool.calibration_due < facts.today]
    return "; ".join(f"{tool.code}, due {tool.calibration_due}" for tool in over)


def in_control(facts: Facts) -> str | None:
    """A step whose control chart signalled waits until the cause was looked for, where its plan says so."""
    step = facts.progress.step
    if step is None or not step.is_blocked_by_signals:
        return None
    return "; ".join(said for operation, said in facts.station.signals if operation == step.operation)


def article_signed(facts: Facts) -> str | None:
    """The first article after a change is signed by a second person before the next is begun. Plant rule 10."""
    step = facts.progress.step
    if step is None or not step.conditions.first_article:
        return None
    return facts.station.open_article or KEPT


def recipe(facts: Facts) -> str | None:
    """The machine holds the recipe of the unit's own revision, where it says which it holds. Plant rule 2."""
    step = facts.progress.step
    read = facts.asked.recipe_digest
    is_asked = step is not None and step.conditions.reads_back and not facts.is_begun
    if step is None or step.recipe is None or (read is None and not is_asked):
        return None
    if read == step.recipe.digest:
        return KEPT
    return f"{read[:12] if read else 'it did not say which'} instead of {step.recipe.name} {step.recipe.digest[:12]}"


def program(facts: Facts) -> str | None:
    """The machine runs the program that the route names. Plant rule 2."""
    step = facts.progress.step
    read = facts.asked.program
    if step is None or step.conditions.program is None or (read is None and facts.is_begun):
        return None
    return (
        KEPT if read == step.conditions.program else f"{read or 'it did not say which'}, not {step.conditions.program}"
    )


def persons(facts: Facts) -> str | None:
    """So many persons are named, two different ones where two are asked for. Plant rule 12."""
    step = facts.progress.step
    who = step.conditions if step else None
    needed = max(who.persons, 1 if who.certificate or who.first_article else 0) if who else 0
    if not needed or (facts.is_begun and not facts.asked.operators):
        return None
    named = len(set(facts.asked.operators))
    return KEPT if named >= needed else f"{needed} person{'s' if needed > 1 else ''} named, not {named}"


def certified(facts: Facts) -> str | None:
    """Whoever is named is certified for the step today. Plant rule 12."""
    step = facts.progress.step
    if step is None or step.conditions.certificate is None:
        return None
    name, known = step.conditions.certificate, facts.asked.certificates
    without = [p for p in dict.fromkeys(facts.asked.operators) if p not in known or known[p] <= facts.at]
    return "; ".join(f"{p} for {name}" + (f" since {known[p]:%Y-%m-%d}" if p in known else "") for p in without)


RULES = (
    Rule(Reason.CHECK_FAILED, check_failed, is_covered=False),
    Rule(Reason.CHECK_DUE, check_due, BOARD),
    Rule(Reason.CALIBRATION_DUE, calibrated, QUALITY, is_covered=False),
    Rule(Reason.SIGNAL_OPEN, in_control, QUALITY),
    # that a result has made the next one wait for a signature is known to the MES alone
    Rule(Reason.FIRST_ARTICLE_OPEN, article_signed, is_covered=False, is_safe_offline=False),
    Rule(Reason.RECIPE_WRONG, recipe, QUALITY, is_covered=False),
    Rule(Reason.PROGRAM_WRONG, program, QUALITY, is_covered=False),
    Rule(Reason.PERSON_MISSING, persons, is_covered=False),
    Rule(Reason.NOT_CERTIFIED, certified, BOARD, is_covered=False),
)
