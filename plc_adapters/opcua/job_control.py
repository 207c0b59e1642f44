"""ISA-95 Job Control (OPC 10031-4): the permit is a job order, the result its response.

A granted unit becomes a job order by `StoreAndStart`: its `JobOrderID` is the visit's number, its material produced
the serial, its parameters the recipe's. A refused unit gets no order; the reason is written where the mapping's
`arrival.answer` says. The order of a unit that has left unworked is taken back by `Cancel`. A response in state `Ended`
is owed; it says by `JobResult` (OPC 40001-3) whether it went well, and `Clear` forgets it when the MES has the result.
An order that was given is known by `arrival.answer.cycle`, so one asked for again after a reconnect isn't given twice.

Orders and responses are the specification's structures, made and read by the server's own definitions.
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
    NotADocument,
    at,
    curves_at,
    moment,
    parsed,
    report_or_letter,
    value,
)
from plc_adapters.opcua.pki import Access
from plc_adapters.opcua.session import Session, open_session
from plc_adapters.port import ASKER, LinkLost, Problem, Reported, Unreadable
from plc_adapters.profile_settings import JobSettings

JOBS = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/"
OPC_UA = "http://opcfoundation.org/UA/"
ENDED = {"StateText": "Ended", "StateNumber": 5}
NO_ERROR, UNKNOWN_JOB = 0b1, 0b10  # ReturnStatus, annex B.2
PRODUCED, CONSUMED = "Material Produced", "Material Consumed"
_VERDICTS = {1: "passed", 2: "failed"}  # JobResult (OPC 40001-3): successful, unsuccessful


class JobMachine:
    """A connected machine that takes job orders."""

    def __init__(self, station: StationMap, settings: JobSettings, session: Session) -> None:
        self._station = station
        self._settings = settings
        self._session = session
        self._words = AnswerWords(station, session)

    async def prepare(self) -> None:
        """Check what the machine must offer, and be woken by its jobs."""
        settings, arriving = self._settings, arrival_nodes(self._station)
        answering = self._words.nodes
        await self._session.prepare([*arriving, *answering], answering, arriving, self._station.publishing_ms)
        for method in ("StoreAndStart", "Cancel", "Clear"):
            await self._session.method(settings.receiver, JOBS, method)
        for method in ("RequestJobResponseByJobOrderState", "RequestJobResponseByJobOrderID"):
            await self._session.method(settings.provider, JOBS, method)
        await self._session.listen([(OPC_UA, "EventId")], lambda _fields: None)

    async def owed(self, arrival: Arrival | None) -> Owed | None:
        """Return the first job that has ended."""
        del arrival
        responses, status = await self._session.call(
            self._settings.provider, JOBS, "RequestJobResponseByJobOrderState", ("Structure", [ENDED])
        )
        self._check("RequestJobResponseByJobOrderState", status)
        for read in responses or []:
            return self._owed(read)
        return None

    async def acknowledge(self, ids: tuple[str, ...]) -> None:
        """Let the machine forget jobs."""
        for job in ids:
            (status,) = await self._session.call(
                self._settings.receiver, JOBS, "Clear", ("String", job), ("LocalizedText", [])
            )
            if not status & UNKNOWN_JOB:  # it may have forgotten it by itself
                self._check("Clear", status)

    async def lock(self, arrival: Arrival | None) -> None:
        """Take back the order of a unit that has left; one that runs or has ended stays."""
        given = await self._words.given()
        if given and not (arrival and given == arrival.cycle):
            # whether it could be taken back shows in the job's state: a job that has begun ends with a result
            await self._session.call(self._settings.receiver, JOBS, "Cancel", ("String", given), ("LocalizedText", []))
        await self._words.clear(arrival)

    async def answer(self, arrival: Arrival, answer: PermitAnswer | Problem) -> None:
        """Order the job, once, or say why not."""
        if isinstance(answer, PermitAnswer) and answer.granted and await self._words.given() != arrival.cycle:
            await self._order(arrival.cycle, job_order(self._settings, arrival, answer))
        await self._words.write(arrival, answer)

    async def _order(self, job: str, order: dict[str, Any]) -> None:
        """Have an order stored once, also where an earlier try got through and its answer didn't."""
        status = await self._store(order)
        if not status & NO_ERROR:
            await self._session.call(self._settings.receiver, JOBS, "Cancel", ("String", job), ("LocalizedText", []))
            status = await self._store(order)
        if not status & NO_ERROR:
            # one that has begun can't be cancelled, but it is known
            provider, name = self._settings.provider, "RequestJobResponseByJobOrderID"
            _, known = await self._session.call(provider, JOBS, name, ("String", job))
            if not known & NO_ERROR:
                self._check("StoreAndStart", status)

    async def _store(self, order: dict[str, Any]) -> int:
        (status,) = await self._session.call(
            self._settings.receiver, JOBS, "StoreAndStart", ("Structure", order), ("LocalizedText", [])
        )
        return int(status)

    def _owed(self, read: Any) -> Owed:
        try:
            document = parsed(read)
        except NotADocument as error:
            # it has no id to clear it by: it stays in the machine, and with every other job behind it
            reason = f"a job response that is no document: {error.error['read']}"
            raise LinkLost(station=self._station.code, reason=reason) from error
        job = str(document.get("JobOrderID") or "")
        if not job:
            raise LinkLost(station=self._station.code, reason="a job response without its JobOrderID")
        return Owed((job,), job_report(self._station.code, self._settings, job, document))

    def _check(self, method: str, status: Any) -> None:
        if not status & NO_ERROR:
            raise LinkLost(station=self._station.code, reason=f"{method}: status {status:#b}")


def job_order(settings: JobSettings, arrival: Arrival, answer: PermitAnswer) -> dict[str, Any]:
    """Make the order for one unit; pure."""
    recipe = answer.recipe
    order: dict[str, Any] = {
        "JobOrderID": arrival.cycle,
        "Description": [f"{answer.operation or ''} {arrival.serial}".strip()],
        "JobOrderParameters": [{"ID": name, "Value": value} for name, value in recipe.parameters.items()]
        if recipe
        else [],
        "MaterialRequirements": [
            {"MaterialDefinitionID": answer.part, "MaterialLotID": arrival.serial, "MaterialUse": PRODUCED}
        ],
    }
    if recipe:
        order["JobOrderParameters"].append({"ID": "RecipeId", "Value": f"{recipe.name}@{recipe.digest}"})
    if settings.work_master:
        order["WorkMasterID"] = [{"ID": settings.work_master}]
    return order


def job_report(station: str, settings: JobSettings, job: str, document: dict[str, Any]) -> Reported | Unreadable:
    """Make the report of one ended job; pure."""
    cycle = job if CYCLE.fullmatch(job) else number("d", job)
    data = _named(document.get("JobResponseData"))
    material = [one for one in at(document, "MaterialActuals.*") if isinstance(one, dict)]

    def build() -> dict[str, Any]:
        result = data.get("JobResult")
        if result not in _VERDICTS:
            raise NotADocument("JobResponseData JobResult", result, "1 (successful) or 2 (unsuccessful)")
        read = {name: data[key] for name, key in settings.values.items() if key in data}
        recipe = str(data.get("RecipeId") or "")
        return {
            "asker": ASKER,
            "serial": next((one.get("MaterialLotID") for one in material if one.get("MaterialUse") == PRODUCED), None),
            "verdict": _VERDICTS[result],
            "started_at": moment("StartTime", document.get("StartTime")),
            "ended_at": moment("EndTime", document.get("EndTime")),
            "recipe_digest": recipe.rpartition("@")[2] or None,
            "values": {
                name: [value(name, one) for one in (found if isinstance(found, list) else [found])]
                for name, found in read.items()
            },
            "curves": curves_at(data, settings.curves),
            "components": _fitted(material),
        }

    return report_or_letter(station, cycle, document, build)


def _named(parameters: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Values by their names; a parameter with subparameters is a group of them."""
    return {
        str(one.get("ID")): _named(one["Subparameters"]) if one.get("Subparameters") else one.get("Value")
        for one in parameters or ()
    }


def _fitted(material: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was used up of parts, numbered in the order they stand in."""
    counted: dict[Any, int] = {}
    found = []
    for one in material:
        if one.get("MaterialUse") == CONSUMED:
            part = one.get("MaterialDefinitionID")
            counted[part] = counted.get(part, 0) + 1
            found.append({"part": part, "serial": one.get("MaterialLotID"), "position": counted[part]})
    return found


@asynccontextmanager
async def open_port(station: StationMap, access: Access | None = None) -> AsyncIterator[CompanionPort]:
    """Connect to a machine and check what it offers."""
    settings = station.job_control
    assert settings is not None  # noqa: S101  the mapping has seen to it
    async with open_session(station, access) as session:
        machine = JobMachine(station, settings, session)
        await machine.prepare()
        yield CompanionPort(station, session, machine)
