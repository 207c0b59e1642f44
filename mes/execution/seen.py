"""Gathers, in one read, the facts a permit or a report is decided by."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from mes.cells.matching.pool import PoolCell
from mes.db import ReadSession
from mes.execution.question import Question
from mes.execution.rules import WaiverSeen
from mes.execution.rules.facts import CheckSeen
from mes.execution.rules.progress import StepSeen
from mes.kits.rules import KitSeen


@dataclass(frozen=True, slots=True)
class OpenHold:
    """A hold on one of the units or lots a message names, or on the subject's order."""

    id: int
    unit_id: int | None
    lot_id: int | None
    order_id: int | None
    reason: str
    stops: Sequence[str]
    at_operation: str | None
    opened_at: datetime
    is_behind: bool  # an intercept of the held thing's own route: whoever fits it stands behind it


@dataclass(frozen=True, slots=True)
class Fitted:
    """What stands at a position of the unit already, or was used up in it."""

    part_id: int
    position: int | None
    child_id: int | None
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class LotSeen:
    """How long a lot may be used. `earlier`: a lot of its part that expires before it, where the part asks."""

    expires_on: date | None
    unusable_at: datetime | None
    earlier: str | None


@dataclass(frozen=True, slots=True)
class LastCycle:
    """The station's latest cycle, and what it may take to call the next one a first article."""

    reported_at: datetime
    tool_id: int | None
    lot_ids: frozenset[int]
    shift_started_at: datetime | None


@dataclass(frozen=True, slots=True)
class Seen:
    """All that one read finds out about a message's station, cycle, unit and parts."""

    station_id: int | None
    today: date
    operations: tuple[str, ...]
    due_h: dict[str, float]
    tools: Sequence[tuple[int, str, date | None]]
    checks: Sequence[CheckSeen]
    open_article: str | None  # the first article that waits for its signature
    signals: Sequence[tuple[str, str]]  # of control charts, those that block: the operation and what signalled
    article_failed: bool  # the latest one was signed as failed, and none has been made since
    last_cycle: LastCycle | None
    permit_id: int | None
    permit_serial: str | None
    permit_granted: bool | None
    permit_asked_at: datetime | None
    permit_verdicts: dict[str, tuple[int, str]]
    permit_facts: dict[str, Any]
    permit_waivers: Sequence[int]
    permit_step_id: int | None
    cycle_answer: dict[str, Any] | None
    cycle_digest: bytes | None
    cycle_times: tuple[datetime | None, datetime | None]
    order: str | None
    order_state: str | None
    revisions: dict[int, int]  # part id -> the revision the order was released with
    steps: dict[int, StepSeen]
    reworks: dict[str, int]
    waivers: tuple[WaiverSeen, ...]
    certificates: dict[tuple[str, str], datetime]  # (person, certificate) -> until when
    holds: tuple[OpenHold, ...]
    windows: Sequence[int]  # an open hold of each containment that covers the time and place of this report
    questions: Sequence[tuple[int, str]]  # of containments that are still asked
    lots: dict[int, LotSeen]
    fitted: tuple[Fitted, ...]
    elsewhere: dict[int, int]  # child id -> the parent it is in
    above: frozenset[int]  # what the unit itself is in, all the way up
    kit: KitSeen | None  # of matched cells, where the unit has one
    offered: dict[int, PoolCell]  # the units named, as the matching sees them
    reserved: dict[int, str]  # those of them that are in a kit, with its number


_FITTED = ("part_ids", "positions", "child_ids", "quantities")


async def see(session: ReadSession, question: Question) -> Seen:
    """Gather what is recorded: the caller holds the locks."""
    statement = question.statement()
    values = {name: getattr(question, name) for name in statement.names}
    row = (await session.run(statement, **values))[0]
    get = row.get  # a part that isn't asked for has no columns
    behind = {*(get("units_behind") or ()), *(get("lots_behind") or ())}
    due = {"known_good": row["known_good_h"], "known_bad": row["known_bad_h"], "daily": row["daily_h"]}
    return Seen(
        station_id=row["station_id"],
        today=row["today"],
        operations=tuple(row["operations"] or ()),
        due_h={kind: hours for kind, hours in due.items() if hours is not None},
        tools=[(id_, code, _day(day)) for id_, code, day in _list(row["tools"])],
        checks=[CheckSeen(kind, passed, _time(at), tool) for kind, passed, at, tool in _list(row["checks"])],
        open_article=get("open_article"),
        signals=[tuple(signal) for signal in _list(get("signals"))],
        article_failed=get("article_verdict") == "failed",
        last_cycle=_last_cycle(get("last_cycle")),
        permit_id=row["permit_id"],
        permit_serial=row["permit_serial"],
        permit_granted=row["granted"],
        permit_asked_at=row["asked_at"],
        permit_verdicts=json.loads(row["verdicts"]) if row["verdicts"] else {},
        permit_facts=json.loads(row["facts"]) if row["facts"] else {},
        permit_waivers=row["permit_waivers"] or (),
        permit_step_id=row["permit_step_id"],
        cycle_answer=json.loads(answer) if (answer := get("answer")) else None,
        cycle_digest=get("digest"),
        cycle_times=(get("started_at"), get("ended_at")),
        order=row["order_number"],
        order_state=row["order_state"],
        revisions={int(part): revision for part, revision in json.loads(get("revisions") or "{}").items()},
        steps={step: _step(*cycles) for step, *cycles in _list(row["steps"])},
        reworks=json.loads(row["reworks"] or "{}"),
        waivers=tuple(WaiverSeen(*waiver) for waiver in _list(row["waivers"])),
        certificates={(person, name): _time(until) for person, name, until in _list(get("certificates"))},
        holds=tuple(_hold(hold, behind) for hold in _list(row["holds"])),
        windows=get("windows") or (),
        questions=[(containment, asked) for containment, asked in _list(get("questions"))],
        lots={id_: LotSeen(_day(day), _moment(at), earlier) for id_, day, at, earlier in _list(get("lots"))},
        fitted=tuple(Fitted(*edge) for edge in _columns(*map(get, _FITTED))),
        elsewhere=dict(_columns(get("children"), get("parents"))),
        above=frozenset(get("above") or ()),
        kit=_kit(get("kit")),
        offered={cell[0]: PoolCell(*cell) for cell in _list(get("offered"))},
        reserved=dict(_list(get("reserved"))),
    )


def _kit(told: str | None) -> KitSeen | None:
    if told is None:
        return None
    id_, number, cells = json.loads(told)
    return KitSeen(id_, number, {position: PoolCell(*cell) for position, *cell in cells or ()})


def _step(ids: list[int], passed: list[bool], ended: str | None, reported: str | None) -> StepSeen:
    return StepSeen(ids, passed, _moment(ended), _moment(reported))


def _hold(told: Sequence[Any], behind: Collection[int]) -> OpenHold:
    id_, unit_id, lot_id, order_id, reason, stops, at_operation, opened_at = told
    return OpenHold(id_, unit_id, lot_id, order_id, reason, stops, at_operation, _time(opened_at), id_ in behind)


def _list(told: str | None) -> list[Any]:
    found: list[Any] = json.loads(told) if told else []
    return found


def _time(told: str) -> datetime:
    return datetime.fromisoformat(told)


def _moment(told: str | None) -> datetime | None:
    return datetime.fromisoformat(told) if told else None


def _day(told: str | None) -> date | None:
    return date.fromisoformat(told) if told else None


def _last_cycle(told: str | None) -> LastCycle | None:
    if told is None:
        return None
    reported_at, tool_id, lots, shift = json.loads(told)
    return LastCycle(_time(reported_at), tool_id, frozenset(lots or ()), _moment(shift))


def _columns(*arrays: Sequence[Any] | None) -> Iterable[tuple[Any, ...]]:
    return zip(*(array or () for array in arrays), strict=True)
