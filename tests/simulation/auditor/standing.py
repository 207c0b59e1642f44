"""Where a unit stands, told from its cycles and the decisions about it in their order: what has passed, its state."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.auditor.rows import Cycle, Disposition


@dataclass(frozen=True, slots=True)
class Step:
    """The auditor's own copy of a step: what must have passed, what it replaces, what it mends and voids."""

    after: tuple[str, ...] = ()
    instead_of: str | None = None
    rework_of: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()
    ships: bool = False


# in the order of the route: an intercept stops its operation and what comes behind it
ROUTES: dict[str, dict[str, Step]] = {
    "MOD": {
        "10": Step(),
        "20": Step(after=("10",)),
        "21": Step(after=("10",)),
        "22": Step(after=("10",), instead_of="21"),
        "30": Step(after=("20", "21")),
        "40": Step(after=("30",)),
        "41": Step(rework_of=("40",), repeats=("20",)),
        "50": Step(after=("40",)),
    },
    "PACK": {
        "60": Step(),
        "70": Step(after=("60",)),
        "71": Step(rework_of=("70",), repeats=("80",)),
        "80": Step(after=("70",)),
        "90": Step(after=("80",), ships=True),
    },
    "GLUE": {"05": Step()},
}
IN_STOCK = {"stock": "removed", "review": "removed"}


@dataclass(slots=True)
class Standing:
    """Where one unit or lot stands: told forward, one fact after the other."""

    route: dict[str, Step]
    state: str
    stands: dict[str, bool] = field(default_factory=dict)  # operation -> its last cycle passed, and nothing voided it
    owed: set[str] = field(default_factory=set)  # failed operations whose rework is owed
    is_made: bool = True
    _ready: list[str] | None = None

    def passed(self, operation: str) -> bool:
        """Whether an operation, or one that may stand for it, has passed."""
        replaced = self.route[operation].instead_of or operation
        group = [replaced, *(o for o, step in self.route.items() if step.instead_of == replaced)]
        return any(self.stands.get(o, False) for o in group)

    def missing(self, operation: str) -> list[str]:
        """What comes before an operation, all the way back, and has not passed."""
        before = list(self.route[operation].after)
        for o in before:
            before += [earlier for earlier in self.route[o].after if earlier not in before]
        return sorted({o for o in before if not self.passed(o)})

    def is_complete(self) -> bool:
        """Whether all that every unit must pass has passed."""
        main = [o for o, step in self.route.items() if not step.rework_of and step.instead_of is None]
        return bool(main) and all(self.passed(o) for o in main)

    def ready(self) -> list[str]:
        """What can be done now; for whoever plays the stations, no law is checked by it."""
        if self._ready is None:
            self._ready = self._find_ready()
        return self._ready

    def _find_ready(self) -> list[str]:
        reworks = [o for o, step in self.route.items() if self.owed & set(step.rework_of)]
        mended = {o for rework in reworks for o in self.route[rework].rework_of}
        main = [o for o, s in self.route.items() if not s.rework_of and not self.passed(o) and o not in mended]
        return [o for o in [*reworks, *main] if not self.missing(o)]

    def work(self, operation: str, *, passed: bool) -> None:
        """Tell of a cycle."""
        self._ready = None
        if operation not in self.route:
            return
        step = self.route[operation]
        self.stands[operation] = passed
        if passed:
            self.owed -= {operation, *step.rework_of}
            for voided in step.repeats:
                self._void(voided)
        elif not step.rework_of:
            self.owed.add(operation)
        if self.state in {"issued", "in_process", "finished"}:
            self.state = "finished" if self.is_complete() else "in_process"

    def _void(self, operation: str) -> None:
        """Make an operation void, and what was done in its place."""
        for o, step in self.route.items():
            if operation in {o, step.instead_of}:
                self.stands[o] = False

    def decide(self, decision: str, operation: str | None) -> None:
        """Tell of a decision."""
        self._ready = None
        if self.state == "scrapped":
            return
        if decision in {"scrap", "retest_failed"}:
            self.state = "scrapped"
        elif decision in IN_STOCK and self.state in {"finished", "received"}:
            self.state = "removed"
        elif decision == "retest_passed":
            self.state = "finished" if self.is_made else "received"
        elif decision == "rework" and operation is not None:
            self._void(operation)
            self.owed.add(operation)
            self.state = "in_process" if self.state in {"finished", "removed"} else self.state


def standing(
    part: str,
    *,
    is_made: bool,
    cycles: Iterable[tuple[Cycle, str]] = (),
    decisions: Iterable[Disposition] = (),
) -> Standing:
    """Where a unit stands after these cycles (with their operations) and decisions."""
    told = Standing(ROUTES.get(part, {}), "issued" if is_made else "received", is_made=is_made)
    facts: list[tuple[int, int, int, Cycle | None, str | None, Disposition | None]] = []
    facts += [(cycle.id, 0, 0, cycle, operation, None) for cycle, operation in cycles]
    facts += [(decision.after_cycle, 1, decision.id, None, None, decision) for decision in decisions]
    for _, _, _, cycle, operation, decision in sorted(facts, key=lambda fact: fact[:3]):
        if cycle is not None and operation is not None:
            told.work(operation, passed=cycle.verdict == "passed")
        elif decision is not None:
            told.decide(decision.decision, decision.operation)
    return told
