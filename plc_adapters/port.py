"""What every device must offer the gateway: what it asks and reports, and a way to answer it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from mes.errors import MesError
from mes.execution.messages import PermitAnswer, PermitRequest, RecipeAnswer, ReportAnswer, ResultReport

ASKER = "gateway"
KEPT = "kept"  # the state of a unit whose result waits on the gateway's disk


class LinkLost(MesError):
    """The link to station {station} is gone: {reason}."""

    status = 503


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a message can't be understood, as application/problem+json says it."""

    status: int
    code: str
    detail: str
    errors: tuple[dict[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """One line for a PLC's panel."""
        first = self.errors[0] if self.errors else None
        return f"{self.detail} {first['at']}: {first.get('expected', '')}".strip() if first else self.detail


@dataclass(frozen=True, slots=True)
class Turn:
    """Which turn of the handshake something belongs to."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Asked:
    """The device asks for a permit."""

    turn: Turn
    request: PermitRequest


@dataclass(frozen=True, slots=True)
class Reported:
    """The device reports a result."""

    turn: Turn
    report: ResultReport


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The device said something that is no message; `words` is all that was read of it."""

    turn: Turn
    station: str
    cycle: str
    is_report: bool
    problem: Problem
    words: dict[str, Any]


Heard = Asked | Reported | Unreadable


@dataclass(frozen=True, slots=True)
class Permit:
    """The answer to a request; a problem where it couldn't be understood."""

    turn: Turn
    serial: str
    answer: PermitAnswer | Problem


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A result is kept for good: committed by the MES, or written down as a dead letter."""

    turn: Turn
    answer: ReportAnswer | Problem


class Port(Protocol):
    """One connected device. All raise LinkLost; then the port is thrown away and another one opened."""

    @property
    def skew_s(self) -> float | None:
        """How far the device's clock is ahead of this PC's, in seconds; None: it hasn't said."""
        ...

    async def load_recipe(self, recipe: RecipeAnswer) -> str | None:
        """Bring a recipe into the machine; the digest of what it says it holds then, None: it can't be asked."""
        ...

    def requests(self) -> AsyncIterator[Heard]:
        """Yield what the device is owed an answer for, one at a time, until the link is lost."""
        ...

    async def reply(self, answer: Permit | Acknowledgement) -> None:
        """Hand the device its answer."""
        ...


class OpensPort(Protocol):
    """How the gateway gets a connected port, again after every loss."""

    def __call__(self) -> AbstractAsyncContextManager[Port]:
        """Connect; the port lives inside the context."""
        ...
