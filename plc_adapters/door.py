"""The station door of the MES over HTTP: ask a permit, report a result, tell the state of the links."""

import time
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import httpx
import stamina
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from mes.errors import MesError
from mes.execution.messages import PermitAnswer, PermitRequest, ReportAnswer, ResultReport
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
    """Where the gateway takes what its stations say. Both wait as long as it takes; NotUnderstood ends the waiting."""

    async def permit(self, request: PermitRequest) -> PermitAnswer:
        """Ask; the same cycle number gets the same answer."""
        ...

    async def report(self, report: ResultReport) -> ReportAnswer:
        """Report; when this returns, the result is committed."""
        ...

    async def links(self, gateway: str, stations: list[dict[str, Any]]) -> None:
        """Tell the state of the links once; DoorClosed when it can't be told."""
        ...


class HttpDoor:
    """The door of a running MES. Connections are kept; every try carries the same cycle number."""

    def __init__(self, url: str, key: SecretStr, wait_s: float = 0.2, wait_max_s: float = 10.0) -> None:
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key.get_secret_value()}"},
            timeout=httpx.Timeout(10.0, connect=3.0),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=60),
            # The MES stands in the plant's own network: a proxy for the outer world must not come between.
            trust_env=False,
        )
        self._url = url
        self._wait_s, self._wait_max_s = wait_s, wait_max_s
        self._closed_since: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def permit(self, request: PermitRequest) -> PermitAnswer:
        """Ask until answered."""
        with metrics.permit_seconds.labels(request.station).time():
            return await self._until_answered("/api/station/permit", request, PermitAnswer)

    async def report(self, report: ResultReport) -> ReportAnswer:
        """Report until committed."""
        with metrics.report_seconds.labels(report.station).time():
            return await self._until_answered("/api/station/report", report, ReportAnswer)

    async def links(self, gateway: str, stations: list[dict[str, Any]]) -> None:
        """Tell the state of the links, once."""
        response = await self._post("/api/links", {"json": {"gateway": gateway, "stations": stations}}, "links")
        if not response.is_success:
            raise DoorClosed(reason=_problem(response).detail)

    async def _until_answered(self, path: str, message: PermitRequest | ResultReport, answer: type[Answer]) -> Answer:
        body = {"content": message.model_dump_json(), "headers": {"Content-Type": "application/json"}}
        tries = stamina.retry_context(
            on=DoorClosed, attempts=None, timeout=None, wait_initial=self._wait_s, wait_max=self._wait_max_s
        )
        async for attempt in tries:
            with attempt:
                response = await self._post(path, body, f"{message.station}/{message.cycle}")
                if response.is_client_error:
                    raise NotUnderstood(_problem(response))
                return self._read(response, answer)
        raise DoorClosed(reason="no try is left")  # retry_context without a limit never gets here

    async def _post(self, path: str, body: dict[str, Any], request_id: str) -> httpx.Response:
        headers = {**body.get("headers", {}), HEADER: request_id}
        try:
            response = await self._client.post(path, **{**body, "headers": headers})
        except httpx.HTTPError as error:
            self._note_closed(f"{type(error).__name__} {error}".strip())
            raise DoorClosed(reason=str(error)) from error
        if response.is_server_error or response.status_code in _NOT_THE_MESSAGE or _not_the_mes(response):
            self._note_closed(f"{response.status_code} {_problem(response).detail}")
            raise DoorClosed(reason=f"status {response.status_code}")
        self._note_open()
        return response

    def _read(self, response: httpx.Response, answer: type[Answer]) -> Answer:
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            # Gateway and MES are of different versions: nothing is lost, and nothing moves until they match.
            self._note_closed(f"its answer is of another version: {error.errors(include_url=False)[:3]}")
            raise DoorClosed(reason="its answer is of another version") from error

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
