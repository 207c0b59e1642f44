"""Industrial Joining (OPC 40450-1, 40451-1): tightening systems with curves, and results they keep until acknowledged.

The interlock is `EnableAsset`: the tool is disabled before a unit is asked for and enabled by its permit alone. The
permit sends the serial and the visit's number as text identifiers; the system attaches them to its results, so a
result says which visit it belongs to. Results come by event; `RequestUnacknowledgedResults` brings again what was
missed, on every connect and every few seconds. `AcknowledgeResults` is called when the report is kept for good, so
joints gathered for a report that isn't complete are still the system's, and a gateway that dies forgets nothing.

The event's field `Result` is taken as JSON text, see `documents`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
    is_granted,
    number,
)
from plc_adapters.opcua.documents import NotADocument, at, one_at, parsed
from plc_adapters.opcua.joints import joint_report
from plc_adapters.opcua.pki import Access
from plc_adapters.opcua.session import Session, open_session
from plc_adapters.port import LinkLost, Problem
from plc_adapters.profile_settings import JoiningSettings

IJT = "http://opcfoundation.org/UA/IJT/Base/"
RESULT = "http://opcfoundation.org/UA/Machinery/Result/"
ASK_AGAIN_S = 5.0  # an event may be lost: what is unacknowledged is asked for this often
SINGLE = 1  # ResultMetaData.Classification; what is above gathers several


@dataclass(slots=True)
class _Group:
    """The results of one visit of a unit, as they came."""

    cycle: str | None
    serial: str
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)


class JoiningSystem:
    """A connected joining system."""

    def __init__(self, station: StationMap, settings: JoiningSettings, session: Session) -> None:
        self._station = station
        self._settings = settings
        self._session = session
        self._words = AnswerWords(station, session)
        self._heard: dict[str, Any] = {}
        self._done: set[str] = set()
        self._asked_at = -ASK_AGAIN_S

    async def prepare(self) -> None:
        """Check what the system must offer, and listen to its results."""
        settings, arriving = self._settings, arrival_nodes(self._station)
        answering = self._words.nodes
        await self._session.prepare([*arriving, *answering], answering, arriving, self._station.publishing_ms)
        await self._session.method(settings.results, IJT, "RequestUnacknowledgedResults")
        await self._session.method(settings.results, RESULT, "AcknowledgeResults")
        if settings.assets:
            await self._session.method(settings.assets, IJT, "EnableAsset")
            await self._session.method(settings.assets, IJT, "SendTextIdentifiers")
        await self._session.listen([(RESULT, "Result")], self._take)

    async def owed(self, arrival: Arrival | None) -> Owed | None:
        """Return the first report that is complete."""
        now = asyncio.get_running_loop().time()
        if now - self._asked_at >= ASK_AGAIN_S:
            self._asked_at = now
            *_, status, text = await self._session.call(
                self._settings.results, IJT, "RequestUnacknowledgedResults", ("UInt32", 0), ("Double", 0.0)
            )
            self._check("RequestUnacknowledgedResults", status, text)
        groups: dict[tuple[str | None, str], _Group] = {}
        for key, read in self._heard.items():
            try:
                document = parsed(read)
            except NotADocument:
                return self._alone(key, {"Result": read})
            serial, cycle = self._belongs(document)
            if serial is None:
                return self._alone(key, document)
            # a result of another unit says that the one before has got all it will get
            for other in groups.values():
                if (other.cycle, other.serial) != (cycle, serial):
                    return self._report(other)
            group = groups.setdefault((cycle, serial), _Group(cycle, serial))
            group.documents[key] = document
            if self._is_complete(group):
                return self._report(group)
        for group in groups.values():
            if arrival and group.cycle and group.cycle != arrival.cycle:
                return self._report(group)
        return None

    async def acknowledge(self, ids: tuple[str, ...]) -> None:
        """Tell the system that these results are kept."""
        known = [one for one in ids if not one.startswith("raw-")]
        if known:
            call = self._session.call(self._settings.results, RESULT, "AcknowledgeResults", ("String", known))
            errors, error = await call
            if error:
                raise LinkLost(station=self._station.code, reason=f"AcknowledgeResults: error {error} {errors}")
        self._done.update(ids)
        for one in ids:
            self._heard.pop(one, None)

    async def lock(self, arrival: Arrival | None) -> None:
        """Disable the tool, unless it was enabled for this very visit."""
        if arrival is None or await self._words.given() != arrival.cycle:
            await self._enable(False)
        await self._words.clear(arrival)

    async def answer(self, arrival: Arrival, answer: PermitAnswer | Problem) -> None:
        """Enable the tool for this unit, or leave it disabled; say why where the mapping has a place for it."""
        if self._settings.assets and is_granted(answer):
            identifiers = [arrival.serial, arrival.cycle]
            status, text = await self._session.call(
                self._settings.assets,
                *(IJT, "SendTextIdentifiers", ("String", self._settings.asset_uri), ("String", identifiers)),
            )
            self._check("SendTextIdentifiers", status, text)
        await self._enable(is_granted(answer))
        await self._words.write(arrival, answer)

    async def _enable(self, enabled: bool) -> None:
        if self._settings.assets:
            status, text = await self._session.call(
                self._settings.assets,
                *(IJT, "EnableAsset", ("String", self._settings.asset_uri), ("Boolean", enabled)),
            )
            self._check("EnableAsset", status, text)

    def _check(self, method: str, status: Any, text: Any) -> None:
        if status:
            raise LinkLost(station=self._station.code, reason=f"{method}: status {status} {getattr(text, 'Text', '')}")

    def _take(self, fields: list[Any]) -> None:
        (read,) = fields
        if read is None:
            return  # another kind of event
        try:
            key = str(one_at(parsed(read), "ResultMetaData.ResultId") or "")
        except NotADocument:
            key = ""
        key = key or number("raw", read)
        if key not in self._done:
            self._heard.setdefault(key, read)

    def _belongs(self, document: dict[str, Any]) -> tuple[str | None, str | None]:
        """Whose result it is: the unit's serial, and the number of its visit where the permit had sent one."""
        entities = at(document, "ResultMetaData.AssociatedEntities.*")
        named = {one.get("Name"): one.get("EntityId") for one in entities if isinstance(one, dict)}
        ids = [str(one.get("EntityId") or "") for one in entities if isinstance(one, dict)]
        cycle = next((one for one in ids if CYCLE.fullmatch(one)), None)
        serial = named.get(self._settings.serial_entity)
        return (str(serial) if serial else None), cycle

    def _is_complete(self, group: _Group) -> bool:
        documents = group.documents.values()
        if any((one_at(one, "ResultMetaData.Classification") or SINGLE) > SINGLE for one in documents):
            return True
        if self._settings.closes == "job":
            return False
        path = "ResultMetaData.AssociatedEntities.*"
        entities = [one for document in documents for one in at(document, path)]
        named = {one.get("EntityId") for one in entities if one.get("Name") == self._settings.joint_entity}
        return named >= set(self._settings.joints)

    def _report(self, group: _Group) -> Owed:
        cycle = group.cycle or number("d", *group.documents)
        said = joint_report(self._station.code, self._settings, cycle, group.serial, list(group.documents.values()))
        return Owed(tuple(group.documents), said)

    def _alone(self, key: str, words: dict[str, Any]) -> Owed:
        said = joint_report(self._station.code, self._settings, number("d", key), "", [words])
        return Owed((key,), said)


@asynccontextmanager
async def open_port(station: StationMap, access: Access | None = None) -> AsyncIterator[CompanionPort]:
    """Connect to a joining system and check what it offers."""
    settings = station.joining
    assert settings is not None  # noqa: S101  the mapping has seen to it
    async with open_session(station, access) as session:
        system = JoiningSystem(station, settings, session)
        await system.prepare()
        yield CompanionPort(station, session, system)
