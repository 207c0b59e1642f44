"""What one may say about work orders."""

from typing import Annotated, Literal

from pydantic import Field

from mes.message import Code, Day, Message, Name, Reason

MAX_QUANTITY = 100_000


class OrderRequest(Message):
    """Make a quantity of a part."""

    order: Code
    part: Code
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
    priority: Annotated[int, Field(ge=1, le=9, description="1 is the most urgent.")] = 5
    due: Day | None = None
    erp_reference: Name | None = None


class OrderEvent(Message):
    """Move an order on."""

    order: Code
    event: Literal["release", "start", "hold", "resume", "complete", "close", "cancel"]
    reason: Reason | None = None


class OrderAnswer(Message):
    """An order as it stands, with the revisions it is pinned to."""

    order: str
    part: str
    quantity: int
    finished: int
    state: str
    priority: int
    due: Day | None
    erp_reference: str | None
    revisions: dict[str, int]


class SerialsAnswer(Message):
    """The serial numbers issued for an order, by part, in order."""

    order: str
    serials: dict[str, list[str]]
