"""The rows that the auditor reads: a field is a column of the same name."""

from dataclasses import dataclass
from typing import Any, NamedTuple


class Unit(NamedTuple):
    """A unit as it was born; its state and lot are read anew after each step."""

    id: int
    serial: str
    part_id: int
    order_id: int | None


class Edge(NamedTuple):
    """A part in its parent, or a quantity of a lot used up in it."""

    id: int
    parent_id: int
    child_id: int | None
    lot_id: int | None
    part_id: int
    position: int | None
    quantity: str
    cycle_id: int
    installed_at: str
    removed_cycle_id: int | None
    removed_at: str | None


class Permit(NamedTuple):
    """An answer to "may I?"."""

    id: int
    station_id: int
    cycle: str
    serial: str
    unit_id: int | None
    lot_id: int | None
    step_id: int | None
    granted: bool
    refusals: list[str]
    waivers: list[int]
    asked_at: str


class Cycle(NamedTuple):
    """A result."""

    id: int
    station_id: int
    cycle: str
    unit_id: int | None
    lot_id: int | None
    step_id: int
    permit_id: int | None
    verdict: str
    answer: dict[str, Any]
    waivers: list[int]
    reported_at: str


class Finding(NamedTuple):
    """What a result broke."""

    id: int
    cycle_id: int
    code: str
    detail: str


class Hold(NamedTuple):
    """A stop on a unit, a lot or an order."""

    id: int
    unit_id: int | None
    lot_id: int | None
    order_id: int | None
    containment_id: int | None
    inherited_from: int | None
    cycle_id: int | None
    stops: list[str]
    at_operation: str | None
    release_roles: list[str]
    released_at: str | None


class Signature(NamedTuple):
    """One role's signature for a release."""

    id: int
    hold_id: int
    role: str
    signed_by: str


class Disposition(NamedTuple):
    """What was decided about a unit or a lot."""

    id: int
    unit_id: int | None
    lot_id: int | None
    decision: str
    operation: str | None
    after_cycle: int
    cycle_id: int | None


class Containment(NamedTuple):
    """A question and the holds it set."""

    id: int
    reason: str


class Waiver(NamedTuple):
    """A deviation allowed."""

    id: int
    rule: str
    unit_ids: list[int] | None
    station_id: int | None
    operation: str | None
    starts_at: str
    ends_at: str
    revoked_at: str | None
    reason: str


class Check(NamedTuple):
    """A check of a station."""

    id: int
    note: str | None


class Article(NamedTuple):
    """A first article."""

    id: int
    station_id: int
    cycle_id: int
    signed_by: str | None


class Act(NamedTuple):
    """A journal row."""

    id: int
    actor: str
    name: str
    message: dict[str, Any]


class Order(NamedTuple):
    """An order as it stands."""

    id: int
    number: str
    part_id: int
    quantity: int
    finished: int
    state: str


class Lot(NamedTuple):
    """A lot as it stands."""

    id: int
    number: str
    part_id: int
    state: str
    quantity: str
    quantity_left: str
    revision_id: int | None
    expires_on: str | None
    opened_at: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """A message and what was heard: an answer, an error's name, or nothing (both outcomes are possible then).

    `outcome`: "answer", "error" or "silence". `act`: as the journal names it. `message`: as it was sent.
    """

    act: str
    message: dict[str, Any]
    actor: str
    outcome: str
    answer: dict[str, Any]
    error: str = ""

    @property
    def key(self) -> tuple[str, str] | None:
        """Station and cycle of what a station says; None: it isn't one."""
        return (self.message["station"], self.message["cycle"]) if "cycle" in self.message else None
