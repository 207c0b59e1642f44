"""What one may say about printers and labels."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mes.message import Code, Message, Moment, Reason, Serial

Kind = Literal["nameplate", "crate"]
State = Literal["queued", "printed"]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,253})$")]


class PrinterSpec(Message):
    """A label printer that takes ZPL on a raw TCP port."""

    name: Code
    host: Annotated[Host, Field(description="Its name or address in the network.")]
    port: Annotated[int, Field(ge=1, le=65535)] = 9100
    dots_per_mm: Annotated[Literal[8, 12], Field(description="8: 203 dpi; 12: 300 dpi.")] = 8


class LabelSubject(Message):
    """A unit's nameplate or a crate's label."""

    kind: Kind = "nameplate"
    subject: Annotated[Serial, Field(description="The unit's serial, or the crate's SSCC.")]


class BatteryCode(Message):
    """What a battery code of GB/T 34014-2017 says beside its date and its serial, which is the unit's alone."""

    maker: Annotated[str, StringConstraints(pattern=r"^[0-9A-HJ-NP-Z]{3}$")]
    kind: Annotated[Literal["P", "M", "C"], Field(description="Pack, module or cell.")] = "P"
    chemistry: Annotated[str, StringConstraints(pattern=r"^[A-Z]$")] = "B"
    spec: Annotated[str, StringConstraints(pattern=r"^[0-9A-HJ-NP-Z]{2}$")]
    traceability: Annotated[str, StringConstraints(pattern=r"^[0-9A-HJ-NP-Z]{7}$")]


class LabelRequest(LabelSubject):
    """A label is to be printed. The first is the label; any further is a reprint, counted, and needs its reason.

    A nameplate's code is ISO/IEC 15434 (1P the part, S the serial), or GB/T 34014 if the first asks for a `battery`
    code; a reprint's is that of the first.
    """

    printer: Code
    reason: Reason | None = None
    battery: BatteryCode | None = None

    @model_validator(mode="after")
    def _of_a_unit(self) -> Self:
        if self.battery is not None and self.kind != "nameplate":
            raise ValueError("a battery code stands on a nameplate only")
        return self


class JobAnswer(Message):
    """A copy of a label: what its code holds, whether it is printed, and what went wrong last."""

    job: int
    printer: str
    kind: Kind
    subject: str
    copy_number: int
    reason: str | None
    payload: Annotated[str, Field(description="The bytes of its code, in hexadecimal.")]
    state: State
    queued_at: Moment
    queued_by: str
    printed_at: Moment | None
    tries: Annotated[int, Field(description="How often it could not be handed over.")]
    last_error: str | None


class PrintOutcome(Message):
    """What became of handing a job over; `error`: why it failed."""

    job: int
    error: Annotated[str | None, Field(max_length=500)] = None
