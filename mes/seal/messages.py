"""What is said to and by the sealer, and the anchor that is kept elsewhere."""

from typing import Annotated

from pydantic import Field

from mes.message import Message, Moment

Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$")]


class Settled(Message):
    """By sequence: up to which number every row is visible, or will never be there. `most`: numbers of one stream."""

    upto: dict[str, int]
    most: Annotated[int, Field(ge=1)] = 20_000


class Sealed(Message):
    """A seal just made. `is_full`: there was more than fits one. `is_new_minute`: the first of its minute."""

    id: int
    at: Moment
    hash: Hex
    rows: int
    is_full: bool
    is_new_minute: bool


class Anchor(Message):
    """The newest seal of a moment, to be kept where no one who has the database can reach it.

    `signature`: Ed25519, over the JSON of the other three, keys in order, without spaces; empty: unsigned.
    """

    seal: int
    at: Moment
    hash: Hex
    signature: str = ""
