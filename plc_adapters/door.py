"""The station door of the MES over HTTP: ask a permit, report a result, tell the state of the links."""

import time
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import httpx
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
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key.get_secret_value()}"},
            timeout=httpx.Timeout(10.0, connect=3.0),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=60),
            # The MES stands in the plant's own network: a proxy for the outer world must not come between.
            trust_env=False,
        )
        self._url = url
        self._closed_since: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

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
        response = await self._send("GET", "/api/station/standing", "standing", params={"station": stations})
        self._note_open()
        if not response.is_success:
            raise DoorClosed(reason=_problem(response).detail)
        return response.content

    async def links(self, gateway: str, stations: list[dict[str, Any]]) -> None:
        """Tell the state of the links, once."""
        told = {"gateway": gateway, "stations": stations}
        response = await self._send("POST", "/api/links", "links", json=told)
        self._note_open()
        if not response.is_success:
            raise DoorClosed(reason=_problem(response).detail)

    async def _ask(self, path: str, message: BaseModel, request_id: str, answer: type[Answer]) -> Answer:
        headers = {"Content-Type": "application/json"}
        response = await self._send("POST", path, request_id, content=message.model_dump_json(), headers=headers)
        if response.is_client_error:
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

    async def _send(
        self, method: str, path: str, request_id: str, headers: dict[str, str] | None = None, **what: Any
    ) -> httpx.Response:
        try:
            response = await self._client.request(method, path, headers={**(headers or {}), HEADER: request_id}, **what)
        except httpx.HTTPError as error:
            self._note_closed(f"{type(error).__name__} {error}".strip())
            raise DoorClosed(reason=f"{type(error).__name__} {error}".strip()) from error
        if response.is_server_error or response.status_code in _NOT_THE_MESSAGE or _not_the_mes(response):
            self._note_closed(f"{response.status_code} {_problem(response).detail}")
            raise DoorClosed(reason=f"status {response.status_code}")
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


def _is_problem(response: httpx.Response) -> bool:
    return str(response.headers.get("content-type", "")).startswith("application/problem+json")


def _not_the_mes(response: httpx.Response) -> bool:
    # A proxy or a wrong address answers so; the MES explains its own refusals.
    return response.status_code in {404, 405} and not _is_problem(response)


def _problem(response: httpx.Response) -> Problem:
    fallback = Problem(response.status_code, "Unexplained", f"The MES answered {response.status_code}.")
    if not _is_problem(response):
        return fallback
    try:
        said = response.json()
    except ValueError:
        return fallback
    return Problem(
        status=response.status_code,
        code=str(said.get("code", "")),
        detail=str(said.get("detail") or said.get("title") or ""),
        errors=tuple(one for one in said.get("errors") or () if isinstance(one, dict)),
    )
