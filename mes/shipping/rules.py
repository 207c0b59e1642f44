"""The states of a crate, and what a unit must be to be packed and to leave: pure, facts in, refusals out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a crate is."""

    OPEN = "open"
    CLOSED = "closed"
    SHIPPED = "shipped"


class Event(StrEnum):
    """What happens to a crate."""

    PACK = "pack"
    UNPACK = "unpack"
    CLOSE = "close"
    SHIP = "ship"


# None: it can't happen. A closed crate from which something is taken is open again: its label has to be made anew.
NEXT: dict[tuple[State, Event], State | None] = {(state, event): None for state in State for event in Event} | {
    (State.OPEN, Event.PACK): State.OPEN,
    (State.OPEN, Event.UNPACK): State.OPEN,
    (State.OPEN, Event.CLOSE): State.CLOSED,
    (State.CLOSED, Event.UNPACK): State.OPEN,
    (State.CLOSED, Event.SHIP): State.SHIPPED,
}


class Reason(StrEnum):
    """Why a unit isn't packed or doesn't leave; gravest first."""

    ON_HOLD = "on_hold"
    UNFINISHED = "unfinished"
    STILL_FITTED = "still_fitted"
    IN_OTHER_CRATE = "in_other_crate"
    PACK_OUT_MISSING = "pack_out_missing"
    INCOMPLETE = "incomplete"
    DOCUMENT_MISSING = "document_missing"
    CHARGE_WRONG = "charge_wrong"


@dataclass(frozen=True, slots=True)
class Charge:
    """The charge that was measured last, in %, and the limits of that step; None: not measured, no limit."""

    operation: str
    values: Sequence[float | None]
    lower: float | None
    upper: float | None

    @property
    def is_within(self) -> bool:
        """Whether each value was measured and keeps the limits."""
        lower = float("-inf") if self.lower is None else self.lower
        upper = float("inf") if self.upper is None else self.upper
        return all(value is not None and lower <= value <= upper for value in self.values)


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """What is recorded of a unit that is to be packed or to leave."""

    serial: str
    state: str
    holds: Sequence[str] = ()  # reasons of the open holds that stop it from being moved or shipped
    inside: str | None = None  # serial of what it is fitted in
    other_crate: str | None = None
    ships: Sequence[str] = ()  # operations of its route that ship
    passed: Sequence[str] = ()  # those of them that it has passed
    gaps: Sequence[str] = ()
    undocumented: Sequence[str] = ()  # which lots in it lack which documents
    charge: Charge | None = None  # None: never measured on it


@dataclass(frozen=True, slots=True)
class Said:
    """A refusal: why, what clears it, and who may."""

    code: Reason
    text: str
    clears: str
    who: tuple[str, ...]


_QUALITY, _OPERATOR = ("quality",), ("operator",)


def refusals(facts: UnitFacts) -> list[Said]:
    """Every reason why a unit may not be packed, or not leave; empty: it may."""
    serial, found = facts.serial, []
    if facts.holds:
        text = f"{serial} is on hold: {_listed(facts.holds)}."
        found.append(Said(Reason.ON_HOLD, text, "Each role that a hold names signs its release.", _QUALITY))
    if facts.state != "finished":
        text = f"{serial} is {facts.state.replace('_', ' ')}, not finished."
        found.append(Said(Reason.UNFINISHED, text, "Pass what is left of its route.", _OPERATOR))
    if facts.inside is not None:
        text = f"{serial} is fitted in {facts.inside}."
        found.append(Said(Reason.STILL_FITTED, text, f"Pack {facts.inside}, or take {serial} out of it.", _OPERATOR))
    if facts.other_crate is not None:
        text = f"{serial} is in crate {facts.other_crate}."
        found.append(Said(Reason.IN_OTHER_CRATE, text, "Take it out of that crate.", _OPERATOR))
    if facts.ships and not facts.passed:
        text = f"{serial} hasn't passed its pack-out ({', '.join(facts.ships)})."
        found.append(Said(Reason.PACK_OUT_MISSING, text, "Pass the step that ships it.", _OPERATOR))
    if facts.gaps:
        text = f"The record of {serial} has gaps: {_listed(facts.gaps)}."
        found.append(Said(Reason.INCOMPLETE, text, "Report the parts and lots that are missing.", _QUALITY))
    if facts.undocumented:
        text = f"Documents are missing: {_listed(facts.undocumented)}."
        found.append(Said(Reason.DOCUMENT_MISSING, text, "Add them to their lots.", _QUALITY))
    if facts.charge is not None and not facts.charge.is_within:
        found.append(Said(Reason.CHARGE_WRONG, _charge_text(serial, facts.charge), "Set its charge again.", _OPERATOR))
    return found


def _charge_text(serial: str, charge: Charge) -> str:
    values = ", ".join("nothing" if value is None else f"{value:g}" for value in charge.values)
    bounds = (("at least", charge.lower), ("at most", charge.upper))
    limits = ", ".join(f"{word} {limit:g}" for word, limit in bounds if limit is not None)
    return f"The charge of {serial} at {charge.operation} was {values} %; allowed: {limits or 'any'}."


def _listed(texts: Sequence[str], shown: int = 10) -> str:
    told = [text.rstrip(".") for text in dict.fromkeys(texts)]
    return "; ".join(told[:shown]) + (f"; and {len(told) - shown} more" if len(told) > shown else "")
