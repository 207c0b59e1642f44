"""Structured logs, every line with the id that a request carries from the PLC's cycle to the commit."""

import logging
import re
import secrets
import sys
from contextvars import ContextVar

import structlog

HEADER = "X-Request-Id"
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_SAFE = re.compile(r"[\w.:/-]{1,100}")


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
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.INFO), force=True)
    for noisy in ("asyncua", "httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
