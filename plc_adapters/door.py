"""The station door of the MES over HTTP: ask a permit, report a result, tell the state of the links."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import urlencode

import aiohttp
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from mes.errors import MesError
from mes.execution.messages import (
    OfflineAnswer,
    OfflinePermit,
    PermitAnswer,
    PermitRequest,
    RecipeAnswer,
    ReportAnswer,
    ResultReport,
)
from mes.log import HEADER
from plc_adapters import metrics
from plc_adapters.port import Problem

log = structlog.get_logger()
Answer = TypeVar("Answer", bound=BaseModel)
# The key, the clock or the load is wrong, not the message: waiting and asking again is right.
_NOT_THE_MESSAGE = {401, 403, 408, 425, 429}
_MOST_EVENTS = 1000


class DoorClosed(MesError):
    """The MES can't be asked at the moment: {reason}."""

    status = 503


class NotUnderstood(MesError):
    """The MES can't understand a message: {reason}."""

    status = 422

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(reason=problem.text)


class Door(Protocol):
    """Where the gateway takes what its stations say. NotUnderstood: waiting doesn't help."""

    async def permit(self, request: PermitRequest) -> PermitAnswer:
        """Ask; the same cycle number gets the same answer."""
        ...

    async def report(self, report: ResultReport) -> ReportAnswer:
        """Report; when this returns, the result is kept for good."""
        ...

    async def links(self, gateway: str, stations: list[dict[str, Any]]) -> None:
        """Tell the state of the links once; DoorClosed when it can't be told."""
        ...

    def recipe_for(self, request: PermitRequest) -> RecipeAnswer | None:
        """The recipe that the step asked for needs, as far as is known."""
        ...


class HttpDoor:
    """The door of a running MES. Connections are kept. Each call is one try; after DoorClosed it may be repeated."""

    def __init__(self, url: str, key: SecretStr) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._closed_since: float | None = None

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._key.get_secret_value()}"},
            timeout=aiohttp.ClientTimeout(total=10, sock_connect=3),
            # kept for less than the MES keeps them: its end of a connection must not cross a request
            connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=60),
            # The MES stands in the plant's own network: a proxy for the outer world must not come between.
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    @property
    def is_closed(self) -> bool:
        """Whether the last try found nobody."""
        return self._closed_since is not None

    @property
    def closed_for_s(self) -> float:
        """For how long nobody was found; 0: the last try found it."""
        return 0.0 if self._closed_since is None else time.monotonic() - self._closed_since

    async def permit(self, request: PermitRequest) -> PermitAnswer:
        """Ask."""
        with metrics.permit_seconds.labels(request.station).time():
            return await self._ask("/api/station/permit", request, f"{request.station}/{request.cycle}", PermitAnswer)

    async def report(self, report: ResultReport) -> ReportAnswer:
        """Report; committed when it returns."""
        with metrics.report_seconds.labels(report.station).time():
            return await self._ask("/api/station/report", report, f"{report.station}/{report.cycle}", ReportAnswer)

    async def offline(self, permit: OfflinePermit) -> OfflineAnswer:
        """Tell what was answered without the MES."""
        asked = permit.request
        return await self._ask("/api/station/offline", permit, f"{asked.station}/{asked.cycle}", OfflineAnswer)

    async def standing(self, stations: Sequence[str], serials: Sequence[str] = ()) -> bytes:
        """Read what is to be kept for these stations, as JSON; of these serials alone, if there are any."""
        asked = urlencode({"station": stations, "serial": serials}, doseq=True)
        return (await self._get(f"/api/station/standing?{asked}", "standing")).content

    async def newest_event(self) -> int:
        """Where the MES's stream of events ends now."""
        found = await self._get("/api/events?limit=1", "events")
        return int(found.headers["X-Events-Newest"])

    async def events(self, after: int, wait_s: float) -> tuple[list[dict[str, Any]], int]:
        """What was told past an event, waiting for the first; and where to go on."""
        asked = urlencode({"after": after, "limit": _MOST_EVENTS, "wait_s": round(wait_s, 1)})
        found = await self._get(f"/api/events?{asked}", "events")
        return json.loads(found.content), int(found.headers["X-Events-Next"])

    async def links(self, gateway: str, stations: list[dict[str, Any]]) -> None:
        """Tell the state of the links, once."""
        told = json.dumps({"gateway": gateway, "stations": stations}).encode()
        self._require(await self._send("POST", "/api/links", "links", told))

    async def _get(self, path: str, request_id: str) -> "_Response":
        return self._require(await self._send("GET", path, request_id))

    def _require(self, response: "_Response") -> "_Response":
        self._note_open()
        if response.status >= 300:
            raise DoorClosed(reason=_problem(response).detail)
        return response

    async def _ask(self, path: str, message: BaseModel, request_id: str, answer: type[Answer]) -> Answer:
        response = await self._send("POST", path, request_id, message.model_dump_json().encode())
        if 400 <= response.status < 500:
            self._note_open()
            raise NotUnderstood(_problem(response))
        try:
            read = answer.model_validate_json(response.content)
        except ValidationError as error:
            # Gateway and MES are of different versions: nothing is lost, and nothing moves until they match.
            self._note_closed(f"its answer is of another version: {error.errors(include_url=False)[:3]}")
            raise DoorClosed(reason="its answer is of another version") from error
        self._note_open()
        return read

    async def _send(self, method: str, path: str, request_id: str, body: bytes | None = None) -> "_Response":
        headers = {HEADER: request_id, "Content-Type": "application/json"}
        try:
            async with self._client.request(
                method, self._url + path, data=body, headers=headers, allow_redirects=False
            ) as heard:
                response = _Response(heard.status, heard.headers, await heard.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = f"{type(error).__name__} {error}".strip()
            self._note_closed(why)
            raise DoorClosed(reason=why) from error
        if response.status >= 500 or response.status in _NOT_THE_MESSAGE or _not_the_mes(response):
            self._note_closed(f"{response.status} {_problem(response).detail}")
            raise DoorClosed(reason=f"status {response.status}")
        return response

    def _note_closed(self, reason: str) -> None:
        metrics.door_open.set(0)
        if self._closed_since is None:
            self._closed_since = time.monotonic()
            log.warning("door_closed", url=self._url, reason=reason)

    def _note_open(self) -> None:
        metrics.door_open.set(1)
        if self._closed_since is not None:
            log.info("door_open_again", url=self._url, after_s=round(time.monotonic() - self._closed_since, 1))
            self._closed_since = None


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: Mapping[str, str]
    content: bytes


def _is_problem(response: _Response) -> bool:
    return response.headers.get("Content-Type", "").startswith("application/problem+json")


def _not_the_mes(response: _Response) -> bool:
    # A proxy or a wrong address answers so; the MES explains its own refusals.
    return response.status in {404, 405} and not _is_problem(response)


def _problem(response: _Response) -> Problem:
    fallback = Problem(response.status, "Unexplained", f"The MES answered {response.status}.")
    if not _is_problem(response):
        return fallback
    try:
        said = json.loads(response.content)
    except ValueError:
        return fallback
    return Problem(
        status=response.status,
        code=str(said.get("code", "")),
        detail=str(said.get("detail") or said.get("title") or ""),
        errors=tuple(one for one in said.get("errors") or () if isinstance(one, dict)),
    )
