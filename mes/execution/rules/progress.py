"""Where a unit or lot stands in its route: what has passed, what must be done again, which rework is open."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from mes.products.rules import StepPlan


@dataclass(frozen=True, slots=True)
class StepSeen:
    """The cycles of one step on the unit, oldest first: their ids, whether each passed, and when the last pass was.

    `passed_end`: when the station says that it ended; `passed_reported`: when the MES heard of it.
    """

    ids: Sequence[int]
    passed: Sequence[bool]
    passed_end: datetime | None = None
    passed_reported: datetime | None = None

    @property
    def last(self) -> int:
        """The latest cycle."""
        return self.ids[-1] if self.ids else 0

    @property
    def last_pass(self) -> int:
        """The latest cycle that passed; 0: none has."""
        return max((id_ for id_, passed in zip(self.ids, self.passed, strict=True) if passed), default=0)


NEVER = StepSeen((), ())


@dataclass(frozen=True)
class Progress:
    """A route with the cycles done on it, seen from one of its steps.

    `reworks`: operation -> the unit's last cycle when quality last opened its rework.
    """

    steps: Mapping[str, StepPlan]
    seen: Mapping[int, StepSeen]
    reworks: Mapping[str, int]
    step: StepPlan | None

    def at(self, step: StepPlan | None) -> "Progress":
        """See the same from another step."""
        other = Progress(self.steps, self.seen, self.reworks, step)
        other.__dict__["passed"] = self.passed  # the same from wherever it is seen, and every permit asks for it
        return other

    def of(self, operation: str) -> StepSeen:
        """The cycles of an operation."""
        return self.seen.get(self.steps[operation].id, NEVER) if operation in self.steps else NEVER

    def last_pass_of(self, operation: str) -> StepSeen | None:
        """The cycles of an operation or of the alternative that was passed in its place, whichever passed last."""
        names = [operation, *(o for o, s in self.steps.items() if s.conditions.instead_of == operation)]
        return max((self.of(name) for name in names), key=lambda seen: seen.last_pass, default=None)

    @cached_property
    def passed(self) -> frozenset[str]:
        """Operations that stand as passed; an alternative's pass counts for the one it replaces, and the other way."""
        reworks = [(o, s.conditions.repeats) for o, s in self.steps.items() if s.conditions.repeats]
        own = {o for o in self.steps if self._stands(o, reworks)}
        replaced = {s.conditions.instead_of for o, s in self.steps.items() if o in own} - {None}
        passed = own | {o for o in replaced if o is not None}
        passed |= {o for o, s in self.steps.items() if s.conditions.instead_of in passed}
        return frozenset(passed)

    def _stands(self, operation: str, reworks: Sequence[tuple[str, Sequence[str]]]) -> bool:
        """Whether the latest cycle passed, and nothing since has made it void."""
        seen = self.of(operation)
        if not seen.ids or not seen.passed[-1]:
            return False
        # what makes a step void makes void what was done in its place
        meant = {operation, self.steps[operation].conditions.instead_of}
        voiding = [self.of(rework).last_pass for rework, repeats in reworks if meant.intersection(repeats)]
        voiding += [cycle for named, cycle in self.reworks.items() if named in meant]
        return seen.last > max(voiding, default=0)

    def failed_at(self, operation: str) -> int | None:
        """The cycle after which an operation's rework is open: its failure, or quality's decision; None: it isn't."""
        if operation in self.passed:
            return None
        seen, decided = self.of(operation), self.reworks.get(operation)
        if decided is not None and decided >= seen.last:
            return decided
        return seen.last if seen.ids and not seen.passed[-1] else None

    def rework_owed(self, operation: str) -> list[str]:
        """Rework steps that must pass before a failed operation is tried again."""
        failed_at = self.failed_at(operation)
        if failed_at is None:
            return []
        mending = [o for o, s in self.steps.items() if operation in s.conditions.rework_of]
        done = {o for o in mending if self.of(o).last_pass > failed_at}
        done |= {o for o in mending if self.steps[o].conditions.instead_of in done}
        done |= {s.conditions.instead_of for o, s in self.steps.items() if o in done and s.conditions.instead_of}
        return [o for o in mending if o not in done]

    def mends(self) -> list[str]:
        """Operations for which this step, a rework, is owed now."""
        assert self.step is not None  # noqa: S101
        return [o for o in self.step.conditions.rework_of if self.step.operation in self.rework_owed(o)]

    def missing(self) -> list[str]:
        """Steps before this one, all the way back, that don't stand; a rework's own must be of this round."""
        if self.step is None:
            return []
        round_ = min((self.failed_at(o) or 0 for o in self.mends()), default=0) if self.step.conditions.rework_of else 0
        missing: set[str] = set()
        queue, looked_at = list(self.step.predecessors), set()
        for operation in queue:
            if operation in looked_at or operation not in self.steps:
                continue
            looked_at.add(operation)
            step = self.steps[operation]
            done = self.of(operation).last_pass > round_ if step.conditions.rework_of else operation in self.passed
            if not done:
                missing.add(operation)
            queue += step.predecessors
        return sorted(missing, key=lambda operation: self.steps[operation].ordinal)

    def tries(self) -> int:
        """How often the step failed (a rework: was done) since quality last opened its rework."""
        if self.step is None:
            return 0
        seen = self.of(self.step.operation)
        is_rework = bool(self.step.conditions.rework_of)
        owners = self.step.conditions.rework_of if is_rework else (self.step.operation,)
        since = max((self.reworks.get(o, 0) for o in owners), default=0)
        counted = zip(seen.ids, seen.passed, strict=True)
        return sum(1 for id_, passed in counted if id_ > since and (is_rework or not passed))

    def is_complete(self) -> bool:
        """Whether every step that all units must pass stands as passed."""
        main = [o for o, step in self.steps.items() if step.is_main]
        return bool(main) and self.passed.issuperset(main)

    def ready(self) -> list[str]:
        """The steps that can be done now."""
        found = []
        for operation, step in self.steps.items():
            here = self.at(step)
            if step.conditions.rework_of:
                is_open = bool(here.mends())
            else:
                is_open = operation not in self.passed and not self.rework_owed(operation)
            if is_open and not here.missing():
                found.append(operation)
        return found

    def next_step(self) -> str:
        """The steps that can be done now, for a reader."""
        return ", ".join(self.ready()) or "none is left"

    def after(self, step: StepPlan, *, passed: bool, cycle_id: int = 1 << 62) -> "Progress":
        """The same with one more cycle of a step."""
        seen = self.of(step.operation)
        more = StepSeen([*seen.ids, cycle_id], [*seen.passed, passed], seen.passed_end, seen.passed_reported)
        return Progress(self.steps, {**self.seen, step.id: more}, self.reworks, self.step)


def choose_step(progress: Progress, operations: Collection[str], wanted: str | None = None) -> StepPlan | None:
    """Choose the step that a station is to do: the one it names, else one that can be done now, else its first."""
    mine = [step for operation, step in progress.steps.items() if operation in operations]
    if wanted is not None:
        return next((step for step in mine if step.operation == wanted), None)
    if len(mine) <= 1:
        return mine[0] if mine else None
    ready = set(progress.ready())
    return next((step for step in mine if step.operation in ready), mine[0])
