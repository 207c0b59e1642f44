"""One rule: its reason, its version, and who may let a named unit by."""

from collections.abc import Callable
from dataclasses import dataclass

from mes.execution.rules.facts import Facts
from mes.execution.rules.words import Reason

KEPT = ""
BOARD = frozenset({"quality", "supervisor", "admin"})
QUALITY = frozenset({"quality", "admin"})
LAW: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """`judge`: None, the step doesn't ask for it; "", kept; else what broke it. The version rises with its meaning.

    `waived_by`: roles that may waive it, none for a law. `is_covered`: a permit covers it until the report.
    `is_safe_offline`: what a gateway keeps of the record is enough to judge it while the MES is away.
    """

    reason: Reason
    judge: Callable[[Facts], str | None]
    waived_by: frozenset[str] = LAW
    is_covered: bool = True
    is_safe_offline: bool = True
    version: int = 1
