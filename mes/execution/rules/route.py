"""Rules of the unit, its order and its route: holds, predecessors, rework, attempts, clocks, completeness."""

from collections.abc import Collection

from mes.execution.rules.facts import Facts, HoldSeen
from mes.execution.rules.progress import Progress
from mes.execution.rules.rule import BOARD, KEPT, QUALITY, Rule
from mes.execution.rules.words import Reason
from mes.products.rules import Clock

WORKABLE = frozenset({"released", "started"})
REWORKABLE = WORKABLE | {"completed", "closed"}


def scrapped(facts: Facts) -> str | None:
    """Scrap is never worked on."""
    return facts.serial if facts.state == "scrapped" else KEPT


def on_hold(facts: Facts) -> str | None:
    """No work under a hold that stops consuming, no pack-out under one that stops shipping. Law 6."""
    return "; ".join(dict.fromkeys(hold.reason.rstrip(".") for hold in facts.holds if _stops(facts, hold)))


def _stops(facts: Facts, hold: HoldSeen) -> bool:
    step = facts.progress.step
    ships = step is not None and step.conditions.ships
    if facts.is_begun and hold.opened_at > facts.at and not ships:
        return False  # the work was rightly begun; what leaves the plant is stopped until it has left
    if "ship" in hold.stops and ships:
        return True
    return "consume" in hold.stops and has_reached(facts.progress, facts.station.operations, hold.at_operation)


def has_reached(progress: Progress, operations: Collection[str], intercept: str | None) -> bool:
    """Whether a station stands at or behind an intercept's operation; where the route has none, it alone is stopped."""
    if intercept is None:
        return True
    if intercept in progress.steps and progress.step is not None:
        return progress.step.ordinal >= progress.steps[intercept].ordinal
    return intercept in operations


def unit_removed(facts: Facts) -> str | None:
    """What came out of another unit is worked on again after its re-test alone."""
    return facts.serial if facts.state == "removed" else KEPT


def order_released(facts: Facts) -> str | None:
    """Work is done for a released order; rework for one that is complete too."""
    if facts.order_state is None or facts.progress.is_complete():
        return None  # nothing is left to be done for the order
    allowed = REWORKABLE if facts.progress.reworks else WORKABLE
    return KEPT if facts.order_state in allowed else facts.order_state


def finished(facts: Facts) -> str | None:
    """A unit that has passed its whole route is left alone."""
    if not facts.progress.steps:
        return None
    return facts.serial if facts.progress.is_complete() else KEPT


def in_route(facts: Facts) -> str | None:
    """The station does a step of the unit's route."""
    if facts.progress.is_complete():
        return None
    return KEPT if facts.progress.step else facts.station.code


def step_passed(facts: Facts) -> str | None:
    """A step that stands as passed isn't done again."""
    step = facts.progress.step
    if step is None or step.conditions.rework_of or facts.progress.is_complete():
        return None
    return step.operation if step.operation in facts.progress.passed else KEPT


def predecessors(facts: Facts) -> str | None:
    """Every predecessor has passed. Plant rule 1."""
    step = facts.progress.step
    if (
        step is None
        or not step.predecessors
        or (step.operation in facts.progress.passed and not step.conditions.rework_of)
    ):
        return None
    return ", ".join(facts.progress.missing())


def rework_open(facts: Facts) -> str | None:
    """A failed step with a rework is tried again after the rework."""
    step = facts.progress.step
    if step is None or step.conditions.rework_of:
        return None
    owed = facts.progress.rework_owed(step.operation)
    return ", ".join(owed) if owed else KEPT


def rework_asked(facts: Facts) -> str | None:
    """A rework is done when what it mends has failed."""
    step = facts.progress.step
    if step is None or not step.conditions.rework_of:
        return None
    return KEPT if facts.progress.mends() else f"none of {', '.join(step.conditions.rework_of)} waits for it"


def attempts(facts: Facts) -> str | None:
    """A step fails, a rework is done, so often; then the review board decides. Plant rule 9."""
    step = facts.progress.step
    if step is None or step.conditions.attempts is None:
        return None
    tries = facts.progress.tries()
    return KEPT if tries < step.conditions.attempts else f"{tries} of {step.conditions.attempts}"


def not_too_early(facts: Facts) -> str | None:
    """Cure and rest: counted from when the MES heard of the end, so never short. Plant rule 7."""
    return _clocks(facts, is_least=True)


def not_too_late(facts: Facts) -> str | None:
    """Pot life and clean-to-weld: counted from when the station ended. Plant rule 7."""
    return _clocks(facts, is_least=False)


def _clocks(facts: Facts, *, is_least: bool) -> str | None:
    step = facts.progress.step
    clocks = step.conditions.clocks if step else ()
    mine = [clock for clock in clocks if (clock.at_least_min if is_least else clock.at_most_min) is not None]
    if not mine:
        return None
    return "; ".join(said for clock in mine if (said := _clock(facts, clock, is_least=is_least)))


def _clock(facts: Facts, clock: Clock, *, is_least: bool) -> str:
    seen = facts.progress.last_pass_of(clock.after)
    if seen is None or seen.passed_reported is None or seen.passed_end is None:
        return ""  # the predecessor's own rule says so
    if is_least and clock.at_least_min is not None:
        passed = (facts.at - seen.passed_reported).total_seconds() / 60
        if passed < clock.at_least_min:
            return f"{passed:.1f} of {clock.at_least_min:g} min since {clock.after}"
    elif clock.at_most_min is not None:
        passed = (facts.at - min(seen.passed_end, seen.passed_reported)).total_seconds() / 60
        if passed > clock.at_most_min:
            return f"{passed:.1f} min since {clock.after}, at most {clock.at_most_min:g}"
    return ""


def complete(facts: Facts) -> str | None:
    """A unit with a gap in its record goes no further than here. Plant rule 17."""
    step = facts.progress.step
    if step is None or not step.conditions.is_complete:
        return None
    shown = "; ".join(facts.gaps[:10])
    return shown + (f"; and {len(facts.gaps) - 10} more" if len(facts.gaps) > 10 else "")


def documented(facts: Facts) -> str | None:
    """The lot, and each lot in the unit that comes with documents, has those that the step asks for."""
    step = facts.progress.step
    if step is None or not step.conditions.documents:
        return None
    return "; ".join(facts.undocumented)


# A permit covers what others do once the work is begun: a hold, an order's state. It doesn't cover the route: of two
# permits taken for one step, one alone is used.
RULES = (
    Rule(Reason.SCRAPPED, scrapped, is_covered=False),
    Rule(Reason.ON_HOLD, on_hold, is_covered=False),
    Rule(Reason.UNIT_REMOVED, unit_removed, is_covered=False),
    Rule(Reason.ORDER_NOT_RELEASED, order_released),
    Rule(Reason.ALREADY_FINISHED, finished, is_covered=False),
    Rule(Reason.NOT_IN_ROUTE, in_route),
    Rule(Reason.ATTEMPTS_EXHAUSTED, attempts, BOARD, is_covered=False),
    Rule(Reason.REWORK_NOT_OPEN, rework_asked, is_covered=False),
    Rule(Reason.REWORK_OPEN, rework_open, QUALITY, is_covered=False),
    Rule(Reason.STEP_PASSED, step_passed, is_covered=False),
    Rule(Reason.PREDECESSOR_MISSING, predecessors, QUALITY, is_covered=False),
    Rule(Reason.TOO_EARLY, not_too_early, QUALITY),
    Rule(Reason.TOO_LATE, not_too_late, QUALITY, is_covered=False),
    Rule(Reason.INCOMPLETE, complete, QUALITY, is_covered=False, is_safe_offline=False),
    Rule(Reason.DOCUMENT_MISSING, documented, is_safe_offline=False),
)
