"""What one may say about holds."""

from pydantic import model_validator

from mes.message import Message, Moment, Reason, Serial


class ContainRequest(Message):
    """Hold a lot or a unit, and everything that contains it."""

    lot: Serial | None = None
    serial: Serial | None = None
    reason: Reason

    @model_validator(mode="after")
    def _one_subject(self) -> "ContainRequest":
        if (self.lot is None) == (self.serial is None):
            raise ValueError("expected exactly one of lot and serial")
        return self


class ContainAnswer(Message):
    """What was held: the subject, and the units that contain it."""

    containment: int
    lot: str | None
    serial: str | None
    held: list[str]


class ReleaseRequest(Message):
    """Release all holds of one containment."""

    containment: int
    reason: Reason


class ReleaseHoldRequest(Message):
    """Release one hold."""

    hold: int
    reason: Reason


class ReleaseAnswer(Message):
    """How many holds were released."""

    released: int


class HoldAnswer(Message):
    """A hold."""

    hold: int
    containment: int | None
    serial: str | None
    lot: str | None
    reason: str
    opened_at: Moment
    opened_by: str
    released_at: Moment | None
    released_by: str | None
    release_reason: str | None
