"""A law that is broken, and the auditor's book: what it knows, what was said, and where units stand."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.auditor.rows import Cycle, Permit, Said
from tests.simulation.auditor.standing import Standing, standing
from tests.simulation.auditor.tables import News, Tables


class LawBroken(AssertionError):
    """What was seen, and which law it breaks."""

    def __init__(self, law: int, seen: str) -> None:
        super().__init__(f"law {law}: {seen}")
        self.law, self.seen = law, seen


@dataclass(slots=True)
class Look:
    """One look at the plant: what was said since the last one, what is new, and how things stood before."""

    said: list[Said]
    news: News
    held_before: set[int]  # the holds that were open
    lots_before: dict[int, int | None]  # unit -> the lot it came with

    @property
    def is_alone(self) -> bool:
        """Whether one message alone can have done it."""
        return len(self.said) == 1


@dataclass(slots=True)
class Book:
    """All that the auditor keeps."""

    tables: Tables
    sent: dict[tuple[str, str, str], list[Said]] = field(default_factory=lambda: defaultdict(list))
    revoked: set[int] = field(default_factory=set)  # waivers that were revoked before this look
    lot_states: dict[int, str] = field(default_factory=dict)  # by what was found and decided
    _standing: dict[tuple[str, int], Standing] = field(default_factory=dict)

    def told(self, act: str, row: Permit | Cycle) -> list[Said]:
        """What was said under a row's number."""
        return self.sent.get((act, self.tables.stations[row.station_id], row.cycle), [])

    def operation(self, step_id: int | None) -> str:
        """The operation of a step."""
        return self.tables.steps[step_id][1] if step_id is not None else ""

    def unit(self, unit_id: int) -> Standing:
        """Where a unit stands, by the ledgers."""
        if ("unit", unit_id) not in self._standing:
            self._standing["unit", unit_id] = self.unit_before(unit_id, self.tables.cycles_of["unit", unit_id])
        return self._standing["unit", unit_id]

    def unit_before(self, unit_id: int, cycles: Iterable[Cycle], before: int | None = None) -> Standing:
        """Where a unit stood before one of its cycles."""
        unit = self.tables.units[unit_id]
        decisions = [d for d in self.tables.dispositions_of[unit_id] if before is None or d.after_cycle < before]
        return standing(
            self.tables.parts[unit.part_id],
            is_made=unit.order_id is not None,
            cycles=[(c, self.operation(c.step_id)) for c in cycles if before is None or c.id < before],
            decisions=decisions,
        )

    def forget(self, unit_ids: Iterable[int]) -> None:
        """Tell anew where these units stand."""
        for unit_id in unit_ids:
            self._standing.pop(("unit", unit_id), None)

    def name(self, unit_id: int | None) -> str:
        """A unit's serial."""
        return self.tables.units[unit_id].serial if unit_id in self.tables.units else f"unit {unit_id}"


def message_of(book: Book, cycle: Cycle) -> Said:
    """The report that a cycle is the record of: the one that was answered, else one that nobody heard back from."""
    told = [said for said in book.told("execution.report_result", cycle) if said.outcome != "error"]
    if not told:
        raise LawBroken(9, f"cycle {cycle.cycle} was never reported")
    return next((said for said in told if said.outcome == "answer"), told[-1])
