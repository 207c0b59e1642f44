"""What one may say about crates."""

from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from mes.codes.scan import taking
from mes.message import Message, Moment, Name, Serial
from mes.shipping.rules import Reason, State

Sscc = Annotated[str, StringConstraints(pattern=r"^[0-9]{18}$"), BeforeValidator(taking("sscc"))]
CompanyPrefix = Annotated[str, StringConstraints(pattern=r"^[0-9]{7,12}$")]
Extension = Annotated[int, Field(ge=0, le=9, description="The SSCC's extension digit, chosen by the plant.")]


class CrateRequest(Message):
    """A crate is to be filled; it gets its number."""

    extension: Extension = 0


class CrateOpening(CrateRequest):
    """The same, with the company prefix that numbers are made with."""

    prefix: CompanyPrefix


class CrateNumber(Message):
    """A crate, by its SSCC."""

    crate: Sscc


class CrateUnitRequest(CrateNumber):
    """A unit that is put into a crate, or taken out of it."""

    serial: Serial


class ShipRequest(CrateNumber):
    """A closed crate leaves."""

    to: Annotated[Name, Field(description="Who gets it.")]
    reference: Annotated[Name, Field(description="Delivery note, order or bill of lading.")]


class CrateUnitAnswer(Message):
    """A unit in a crate."""

    serial: str
    part: str
    put_in_at: Moment
    put_in_by: str


class CrateAnswer(Message):
    """A crate as it stands, and what is in it."""

    crate: str
    state: State
    opened_at: Moment
    opened_by: str
    closed_at: Moment | None
    shipped_at: Moment | None
    shipped_by: str | None
    shipped_to: str | None
    reference: str | None
    units: list[CrateUnitAnswer]


class ShippingRefusal(Message):
    """Why a unit isn't packed or doesn't leave, what clears it, and who may."""

    serial: str
    code: Reason
    text: str
    clears: str
    who: list[str]


class PackAnswer(Message):
    """Whether a unit was packed; if not, all reasons."""

    crate: str
    serial: str
    packed: bool
    refusals: list[ShippingRefusal] = []


class ShipAnswer(Message):
    """Whether a crate left; if not, all reasons of all its units."""

    crate: str
    shipped: bool
    refusals: list[ShippingRefusal] = []


class CrateStay(Message):
    """A crate that a unit is in or was in, and to whom it went."""

    crate: str
    state: State
    put_in_at: Moment
    taken_out_at: Moment | None
    shipped_at: Moment | None
    shipped_to: str | None
    reference: str | None


class Recipient(CrateStay):
    """Where a unit went."""

    serial: str
