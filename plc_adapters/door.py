"""The station door of the MES over HTTP: ask a permit, report a result, tell the state of the links."""

import json
import time
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import urlencode

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
from plc_adapters.http_links import HttpLinks, Response, Unreachable
from plc_adapters.port import Problem

log = structlog.get_logger()
Answer = TypeVar("Answer", bound=BaseModel)
# The key, the clock or the load is wrong, not the message: waiting and asking again is right.
_NOT_THE_MESSAGE = {401, 403, 408, 425, 429}


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
        self._links = HttpLinks(url, {"Authorization": f"Bearer {key.get_secret_value()}"})
        self._url = url
        self._closed_since: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._links.close()

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

    async def standing(self, stations: list[str]) -> bytes:
        """Read what is to be kept for these stations, as JSON."""
        asked = urlencode({"station": stations}, doseq=True)
        response = await self._send("GET", f"/api/station/standing?{asked}", "standing")
        self._note_open()
        if response.status >= 300:
            raise DoorClosed(reason=_problem(response).detail)
        return response.content

    async def links(self, gateway: str, stations: list[dict[str, Any]]) -> None:
        """Tell the state of the links, once."""
        told = {"gateway": gateway, "stations": stations}
        response = await self._send("POST", "/api/links", "links", json.dumps(told).encode())
        self._note_open()
        if response.status >= 300:
            raise DoorClosed(reason=_problem(response).detail)

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

    async def _send(self, method: str, path: str, request_id: str, body: bytes = b"") -> Response:
        headers = {HEADER: request_id, **({"Content-Type": "application/json"} if body else {})}
        try:
            response = await self._links.request(method, path, headers, body)
        except Unreachable as error:
            self._note_closed(str(error))
            raise DoorClosed(reason=str(error)) from error
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


def _is_problem(response: Response) -> bool:
    return response.kind.startswith("application/problem+json")


def _not_the_mes(response: Response) -> bool:
    # A proxy or a wrong address answers so; the MES explains its own refusals.
    return response.status in {404, 405} and not _is_problem(response)


def _problem(response: Response) -> Problem:
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
