"""What a gateway keeps of the record, to answer while the MES is away; and its answer, by the rules that are always
asked. Pure: no I/O."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from mes.execution.messages import PermitRequest
from mes.execution.rules import LIBRARY, WaiverSeen, judge
from mes.execution.rules.facts import Asked, Facts, HoldSeen, StationFacts
from mes.execution.rules.material import LotUse
from mes.execution.rules.progress import Progress, StepSeen, choose_step
from mes.execution.rules.words import Reason, Said
from mes.products.rules import BomItemPlan, ProductPlan, StepPlan

UNSAFE = frozenset(rule.reason for rule in LIBRARY if not rule.is_safe_offline)
_FIRST_OWN = 1 << 40  # ids of cycles that the record has not numbered yet: after all that it has


@dataclass(frozen=True, slots=True)
class StationStanding:
    """A station as it stands, and the time zone of its site."""

    facts: StationFacts
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class CycleStanding:
    """A cycle done on a unit or lot; `key`: its station and number. `heard_at`: when the end was heard of."""

    key: str
    id: int
    operation: str
    passed: bool
    ended_at: datetime
    heard_at: datetime


@dataclass(frozen=True, slots=True)
class SubjectStanding:
    """A unit that stations may expect, or a lot to be inspected."""

    serial: str
    state: str
    revision_id: int
    order: str | None = None
    order_state: str | None = None
    holds: tuple[HoldSeen, ...] = ()
    waivers: tuple[WaiverSeen, ...] = ()
    reworks: Mapping[str, int] = field(default_factory=dict)
    cycles: tuple[CycleStanding, ...] = ()


@dataclass(frozen=True, slots=True)
class LotStanding:
    """A lot that may be used up. `hold`: why it must not be."""

    use: LotUse
    part: str
    left: float
    hold: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The facts of some stations, read at one moment of the record.

    `is_whole`: no unit that is expected was left out for its number; what isn't here is refused either way.
    `subjects`: each as JSON, read when it is asked for: thousands read at once would keep the stations waiting.
    `only`: what it speaks of, of units and lots; empty: of all. Any of them that is no subject is no longer expected.
    """

    at: datetime
    is_whole: bool
    stations: Mapping[str, StationStanding]
    plans: Mapping[int, ProductPlan]
    subjects: Mapping[str, str]
    lots: Mapping[str, LotStanding]
    certificates: Mapping[str, Mapping[str, datetime]]  # person -> certificate -> until when
    only: Sequence[str] = ()

    def subject(self, serial: str) -> SubjectStanding | None:
        """The unit or lot of this number, if it is expected."""
        kept = self.subjects.get(serial)
        return None if kept is None else SUBJECT.validate_json(kept)


STANDING = TypeAdapter(Standing)
SUBJECT = TypeAdapter(SubjectStanding)


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer without the MES, with what it takes to word it."""

    plan: ProductPlan | None
    step: StepPlan | None
    said: Sequence[Said]
    waivers: Sequence[int] = ()


def renewed(known: Standing | None, news: Standing) -> Standing:
    """What is known after a reading: all of it, or what was known with a part renewed."""
    if known is None or not news.only:
        return news
    gone, parts = set(news.only), {lot.part for lot in news.lots.values()}
    kept = {serial: subject for serial, subject in known.subjects.items() if serial not in gone}
    lots = {number: lot for number, lot in known.lots.items() if lot.part not in parts}
    return replace(
        known,
        at=news.at,
        plans={**known.plans, **news.plans},
        subjects={**kept, **news.subjects},
        lots={**lots, **news.lots},
    )


def decide(known: Standing, request: PermitRequest, own: Iterable[CycleStanding], at: datetime) -> Decision:
    """Judge a request by what is kept. `own`: cycles that the gateway has heard of and the record may not have."""
    station, subject = known.stations.get(request.station), known.subject(request.serial)
    plan = known.plans.get(subject.revision_id) if subject else None
    if station is None or subject is None or plan is None:
        unknown = request.serial if station else f"station {request.station}"
        more = "" if known.is_whole else ", which is not all that is in work"
        return refuse(
            request, f"{unknown} is not among what the gateway knows as of {known.at:%Y-%m-%d %H:%M:%S} UTC{more}"
        )
    if request.components or request.removals:
        return refuse(request, "parts that are fitted or taken out can't be judged without it", plan)
    facts = _facts(known, station, subject, plan, request, own, at)
    judgement = judge(facts, [one for one in subject.waivers if one.ends_at is None or at < one.ends_at])
    step = facts.progress.step
    if unsafe := [rule for rule in judgement.verdicts if rule in UNSAFE]:
        said = Said(Reason.OFFLINE, 1, f"{', '.join(unsafe)} can't be judged without it", facts.text)
        return Decision(plan, step, [*judgement.broken, said])
    return Decision(plan, step, judgement.broken, judgement.waived)


def refuse(request: PermitRequest, why: str, plan: ProductPlan | None = None) -> Decision:
    """Answer no: nothing is known, what is known is too old, or too little."""
    names = {"station": request.station, "serial": request.serial}
    return Decision(plan, None, [Said(Reason.OFFLINE, 1, why, names)])


def _facts(
    known: Standing,
    station: StationStanding,
    subject: SubjectStanding,
    plan: ProductPlan,
    request: PermitRequest,
    own: Iterable[CycleStanding],
    at: datetime,
) -> Facts:
    progress = progress_of(subject, plan, own)
    progress = progress.at(choose_step(progress, station.facts.operations, request.operation))
    step, today = progress.step, at.astimezone(ZoneInfo(station.timezone)).date()
    wanted = step.conditions.certificate if step else None
    certified = {person: held[wanted] for person, held in known.certificates.items() if wanted and wanted in held}
    return Facts(
        at=at,
        today=today,
        serial=request.serial,
        part=plan.part,
        state=subject.state,
        station=station.facts,
        progress=progress,
        holds=subject.holds,
        order=subject.order,
        order_state=subject.order_state,
        asked=Asked(
            operators=request.people,
            certificates=certified,
            tool=request.tool,
            program=request.program_revision,
            recipe_digest=request.recipe_digest,
        ),
        parts=_lots(known, step, request.lots, today, at) if request.lots else {},
    )


def progress_of(subject: SubjectStanding, plan: ProductPlan, own: Iterable[CycleStanding]) -> Progress:
    """Where a unit stands by the record and by what the gateway has heard since."""
    keys = {cycle.key for cycle in subject.cycles}
    more = [cycle for cycle in own if cycle.key not in keys]
    cycles = [*subject.cycles, *(replace(cycle, id=_FIRST_OWN + n) for n, cycle in enumerate(more))]
    steps: defaultdict[int, list[CycleStanding]] = defaultdict(list)
    for cycle in sorted(cycles, key=lambda one: one.id):
        if cycle.operation in plan.steps:
            steps[plan.steps[cycle.operation].id].append(cycle)
    return Progress(plan.steps, {id_: _seen(done) for id_, done in steps.items()}, subject.reworks, None)


def _seen(cycles: Sequence[CycleStanding]) -> StepSeen:
    passes = [cycle for cycle in cycles if cycle.passed]
    return StepSeen(
        [cycle.id for cycle in cycles],
        [cycle.passed for cycle in cycles],
        max((cycle.ended_at for cycle in passes), default=None),
        max((cycle.heard_at for cycle in passes), default=None),
    )


def _lots(
    known: Standing, step: StepPlan | None, numbers: Iterable[str], today: date, at: datetime
) -> Mapping[Reason, Sequence[str]]:
    broken: defaultdict[Reason, list[str]] = defaultdict(list)
    used = {part for item in (step.components if step else ()) if item.trace == "lot" for part in _parts(item)}
    for number in numbers:
        lot = known.lots.get(number)
        if lot is None:
            broken[Reason.LOT_UNKNOWN].append(number)
            continue
        if lot.part not in used:
            broken[Reason.LOT_WRONG].append(number)
        if lot.hold is not None:
            broken[Reason.COMPONENT_ON_HOLD].append(number)
        if lot.left <= 0:
            broken[Reason.LOT_OVERDRAWN].append(f"{number} (nothing left)")
        for reason, said in lot.use.judge(today, at):
            broken[reason].append(said)
    return broken


def _parts(item: BomItemPlan) -> Iterable[str]:
    return (item.part, *item.alternates)
