"""Structured logs, every line with the id that a request carries from the PLC's cycle to the commit."""

import logging
import re
import secrets
import sys
from contextlib import suppress
from contextvars import ContextVar
from typing import TextIO, cast

import structlog

HEADER = "X-Request-Id"
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_SAFE = re.compile(r"[\w.:/-]{1,100}")


class _Unfailing:
    """A stream whose lines may be lost: a disk that is full of logs must not end what is logged."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def begin_request(received: str | None) -> str:
    """Take over the id a caller sent, or make one, for all that follows in this task."""
    request_id = received if received and _SAFE.fullmatch(received) else secrets.token_hex(16)
    _request_id.set(request_id)
    return request_id


def request_id() -> str:
    """Return the id of the request under way, empty outside one."""
    return _request_id.get()


def _add_request_id(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if current := _request_id.get():
        event["request_id"] = current
    return event


def configure(log_format: str, level: str) -> None:
    """Send all logs to standard error, as JSON lines or as text."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer()
    )
    shared: list[structlog.typing.Processor] = [
        _add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    stream = cast(TextIO, _Unfailing(sys.stderr))
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.INFO), force=True)
    for noisy in ("asyncua", "httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
