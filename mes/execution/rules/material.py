"""Rules of what is fitted and used up: `fitting.py` compares it with the record, and each rule says its part of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from mes.execution.rules.facts import Facts
from mes.execution.rules.rule import LAW, QUALITY, Rule
from mes.execution.rules.words import Reason

# What may be waived is the choice of a part, never where a part is or whether it is held.
_WAIVED = {
    Reason.COMPONENT_REVISION: QUALITY,
    Reason.LOT_EXPIRED: QUALITY,
    Reason.LOT_NOT_FIRST: QUALITY,
    Reason.KIT_MISSING: QUALITY,
    Reason.NOT_FROM_KIT: QUALITY,
}
_JUDGED = (
    Reason.COMPONENT_ON_HOLD,
    Reason.COMPONENT_SCRAPPED,
    Reason.COMPONENT_ELSEWHERE,
    Reason.POSITION_TAKEN,
    Reason.COMPONENT_UNKNOWN,
    Reason.COMPONENT_WRONG,
    Reason.COMPONENT_REVISION,
    Reason.COMPONENT_UNFINISHED,
    Reason.COMPONENT_UNTESTED,
    Reason.KIT_MISSING,
    Reason.NOT_FROM_KIT,
    Reason.SLOT_WRONG,
    Reason.POLARITY_REVERSED,
    Reason.COMPONENT_MISSING,
    Reason.LOT_UNKNOWN,
    Reason.LOT_WRONG,
    Reason.LOT_NOT_RELEASED,
    Reason.LOT_EXPIRED,
    Reason.LOT_NOT_FIRST,
    Reason.LOT_OVERDRAWN,
    Reason.REMOVAL_UNKNOWN,
    Reason.REMOVAL_WRONG,
)

# Lots are few, and a gateway keeps them; of the units that are fitted it knows nothing.
_SAFE = {
    Reason.COMPONENT_ON_HOLD,
    Reason.LOT_UNKNOWN,
    Reason.LOT_WRONG,
    Reason.LOT_NOT_RELEASED,
    Reason.LOT_EXPIRED,
    Reason.LOT_NOT_FIRST,
    Reason.LOT_OVERDRAWN,
}


def _said(reason: Reason) -> Callable[[Facts], str | None]:
    def judge(facts: Facts) -> str | None:
        names = facts.parts.get(reason)
        return None if names is None else ", ".join(names)

    return judge


RULES = tuple(
    Rule(reason, _said(reason), _WAIVED.get(reason, LAW), is_covered=False, is_safe_offline=reason in _SAFE)
    for reason in _JUDGED
)


@dataclass(frozen=True, slots=True)
class LotUse:
    """A lot that is to be used: its number and state, until when, and a lot of its part that should be used first."""

    number: str
    state: str
    expires_on: date | None
    unusable_at: datetime | None
    earlier: str | None

    def judge(self, today: date, at: datetime) -> Iterator[tuple[Reason, str]]:
        """What speaks against its use."""
        if self.state != "released":
            yield Reason.LOT_NOT_RELEASED, f"{self.number} ({self.state})"
        if self.expires_on is not None and self.expires_on < today:
            yield Reason.LOT_EXPIRED, f"{self.number} on {self.expires_on}"
        if self.unusable_at is not None and self.unusable_at < at:
            yield Reason.LOT_EXPIRED, f"{self.number}, open too long since {self.unusable_at:%Y-%m-%d %H:%M}"
        if self.earlier is not None:
            yield Reason.LOT_NOT_FIRST, f"{self.earlier} before {self.number}"
