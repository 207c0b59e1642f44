"""Machinery Result Transfer (OPC 40001-101): a machine that keeps its results until they are acknowledged.

`GetResultIdListFiltered` says which results there are, in the machine's order, on every connect, after every
`ResultReadyEvent` and every second; `GetResultById` fetches one; `AcknowledgeResults` is called once the MES has it. A
server that goes on listing what is acknowledged is not asked for that again, but for all of it after a reconnect: the
MES knows its cycles.

The specification has no interlock. A permit is written where the mapping's `arrival.answer` says; the machine hands
its `cycle` back as the result's `JobId`. A result without one was not asked for: its number is made of its id.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mes.execution.messages import PermitAnswer
from plc_adapters.mapping import StationMap
from plc_adapters.opcua.companion import (
    CYCLE,
    AnswerWords,
    Arrival,
    CompanionPort,
    Owed,
    arrival_nodes,
    number,
)
from plc_adapters.opcua.documents import (
    NOBODY,
    NotADocument,
    at,
    curves_at,
    moment,
    one_at,
    parsed,
    report_or_letter,
    values_at,
)
from plc_adapters.opcua.pki import Access
from plc_adapters.opcua.session import Session, open_session
from plc_adapters.port import ASKER, LinkLost, Problem, Reported, Unreadable
from plc_adapters.profile_settings import ResultSettings

RESULT = "http://opcfoundation.org/UA/Machinery/Result/"
TIMEOUT_MS = 10_000  # a hint to the machine how long it should hold what it lists
OPC_UA = "http://opcfoundation.org/UA/"
MOST_LISTED = 100
_VERDICTS = {1: "passed", 2: "failed"}  # ResultEvaluation: OK, not OK


class ResultMachine:
    """A connected machine with results."""

    def __init__(self, station: StationMap, settings: ResultSettings, session: Session) -> None:
        self._station = station
        self._settings = settings
        self._session = session
        self._words = AnswerWords(station, session)
        self._done: set[str] = set()

    async def prepare(self) -> None:
        """Check what the machine must offer, and be woken by its results."""
        arriving, answering = arrival_nodes(self._station), self._words.nodes
        await self._session.prepare([*arriving, *answering], answering, arriving, self._station.publishing_ms)
        kept = ("AcknowledgeResults",) if self._settings.acknowledges else ()
        for method in ("GetResultIdListFiltered", "GetResultById", *kept):
            await self._session.method(self._settings.results, RESULT, method)
        await self._session.listen([(OPC_UA, "EventId")], lambda _fields: None)

    async def owed(self, arrival: Arrival | None) -> Owed | None:
        """Fetch the oldest result that is not acknowledged."""
        del arrival
        results = self._settings.results
        handle, listed, error = await self._session.call(
            results,
            RESULT,
            "GetResultIdListFiltered",
            ("ContentFilter", None),
            ("ExtensionObject", []),
            # a machine that goes on listing what is acknowledged must not hide the others behind it
            ("UInt32", MOST_LISTED + len(self._done)),
            ("Int32", TIMEOUT_MS),
        )
        self._check("GetResultIdListFiltered", error)
        waiting = [str(one) for one in listed or []]
        self._done &= set(waiting)
        key = next((one for one in waiting if one not in self._done), None)
        owed = await self._fetched(key) if key is not None else None
        if handle:
            await self._session.call(results, RESULT, "ReleaseResultHandle", ("UInt32", handle))
        return owed

    async def acknowledge(self, ids: tuple[str, ...]) -> None:
        """Tell the machine that these results are kept."""
        if self._settings.acknowledges:
            errors, error = await self._session.call(
                self._settings.results, RESULT, "AcknowledgeResults", ("String", list(ids))
            )
            self._check("AcknowledgeResults", error, errors)
        self._done.update(ids)

    async def lock(self, arrival: Arrival | None) -> None:
        """Take the last unit's permit back."""
        await self._words.clear(arrival)

    async def answer(self, arrival: Arrival, answer: PermitAnswer | Problem) -> None:
        """Write the answer for the unit that is there."""
        await self._words.write(arrival, answer)

    async def _fetched(self, key: str) -> Owed:
        handle, read, error = await self._session.call(
            self._settings.results, RESULT, "GetResultById", ("String", key), ("Int32", TIMEOUT_MS)
        )
        self._check("GetResultById", error)
        if handle:
            await self._session.call(self._settings.results, RESULT, "ReleaseResultHandle", ("UInt32", handle))
        return Owed((key,), machine_report(self._station.code, self._settings, key, read))

    def _check(self, method: str, error: Any, more: Any = "") -> None:
        if error:
            raise LinkLost(station=self._station.code, reason=f"{method}: error {error} {more}".strip())


def machine_report(station: str, settings: ResultSettings, key: str, read: Any) -> Reported | Unreadable:
    """Make the report of one result; pure."""
    try:
        document = parsed(read)
    except NotADocument as error:
        problem = Problem(422, "Unreadable", "The machine's result is no document.", (error.error,))
        return Unreadable(NOBODY, station, number("d", key), True, problem, {"ResultId": key, "Result": repr(read)})
    job = str(one_at(document, "ResultMetaData.JobId") or "")
    cycle = job if CYCLE.fullmatch(job) else number("d", key)

    def build() -> dict[str, Any]:
        evaluation = one_at(document, "ResultMetaData.ResultEvaluation")
        if evaluation not in _VERDICTS:
            raise NotADocument("ResultMetaData.ResultEvaluation", evaluation, "1 (OK) or 2 (not OK)")
        times = "ResultMetaData.ProcessingTimes"
        values = {name: values_at(document, path) for name, path in settings.values.items()}
        fitted = {part: at(document, path) for part, path in settings.components.items()}
        return {
            "asker": ASKER,
            "serial": one_at(document, "ResultMetaData.PartId"),
            "verdict": _VERDICTS[evaluation],
            "started_at": moment(f"{times}.StartTime", one_at(document, f"{times}.StartTime")),
            "ended_at": moment(f"{times}.EndTime", one_at(document, f"{times}.EndTime")),
            "tool": one_at(document, settings.tool) if settings.tool else None,
            "program_revision": one_at(document, settings.program_revision) if settings.program_revision else None,
            "values": {name: found for name, found in values.items() if found},
            "curves": curves_at(document, settings.curves),
            "components": [
                {"part": part, "serial": serial, "position": position}
                for part, serials in fitted.items()
                for position, serial in enumerate(serials, 1)
            ],
        }

    return report_or_letter(station, cycle, document, build)


@asynccontextmanager
async def open_port(station: StationMap, access: Access | None = None) -> AsyncIterator[CompanionPort]:
    """Connect to a machine and check what it offers."""
    settings = station.machinery_result
    assert settings is not None  # noqa: S101  the mapping has seen to it
    async with open_session(station, access) as session:
        machine = ResultMachine(station, settings, session)
        await machine.prepare()
        yield CompanionPort(station, session, machine)
