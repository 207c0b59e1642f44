"""The station door over real HTTP: the same message until it is answered, and what can't be understood said at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import stamina
import uvicorn
from pydantic import SecretStr

from mes.execution.messages import PermitAnswer, PermitRequest, ResultReport
from plc_adapters import __main__ as commands
from plc_adapters.dead_letters import DeadLetters
from plc_adapters.door import DoorClosed, HttpDoor, NotUnderstood
from plc_adapters.port import Problem, Reported, Turn

REQUEST = PermitRequest(station="S-1", cycle="e-1", asker="gateway", serial="U-1")
GRANTED = PermitAnswer(granted=True, station="S-1", cycle="e-1", serial="U-1")
AT = datetime(2026, 11, 2, tzinfo=UTC)
REPORT = ResultReport(
    station="S-1", cycle="e-1", asker="gateway", serial="U-1", verdict="passed", started_at=AT, ended_at=AT
)
COMMITTED = {
    "station": "S-1",
    "cycle": "e-1",
    "serial": "U-1",
    "operation": "010",
    "verdict": "passed",
    "station_verdict": "passed",
    "unit_state": "in_work",
}
PROBLEM = {
    "type": "about:blank",
    "title": "Malformed",
    "status": 422,
    "code": "Malformed",
    "detail": "1 error.",
    "errors": [{"at": "serial", "read": "?", "expected": "a serial"}],
}


class Mes:
    """An HTTP server that gives prepared answers, one after another, and the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str, bytes]] = []
        self.heard: list[tuple[str, dict[str, str], bytes]] = []

    def answer(self, status: int, body: Any, kind: str = "application/json") -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, kind, content))

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.heard.append((scope["path"], headers, body))
        status, kind, content = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode())]})
        await send({"type": "http.response.body", "body": content})


@pytest_asyncio.fixture
async def mes() -> AsyncIterator[tuple[Mes, str]]:
    application = Mes()
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error", lifespan="off"))
    socket = server.config.bind_socket()
    serving = asyncio.create_task(server.serve([socket]))
    yield application, f"http://127.0.0.1:{socket.getsockname()[1]}"
    server.should_exit = True
    await serving
    socket.close()


@pytest_asyncio.fixture
async def door(mes: tuple[Mes, str]) -> AsyncIterator[HttpDoor]:
    async with HttpDoor(mes[1], SecretStr("secret")) as door:
        yield door


async def test_whatever_is_not_an_answer_of_the_mes_closes_the_door(mes: tuple[Mes, str], door: HttpDoor) -> None:
    for status in (503, 500, 429, 401, 403):
        mes[0].answer(status, {**PROBLEM, "status": status}, "application/problem+json")
    mes[0].answer(404, b"<html>not here</html>", "text/html")  # a proxy, not the MES
    mes[0].answer(200, {"granted": "of another version"})
    mes[0].answer(200, GRANTED.model_dump(mode="json"))
    for _ in range(7):
        with pytest.raises(DoorClosed):
            await door.permit(REQUEST)
        assert door.is_closed
    assert await door.permit(REQUEST) == GRANTED
    assert not door.is_closed
    assert len({(path, body) for path, _, body in mes[0].heard}) == 1
    for _, headers, _ in mes[0].heard:
        assert headers["authorization"] == "Bearer secret"
        assert headers["x-request-id"] == "S-1/e-1"


async def test_a_page_that_is_not_the_event_stream_closes_the_door(mes: tuple[Mes, str], door: HttpDoor) -> None:
    mes[0].answer(200, b"<h1>Down for maintenance</h1>", "text/html")
    for asks in (door.newest_event, lambda: door.events(0, 0)):
        with pytest.raises(DoorClosed, match="lacks X-Events"):
            await asks()
    assert door.is_closed


async def test_a_door_that_cannot_be_reached_is_closed_until_it_can() -> None:
    application = Mes()
    application.answer(200, COMMITTED)
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error", lifespan="off"))
    socket = server.config.bind_socket()  # bound, not listening: refused
    url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    async with HttpDoor(url, SecretStr("k")) as door:
        with pytest.raises(DoorClosed):
            await door.report(REPORT)
        with pytest.raises(DoorClosed):
            await door.links("g", [])
        serving = asyncio.create_task(server.serve([socket]))
        async for attempt in stamina.retry_context(on=DoorClosed, attempts=None, timeout=5, wait_max=0.05):
            with attempt:
                assert (await door.report(REPORT)).verdict == "passed"
        assert not door.is_closed
    server.should_exit = True
    await serving
    socket.close()


@pytest.mark.parametrize("status", [404, 409, 422])
async def test_what_the_mes_cannot_understand_is_said_with_its_errors(
    mes: tuple[Mes, str], door: HttpDoor, status: int
) -> None:
    mes[0].answer(status, {**PROBLEM, "status": status}, "application/problem+json; charset=utf-8")
    with pytest.raises(NotUnderstood) as caught:
        await door.report(REPORT)
    problem = caught.value.problem
    assert (problem.status, problem.code, problem.errors[0]["at"]) == (status, "Malformed", "serial")
    assert len(mes[0].heard) == 1


def _letter(folder: Path) -> Path:
    problem = Problem(422, "Malformed", "1 error.", ({"at": "serial", "read": "?", "expected": "a serial"},))
    return DeadLetters(folder).keep(Reported(Turn("e", 1), REPORT), problem)


def test_a_letter_is_written_whole_and_the_same_turn_has_the_same_file(tmp_path: Path) -> None:
    assert _letter(tmp_path) == _letter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["S-1.e-1.json"]
    assert DeadLetters(tmp_path).count("S-1") == 1
    assert DeadLetters(tmp_path).count("S") == 0


async def test_mended_letters_are_sent_and_kept_others_stay(mes: tuple[Mes, str], tmp_path: Path, capsys: Any) -> None:
    path = _letter(tmp_path)
    mes[0].answer(422, PROBLEM, "application/problem+json")
    mes[0].answer(200, COMMITTED)
    assert await commands._send([path], tmp_path, mes[1], SecretStr("k")) == 1
    assert "serial: read ?, expected a serial" in capsys.readouterr().err
    assert path.exists()
    assert await commands._send([path], tmp_path, mes[1], SecretStr("k")) == 0
    assert not path.exists()
    assert (tmp_path / "sent" / path.name).exists()


async def test_a_letter_without_a_report_says_what_is_to_be_filled_in(tmp_path: Path, capsys: Any) -> None:
    path = _letter(tmp_path)
    letter = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**letter, "report": None, "words": {"DoneSerial": ""}}), "utf-8")
    assert await commands._send([path], tmp_path, "http://127.0.0.1:9", SecretStr("k")) == 1
    assert 'expected the report under "report"' in capsys.readouterr().err
    assert path.exists()
