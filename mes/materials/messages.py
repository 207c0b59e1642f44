"""What one may say about lots."""

import re
from base64 import b64decode
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, field_validator

from mes.message import Amount, Code, Day, Message, Moment, Name, Serial

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
_FILE_NAME = re.compile(r"[\w .()+-]{1,120}")


class Document(Message):
    """A document that came with a lot, its bytes in base64."""

    journal_omits: ClassVar[set[str]] = {"content"}

    kind: Literal["un383_test_summary", "certificate", "cell_file", "origin_declaration", "other"]
    file_name: str
    content: Annotated[str, Field(max_length=14_000_000, repr=False)]

    @field_validator("file_name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not _FILE_NAME.fullmatch(value):
            raise ValueError("expected a plain file name of at most 120 letters, digits, spaces and . _ + - ( )")
        return value

    @field_validator("content")
    @classmethod
    def _base64(cls, value: str) -> str:
        b64decode(value, validate=True)
        return value


class LotReceipt(Message):
    """A lot arrives. Its number is the plant's own; the supplier's lot number stands beside it."""

    journal_omits: ClassVar[set[str]] = {"documents"}

    lot: Serial
    part: Code
    quantity: Amount
    supplier: Name
    supplier_lot: Name
    country: Annotated[Country, Field(description="Country of origin, ISO 3166-1 alpha-2.")]
    expires_on: Day | None = None
    date_code: Annotated[Name | None, Field(description="The supplier's date code of the lot.")] = None
    documents: Annotated[list[Document], Field(max_length=20)] = []


class LotOpening(Message):
    """A lot is opened or mixed: from now on its pot life runs."""

    lot: Serial


class LotAnswer(Message):
    """A lot as it stands. `left` counts down for lot-traced parts only."""

    lot: str
    part: str
    state: str
    supplier: str
    supplier_lot: str
    country: str
    quantity: float
    left: float
    received_at: Moment
    units: int
    expires_on: Day | None
    date_code: str | None
    opened_at: Moment | None
    location: str | None
