"""The only source of time, so that a test can hold it still."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

_held: list[datetime] = []


def now() -> datetime:
    """The moment, in UTC with microseconds, as PostgreSQL stores it."""
    return _held[-1] if _held else datetime.now(UTC)


def iso_now() -> str:
    """The moment as ISO 8601 text."""
    return now().isoformat()


@contextmanager
def held(at: datetime) -> Iterator[None]:
    """Hold the clock at a moment; advance() moves it."""
    _held.append(at)
    try:
        yield
    finally:
        _held.pop()


def advance(by: timedelta) -> datetime:
    """Move a held clock on and return the new moment."""
    _held[-1] += by
    return _held[-1]
