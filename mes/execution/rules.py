"""What a station may do, decided by facts alone.

A permit may be refused; a fact may not. So the same laws speak twice: as the reasons of a refusal before the work, and
as the findings of a report after it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

VERSION = 1


class Reason(StrEnum):
    """Why a permit is refused, gravest first."""

    STATION_UNKNOWN = "station_unknown"
    UNIT_UNKNOWN = "unit_unknown"
    ON_HOLD = "on_hold"
    ORDER_NOT_RELEASED = "order_not_released"
    ALREADY_FINISHED = "already_finished"
    NOT_IN_ROUTE = "not_in_route"
    STEP_PASSED = "step_passed"
    PREDECESSOR_MISSING = "predecessor_missing"


class FindingCode(StrEnum):
    """What a report broke, gravest first."""

    COMPONENT_ON_HOLD = "component_on_hold"
    UNIT_ON_HOLD = "unit_on_hold"
    COMPONENT_ELSEWHERE = "component_elsewhere"
    POSITION_TAKEN = "position_taken"
    COMPONENT_UNKNOWN = "component_unknown"
    COMPONENT_WRONG = "component_wrong"
    COMPONENT_UNFINISHED = "component_unfinished"
    COMPONENT_MISSING = "component_missing"
    LOT_UNKNOWN = "lot_unknown"
    LOT_WRONG = "lot_wrong"
    LOT_NOT_RELEASED = "lot_not_released"
    LOT_OVERDRAWN = "lot_overdrawn"
    REMOVAL_UNKNOWN = "removal_unknown"
    ORDER_NOT_RELEASED = "order_not_released"
    ALREADY_FINISHED = "already_finished"
    STEP_PASSED = "step_passed"
    STEP_SKIPPED = "step_skipped"
    PERMIT_MISSING = "permit_missing"
    PERMIT_REFUSED = "permit_refused"


# What is wrong, and what clears it, both filled with the facts seen. A reason and a finding may share a code.
REFUSED: dict[Reason, tuple[str, str]] = {
    Reason.STATION_UNKNOWN: (
        "There is no station {station}.",
        "Name the station in the plant's files and run `mes apply`, or mend the gateway's mapping.",
    ),
    Reason.UNIT_UNKNOWN: (
        "No unit or lot {serial} is known.",
        "Scan again; if it is right, receive or order it first.",
    ),
    Reason.ON_HOLD: ("{serial} is on hold: {reasons}.", "Quality releases the hold."),
    Reason.ORDER_NOT_RELEASED: ("Order {order} is {order_state}.", "A supervisor releases or resumes the order."),
    Reason.ALREADY_FINISHED: ("{serial} is finished.", "Nothing is left to do here; scan another unit."),
    Reason.NOT_IN_ROUTE: (
        "The route of {part} has no step for station {station} ({operations}).",
        "Bring it to the station of its next step: {next_step}.",
    ),
    Reason.STEP_PASSED: ("Step {operation} has passed already.", "Bring it to its next step: {next_step}."),
    Reason.PREDECESSOR_MISSING: (
        "Step {operation} needs {missing} passed first.",
        "Do the missing step; next is {next_step}.",
    ),
}
FOUND: dict[FindingCode, tuple[str, str]] = {
    FindingCode.COMPONENT_ON_HOLD: ("Held parts were fitted: {components}.", "Quality releases the holds."),
    FindingCode.UNIT_ON_HOLD: ("{serial} was worked on while on hold.", "Quality reviews the unit."),
    FindingCode.COMPONENT_ELSEWHERE: (
        "Reported as fitted, but recorded in another unit: {components}. They stay where they were recorded.",
        "Find out where each part is; the unit's record has a gap at these positions.",
    ),
    FindingCode.POSITION_TAKEN: (
        "Positions that hold another unit already, or were named twice: {components}. Nothing was changed there.",
        "Read the positions back; report the removal of what came out.",
    ),
    FindingCode.COMPONENT_UNKNOWN: (
        "Serials first heard of here: {components}. Their lot is not known.",
        "Receive them with their lot, or confirm their origin.",
    ),
    FindingCode.COMPONENT_WRONG: (
        "Fitted, but not what this step's bill of material names: {components}.",
        "Take them out, or approve the deviation.",
    ),
    FindingCode.COMPONENT_UNFINISHED: ("Fitted before their own route was finished: {components}.", "Finish them."),
    FindingCode.COMPONENT_MISSING: ("Passed without {components}.", "Report what is fitted there."),
    FindingCode.LOT_UNKNOWN: ("No lot {lots} is known; nothing was counted down.", "Receive the lot."),
    FindingCode.LOT_WRONG: ("Used up, but not what this step's bill of material names: {lots}.", "Quality reviews it."),
    FindingCode.LOT_NOT_RELEASED: ("Lots used before receiving released them: {lots}.", "Finish their receiving."),
    FindingCode.LOT_OVERDRAWN: ("More was used than was left: {lots}.", "Count the lot and correct its receipt."),
    FindingCode.REMOVAL_UNKNOWN: ("Reported as taken out, but not recorded in it: {components}.", "Find the parts."),
    FindingCode.ORDER_NOT_RELEASED: ("Worked on while order {order} was {order_state}.", "Quality reviews the unit."),
    FindingCode.ALREADY_FINISHED: ("{serial} was finished before.", "Quality reviews the unit."),
    FindingCode.STEP_PASSED: ("Step {operation} had passed before.", "Quality reviews the unit."),
    FindingCode.STEP_SKIPPED: ("Done without its predecessors {missing}.", "Do the missing steps."),
    FindingCode.PERMIT_MISSING: ("Cycle {cycle} was worked without asking.", "Quality reviews the unit."),
    FindingCode.PERMIT_REFUSED: ("Cycle {cycle} was worked against a refusal.", "Quality reviews the unit."),
}


@dataclass(frozen=True, slots=True)
class Said:
    """One reason or finding, with the facts it saw."""

    code: Reason | FindingCode
    facts: Mapping[str, str]

    @property
    def text(self) -> str:
        """What is wrong, in a sentence."""
        return self._words()[0].format(**self.facts)

    @property
    def clears(self) -> str:
        """What clears it."""
        return self._words()[1].format(**self.facts)

    def _words(self) -> tuple[str, str]:
        return REFUSED[self.code] if isinstance(self.code, Reason) else FOUND[self.code]


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """Where a unit or lot stands in its route, seen from one station."""

    station: str
    serial: str
    part: str
    operations: tuple[str, ...]  # of the station
    operation: str | None  # the route's step for this station; None: it has none
    steps: Mapping[str, tuple[str, ...]]  # operation -> its predecessors, in the order of the route
    passed: frozenset[str]  # operations passed, by the latest cycle of each
    holds: tuple[str, ...]  # reasons of the open holds
    order: str | None
    order_state: str | None

    def missing(self) -> list[str]:
        """Predecessors of the step that have not passed."""
        wanted = self.steps[self.operation] if self.operation else ()
        return [operation for operation in wanted if operation not in self.passed]

    def next_step(self) -> str:
        """The steps that can be done now."""
        ready = [o for o, before in self.steps.items() if o not in self.passed and self.passed.issuperset(before)]
        return ", ".join(ready) or "none is left"

    def as_text(self) -> dict[str, str]:
        """The facts as the sentences name them, and as they are stored with the answer."""
        return {
            "station": self.station,
            "serial": self.serial,
            "part": self.part,
            "operations": ", ".join(self.operations),
            "operation": self.operation or "none",
            "missing": ", ".join(self.missing()),
            "next_step": self.next_step(),
            "reasons": "; ".join(hold.rstrip(".") for hold in self.holds),
            "order": self.order or "none",
            "order_state": (self.order_state or "none").replace("_", " "),
        }


WORKABLE = frozenset({"released", "started"})


def refusals(facts: RouteFacts) -> list[Said]:
    """All reasons against work on a known unit at a known station, gravest first; none: it may."""
    seen = facts.as_text()
    return [Said(reason, seen) for reason in _reasons(facts)]


def _reasons(facts: RouteFacts) -> Iterator[Reason]:
    if facts.holds:
        yield Reason.ON_HOLD
    if facts.order_state is not None and facts.order_state not in WORKABLE:
        yield Reason.ORDER_NOT_RELEASED
    if facts.steps and facts.passed.issuperset(facts.steps):
        yield Reason.ALREADY_FINISHED
    elif facts.operation is None:
        yield Reason.NOT_IN_ROUTE
    elif facts.operation in facts.passed:
        yield Reason.STEP_PASSED
    elif facts.missing():
        yield Reason.PREDECESSOR_MISSING


@dataclass(frozen=True, slots=True)
class WorkFacts:
    """What a report says was done beyond values, against what is recorded. Each entry names parts for a reader."""

    cycle: str
    was_permitted: bool | None  # None: nobody asked
    broken: Mapping[FindingCode, list[str]] = field(default_factory=dict)


_IN_ROUTE: dict[Reason, FindingCode] = {
    Reason.ON_HOLD: FindingCode.UNIT_ON_HOLD,
    Reason.ORDER_NOT_RELEASED: FindingCode.ORDER_NOT_RELEASED,
    Reason.ALREADY_FINISHED: FindingCode.ALREADY_FINISHED,
    Reason.STEP_PASSED: FindingCode.STEP_PASSED,
    Reason.PREDECESSOR_MISSING: FindingCode.STEP_SKIPPED,
}


def findings(route: RouteFacts, work: WorkFacts) -> list[Said]:
    """All that a report broke, gravest first; none: it is as it should be.

    A permit covers what changes between asking and reporting (a hold opened meanwhile, an order put on hold): the
    work was rightly begun. What was fitted is judged as of now.
    """
    codes: dict[FindingCode, list[str]] = {code: names for code, names in work.broken.items() if names}
    if not work.was_permitted:
        codes[FindingCode.PERMIT_MISSING if work.was_permitted is None else FindingCode.PERMIT_REFUSED] = []
        codes |= {_IN_ROUTE[reason]: [] for reason in _reasons(route) if reason in _IN_ROUTE}
    seen = route.as_text() | {"cycle": work.cycle}
    order = list(FindingCode)
    return [
        Said(code, seen | {"components": ", ".join(names[:20]), "lots": ", ".join(names[:20])})
        for code, names in sorted(codes.items(), key=lambda item: order.index(item[0]))
    ]
