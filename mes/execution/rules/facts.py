"""What the rules see: frozen facts, gathered under locks by the acts, or without effect by whoever asks why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property

from mes.execution.rules.progress import Progress
from mes.execution.rules.words import Reason


@dataclass(frozen=True, slots=True)
class HoldSeen:
    """An open hold that stops work on the unit: its own, its order's, or inherited from a part in it."""

    reason: str
    stops: frozenset[str]
    at_operation: str | None
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class ToolSeen:
    """A tool of the station."""

    code: str
    calibration_due: date | None


@dataclass(frozen=True, slots=True)
class CheckSeen:
    """The latest check of one kind at the station, or at one of its tools."""

    kind: str
    passed: bool
    checked_at: datetime
    tool: str | None


@dataclass(frozen=True, slots=True)
class StationFacts:
    """The station as it stands."""

    code: str
    operations: tuple[str, ...]
    tools: Sequence[ToolSeen] = ()
    checks: Sequence[CheckSeen] = ()
    due_h: Mapping[str, float] = field(default_factory=dict)  # kind of check -> hours it is good for
    open_article: str | None = None  # the first article that waits for its signature
    signals: Sequence[tuple[str, str]] = ()  # open ones that block: operation, and what signalled


@dataclass(frozen=True, slots=True)
class Asked:
    """What the station says of how it works."""

    operators: tuple[str, ...] = ()
    certificates: Mapping[str, datetime] = field(default_factory=dict)  # who of them is certified, until when
    tool: str | None = None
    program: str | None = None
    recipe_digest: str | None = None


@dataclass(frozen=True)
class Facts:
    """All that is known of a unit or lot at one station at one moment.

    `is_begun`: a permit was granted, and the work is reported: what the report doesn't say stands as it was asked.
    """

    at: datetime
    today: date  # at the station's site
    serial: str
    part: str
    state: str | None
    station: StationFacts
    progress: Progress
    holds: Sequence[HoldSeen] = ()
    order: str | None = None
    order_state: str | None = None
    asked: Asked = Asked()
    parts: Mapping[Reason, Sequence[str]] = field(default_factory=dict)  # what is wrong with what is to be fitted
    is_begun: bool = False
    gaps: Sequence[str] = ()  # of the record; gathered for a step that asks for a complete one alone
    undocumented: Sequence[str] = ()  # lots without a document that the step asks for

    @cached_property
    def text(self) -> Mapping[str, str]:
        """The facts as the sentences name them, and as they are stored with the answer."""
        step = self.progress.step
        return {
            "station": self.station.code,
            "serial": self.serial,
            "part": self.part,
            "state": self.state or "none",
            "operations": ", ".join(self.station.operations),
            "operation": step.operation if step else "none",
            "passed": ", ".join(sorted(self.progress.passed)),
            "next_step": self.progress.next_step(),
            "holds": "; ".join(hold.reason for hold in self.holds),
            "order": self.order or "none",
            "order_state": (self.order_state or "none").replace("_", " "),
            "operators": ", ".join(self.asked.operators),
            "at": self.at.isoformat(),
        }
