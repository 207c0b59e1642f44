"""What a gateway knows for itself: the record as it last read it, what it heard of since, and what has changed."""

import time
from asyncio import Event
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from mes import clock
from mes.execution.messages import PermitRequest, ResultReport, Verdict
from mes.execution.rules.progress import choose_step
from mes.execution.standing import CycleStanding, Decision, Standing, decide, progress_of, refuse, renewed
from mes.measurements.rules import judge
from mes.products.rules import StepPlan

_AHEAD = timedelta(seconds=5)  # facts from later than now: the clock was set back
# Topics whose events change nothing that is known here; of any other that names no units, all is read anew.
_ELSEWHERE = {"permit", "link", "clock", "label", "kits", "crate", "delivery", "subscription"}
_OF_UNITS = {"cycle", "unit", "move"}
MOST_TOUCHED = 100  # units; of more, all is read anew


class Known:
    """What the gateway knows for itself: the record as it last read it, and the cycles it has heard of since."""

    def __init__(self, most_age: timedelta) -> None:
        self.most_age = most_age
        self.standing: Standing | None = None
        self.read_at: datetime | None = None  # when it was last seen to be the record, by this PC's clock
        self.taken = Event()
        # cycles by their unit and key, each with when the MES said that it has it
        self._own: defaultdict[str, dict[str, tuple[CycleStanding, datetime | None]]] = defaultdict(dict)
        self._taken_at, self._age_then = 0.0, timedelta(0)  # a clock that nobody sets, and how old it was by then

    def take(self, standing: Standing, at: datetime, waiting: Collection[str] = ()) -> None:
        """Take what was read, asked for `at` this moment; the cycles that it holds are the record's now.

        `waiting`: those that the MES had not been told of by then. A part of the record renews that part alone.
        """
        self.standing = renewed(self.standing, standing)
        self.confirm(at)
        for serial in list(standing.only or self._own):
            cycles = self._own.get(serial, {})
            subject = standing.subject(serial)
            keys = {cycle.key for cycle in subject.cycles} if subject else set()
            for key, (_, since) in list(cycles.items()):
                if key in keys or (key not in waiting if since is None else since < at):
                    del cycles[key]
            if not cycles:
                self._own.pop(serial, None)

    def confirm(self, at: datetime) -> None:
        """Note that what is known was the record at this moment."""
        self.read_at = at
        self._taken_at, self._age_then = time.monotonic(), clock.now() - at
        self.taken.set()

    def heard(self, report: ResultReport, verdict: Verdict | None = None) -> Verdict:
        """Note a result; its verdict: the MES's, or else by the limits that are known and the station's own."""
        step = self.step_of(report)
        judged = verdict or _judged(report, step)
        if step is not None:
            key, now = f"{report.station}/{report.cycle}", clock.now()
            cycle = CycleStanding(key, 0, step.operation, judged == "passed", report.ended_at, report.heard_at or now)
            self._own[report.serial].setdefault(key, (cycle, now if verdict else None))
        return judged

    def decide(self, request: PermitRequest, at: datetime) -> Decision:
        """Answer a request by what is known, if that isn't too old."""
        if self.standing is None or self.read_at is None:
            return refuse(request, "the gateway knows nothing of the record yet")
        age = at - self.read_at
        if age > -_AHEAD:
            age = max(age, self._age_then + timedelta(seconds=time.monotonic() - self._taken_at))
        if not -_AHEAD < age <= self.most_age:
            most = self.most_age.total_seconds()
            return refuse(
                request, f"what the gateway knows is {age.total_seconds():.0f} s old, at most {most:.0f} allowed"
            )
        return decide(self.standing, request, self._heard_of(request.serial), at)

    def step_of(self, message: PermitRequest | ResultReport) -> StepPlan | None:
        """The step that a message is about, as far as is known."""
        if self.standing is None or message.station not in self.standing.stations:
            return None
        subject = self.standing.subject(message.serial)
        plan = self.standing.plans.get(subject.revision_id) if subject else None
        if subject is None or plan is None:
            return None
        progress = progress_of(subject, plan, self._heard_of(message.serial))
        return choose_step(progress, self.standing.stations[message.station].facts.operations, message.operation)

    def _heard_of(self, serial: str) -> list[CycleStanding]:
        return [cycle for cycle, _ in self._own.get(serial, {}).values()]


def touched(events: Iterable[Mapping[str, Any]]) -> set[str] | None:
    """The units and lots of which events say that something changed; None: of who knows which."""
    found: set[str] = set()
    for event in events:
        topic, data = str(event["type"]).rpartition(".")[2], event.get("data") or {}
        if topic in _ELSEWHERE or (topic, data.get("state")) == ("hold", "signed"):
            continue
        # a report's hold names its unit, and is on that alone; a containment may be on whatever it names
        is_alone = topic == "hold" and data.get("held") == 1 and "containment" not in data
        if "serial" not in data or not (topic in _OF_UNITS or is_alone):
            return None
        found.add(data["serial"])
    return found if len(found) <= MOST_TOUCHED else None


def _judged(report: ResultReport, step: StepPlan | None) -> Verdict:
    if step is None or report.verdict == "failed":
        return report.verdict
    drawn: defaultdict[str, set[int]] = defaultdict(set)
    for curve in report.curves:
        drawn[curve.characteristic].add(curve.ordinal)
    return "failed" if judge(step, report.values, drawn).failures else "passed"
