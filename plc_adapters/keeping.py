"""The door that is always open: the MES where it answers; else this PC's own answers, and its disk."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import structlog
from pydantic import ValidationError

from mes import clock
from mes.execution import answers
from mes.execution.messages import (
    OfflineAnswer,
    OfflinePermit,
    PermitAnswer,
    PermitRequest,
    RecipeAnswer,
    ReportAnswer,
    ResultReport,
)
from mes.execution.standing import STANDING
from plc_adapters import metrics
from plc_adapters.dead_letters import DeadLetters
from plc_adapters.door import DoorClosed, NotUnderstood
from plc_adapters.known import Known, touched
from plc_adapters.port import KEPT, Problem, Reported, Turn, Unreadable
from plc_adapters.spool import ALARM, Spool, SpoolFull, units_of
from plc_adapters.waiting import Entry

log = structlog.get_logger()
M = TypeVar("M", PermitRequest, ResultReport)
A = TypeVar("A")
AT_ONCE = 8  # entries under way to the MES; those of one unit one after the other
LOOKED_AT = 500  # of the oldest entries, for some that can be brought
REMEMBER_EVERY_S = 30.0
WHOLE_EVERY_S = 30.0
FOLLOW_S, TOGETHER_S = 5.0, 0.5  # how long to wait for what changes; what changes within a moment is read at once
TRIED_EVERY_S = 1.0  # what waits for the MES: soon there when it is back, and no load while it is away


class MesDoor(Protocol):
    """What the MES offers a gateway. Each call is one try; DoorClosed says that it may be repeated."""

    async def permit(self, request: PermitRequest) -> PermitAnswer:
        """Ask; the same cycle number gets the same answer."""
        ...

    async def report(self, report: ResultReport) -> ReportAnswer:
        """Report; when this returns, the result is committed."""
        ...

    async def links(self, gateway: str, stations: list[dict[str, Any]]) -> None:
        """Tell the state of the links."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether the last try found nobody."""
        ...

    @property
    def closed_for_s(self) -> float:
        """For how long nobody was found; 0: the last try found it."""
        ...

    async def offline(self, permit: OfflinePermit) -> OfflineAnswer:
        """Tell what was answered without the MES."""
        ...

    async def standing(self, stations: Sequence[str], serials: Sequence[str] = ()) -> bytes:
        """Read what is to be kept for these stations, as JSON; of these serials alone, if there are any."""
        ...

    async def newest_event(self) -> int:
        """Where the MES's stream of events ends now."""
        ...

    async def events(self, after: int, wait_s: float) -> tuple[list[dict[str, Any]], int]:
        """What was told past an event, waiting for the first; and where to go on."""
        ...


class KeepingDoor:
    """Asks the MES; while it is away, keeps results on disk and answers permits by what is known.

    What waits of a unit keeps its order: whatever else is said of the unit comes behind it.
    """

    def __init__(
        self,
        mes: MesDoor,
        spool: Spool,
        known: Known,
        letters: DeadLetters,
        *,
        patience_s: float = 2.0,
        refuses_after_s: float = 10.0,
    ) -> None:
        self._refuses_after_s = refuses_after_s
        self.spool, self.known = spool, known
        self._mes, self._letters, self._patience_s = mes, letters, patience_s
        self._is_full = self._is_alarmed = False

    async def recall(self) -> None:
        """Take up what was known, and what was heard, before a restart."""
        kept = self.spool.remembered("standing")
        at, _, body = (kept or "").partition("\n")
        try:
            if kept:
                self.known.take(STANDING.validate_json(body), datetime.fromisoformat(at))
        except ValidationError:
            log.warning("standing_of_another_version", problem="what was kept is of another version")
        async for report in self.spool.results():
            self.known.heard(report)

    async def permit(self, request: PermitRequest) -> PermitAnswer:
        """Ask; the same cycle number gets the same answer, whoever gave it."""
        if kept := await self.spool.answer_of(request.station, request.cycle):
            return kept
        answer = await self._try(request, self._mes.permit, self._patience_s)
        if answer is None and self._mes.closed_for_s < self._refuses_after_s and self._is_refused(request):
            # what is known may lag behind: better a short wait at the station than a refusal that the MES wouldn't give
            answer = await self._try(request, self._mes.permit, self._refuses_after_s, is_patient=True)
        return answer if answer is not None else await self._answer(request)

    async def report(self, report: ResultReport) -> ReportAnswer:
        """Report; when this returns, the result is the MES's or on this PC's disk."""
        heard_at = clock.now()
        answer = await self._try(report, self._mes.report, self._patience_s)
        if answer is not None:
            self.known.heard(report.model_copy(update={"heard_at": heard_at}), answer.verdict)
            return answer
        return await self._keep(report.model_copy(update={"heard_at": heard_at}))

    async def links(self, gateway: str, stations: list[dict[str, Any]]) -> None:
        """Tell the state of the links once; DoorClosed when it can't be told."""
        await self._mes.links(gateway, stations)

    def recipe_for(self, request: PermitRequest) -> RecipeAnswer | None:
        """The recipe that the step asked for needs, as far as is known."""
        step = self.known.step_of(request)
        if step is None or step.recipe is None:
            return None
        return RecipeAnswer(name=step.recipe.name, digest=step.recipe.digest, parameters=step.recipe.parameters)

    async def forward(self) -> None:
        """Bring what waits to the MES, oldest first, for ever."""
        busy: dict[asyncio.Task[Any], Entry] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                self.spool.arrived.clear()
                units = {unit for entry in busy.values() for unit in entry.units}
                for entry in self.spool.waiting.oldest_first(units, LOOKED_AT):
                    if len(busy) == AT_ONCE:
                        break
                    busy[tasks.create_task(self._bring(entry))] = entry
                news = tasks.create_task(self.spool.arrived.wait())
                done, _ = await asyncio.wait({news, *busy}, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                for task in done - {news}:
                    del busy[task]

    async def keep_known(self, stations: Sequence[str], every_s: float = WHOLE_EVERY_S) -> None:
        """Keep what is known fresh, and over a restart: read it whole, then whatever changes.

        Whole again every so often, should something have changed and told nothing.
        """
        self._written_at, problem = clock.now() - timedelta(seconds=REMEMBER_EVERY_S), ""
        while True:
            try:
                event = await self._mes.newest_event()  # before what is read: what happens meanwhile is told again
                began = time.monotonic()
                await self._read(stations)
                took_s = time.monotonic() - began
                await self._follow(stations, event, every_s)
                problem = ""
                # where very much changes, reading all of it takes half of the time at most
                await asyncio.sleep(began + 2 * took_s - time.monotonic())
            except Exception as error:  # noqa: BLE001 - the outermost loop: what is known grows old, stations go on
                told, problem = problem, f"{type(error).__name__} {error}"[:300]
                if problem != told and not self._mes.is_closed:  # else the door has said it
                    log.warning("standing_not_read", problem=problem)
                await asyncio.sleep(TRIED_EVERY_S if isinstance(error, DoorClosed) else FOLLOW_S)
            self._show_age()

    async def _follow(self, stations: Sequence[str], event: int, for_s: float) -> None:
        """Read what changes for so long, or until something changed of who knows which units."""
        until = time.monotonic() + for_s
        while (left_s := until - time.monotonic()) > 0:
            self._show_age()
            await asyncio.sleep(min(TOGETHER_S, left_s))
            asked_at = clock.now()
            events, event = await self._mes.events(event, min(FOLLOW_S, left_s))
            serials = touched(events)
            if serials is None:
                return
            if serials:
                await self._read(stations, sorted(serials))
            else:
                self.known.confirm(asked_at)

    async def _read(self, stations: Sequence[str], serials: Sequence[str] = ()) -> None:
        asked_at = clock.now()
        waiting = set(self.spool.waiting.keys("result"))
        body = await self._mes.standing(stations, serials)
        self.known.take(await asyncio.to_thread(STANDING.validate_json, body), asked_at, waiting)
        if self.known.standing and (asked_at - self._written_at).total_seconds() >= REMEMBER_EVERY_S:
            self._written_at = asked_at
            whole = await asyncio.to_thread(STANDING.dump_json, self.known.standing)
            await self.spool.remember("standing", f"{asked_at.isoformat()}\n{whole.decode()}")

    def _show_age(self) -> None:
        metrics.known_age.set((clock.now() - self.known.read_at).total_seconds() if self.known.read_at else -1)

    async def _try(
        self, message: M, asks: Callable[[M], Awaitable[A]], within_s: float, *, is_patient: bool = False
    ) -> A | None:
        """Try the MES for so long, or once where it is known to be away and nobody is patient; None: it is away."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                if self.spool.waiting.holds(units_of(message)):
                    if self._mes.is_closed and not is_patient:
                        return None
                    await self.spool.until_free(units_of(message))
                while True:
                    was_closed = self._mes.is_closed
                    try:
                        return await asks(message)
                    except DoorClosed:
                        if was_closed and not is_patient:
                            return None
                        await asyncio.sleep(0.1)
        return None

    def _is_refused(self, request: PermitRequest) -> bool:
        return bool(self.known.decide(request, clock.now()).said)

    async def _answer(self, request: PermitRequest) -> PermitAnswer:
        at = clock.now()
        decision = self.known.decide(request, at)
        answer = answers.permit(request, decision.plan, decision.step, decision.said, decision.waivers)
        permit = OfflinePermit(
            request=request,
            granted=answer.granted,
            refusals=[said.code for said in decision.said],
            details={said.code: said.detail[:4_000] for said in decision.said},
            asked_at=at,
            facts_at=self.known.read_at,
        )
        await self._until_kept(lambda: self.spool.keep_permit(permit, answer), request.station)
        metrics.offline_permits.labels(request.station, "granted" if answer.granted else "refused").inc()
        return answer

    async def _keep(self, report: ResultReport) -> ReportAnswer:
        if not await self._until_kept(lambda: self.spool.keep_result(report), report.station):
            detail = f"Another result is kept under cycle {report.cycle} of station {report.station}."
            raise NotUnderstood(Problem(409, "CycleReused", detail))
        verdict = self.known.heard(report)
        return ReportAnswer(
            station=report.station,
            cycle=report.cycle,
            serial=report.serial,
            operation=report.operation,
            verdict=verdict,
            station_verdict=report.verdict,
            unit_state=KEPT,
        )

    async def _until_kept(self, keep: Callable[[], Awaitable[A]], station: str) -> A:
        """Keep, or stand still for as long as the disk is full: nothing is acknowledged that isn't kept."""
        while True:
            try:
                kept = await keep()
            except SpoolFull as error:
                if not self._is_full:
                    log.error("spool_full", station=station, reason=str(error))
                    self._is_full = True
                metrics.spool_fill.set(1)
                await asyncio.sleep(1.0)
                continue
            if self._is_full:
                log.info("spool_has_room", fill=round(self.spool.fill, 2))
            self._is_full = False
            metrics.spool_fill.set(self.spool.fill)
            metrics.spooled.labels(station).set(self.spool.waiting.count(station))
            if (self.spool.fill >= ALARM) != self._is_alarmed:
                self._is_alarmed = not self._is_alarmed
                log.warning("spool_alarm" if self._is_alarmed else "spool_alarm_over", fill=round(self.spool.fill, 2))
            return kept

    async def _bring(self, entry: Entry) -> None:
        wait_s = 0.2
        while not await self._is_brought(entry):
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, TRIED_EVERY_S)
        await self.spool.remove(entry)
        metrics.spooled.labels(entry.station).set(self.spool.waiting.count(entry.station))
        metrics.spool_fill.set(self.spool.fill)

    async def _is_brought(self, entry: Entry) -> bool:
        """Tell the MES once. What it can't understand becomes a dead letter, and is brought as well."""
        try:
            message = await self.spool.message(entry)
            if isinstance(message, str):
                problem = Problem(
                    422, "AnotherVersion", "Kept by another version of the gateway, this one can't read it."
                )
                await self._set_aside(entry, message, problem)
            elif isinstance(message, OfflinePermit):
                await self._judge_again(message)
            else:
                await self._mes.report(message)
        except DoorClosed:
            return False
        except NotUnderstood as error:
            await self._set_aside(entry, message, error.problem)
        except Exception as error:  # noqa: BLE001 - nothing that one entry meets ends the others, and the stations
            log.warning("entry_not_brought", station=entry.station, cycle=entry.cycle, problem=repr(error)[:300])
            return False
        return True

    async def _set_aside(self, entry: Entry, message: ResultReport | OfflinePermit | str, problem: Problem) -> None:
        """Keep what the MES can't be told as a dead letter; it leaves the spool when it is in its folder."""
        heard: Reported | Unreadable
        turn = Turn("spool", entry.id)
        if isinstance(message, ResultReport):
            heard = Reported(turn, message)
        else:
            kept = message if isinstance(message, str) else message.model_dump_json()
            heard = Unreadable(turn, entry.station, entry.cycle, entry.kind == "result", problem, {entry.kind: kept})
        while True:
            try:
                path = await asyncio.to_thread(self._letters.keep, heard, problem)
                break
            except OSError as error:
                log.error("dead_letter_not_written", station=entry.station, reason=str(error))
                await asyncio.sleep(FOLLOW_S)
        log.error("dead_letter", station=entry.station, file=str(path), problem=problem.text)

    async def _judge_again(self, permit: OfflinePermit) -> None:
        told = await self._mes.offline(permit)
        for one in told.contradictions:
            log.warning("permit_contradicted", station=told.station, serial=told.serial, why=one.text)
