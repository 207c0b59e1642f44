"""What one may say about lots."""

import re
from base64 import b64decode
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints, field_validator

from mes.message import Amount, CartonCode, CartonName, Code, Day, LotNumber, Message, Moment, Name, Reason, Serial
from mes.products.messages import DocumentKind

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
_FILE_NAME = re.compile(r"[\w .()+-]{1,120}")


class Document(Message):
    """A document that came with a lot, its bytes in base64."""

    journal_omits: ClassVar[set[str]] = {"content"}

    kind: DocumentKind
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

    lot: LotNumber
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

    lot: LotNumber


class DocumentAnswer(Message):
    """A document of a lot, by the SHA-256 of its bytes."""

    kind: str
    file_name: str
    digest: str


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
    documents: list[DocumentAnswer]


class CartonLine(Message):
    """A carton as its supplier announces it."""

    code: Annotated[CartonCode, Field(description="What its label says: an SSCC, or the supplier's own number.")]
    part: Code
    supplier_lot: Name
    quantity: Amount


class DeliveryNotice(Message):
    """An advance notice: what is on its way, carton by carton."""

    delivery: Serial
    supplier: Name
    file_name: Annotated[str, Field(max_length=200)]
    file_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    cartons: Annotated[list[CartonLine], Field(min_length=1, max_length=20_000)]


class CartonArrival(Message):
    """A carton is scanned at the door."""

    code: CartonCode
    is_damaged: bool = False
    note: Name | None = None


class CartonAnswer(Message):
    """A carton that has arrived, and how its delivery stands."""

    code: str
    delivery: str
    part: str
    supplier_lot: str
    quantity: float
    arrived: int
    awaited: int


class DeliveryClosing(Message):
    """Nothing more of it will arrive."""

    delivery: Serial


class LotBalance(Message):
    """How much of a supplier's lot was announced, has arrived, and was received."""

    part: str
    supplier_lot: str
    announced: float
    arrived: float
    received: float


class DeliveryAnswer(Message):
    """A delivery as it stands: cartons, and quantities by lot. `missing`: the first cartons still awaited."""

    delivery: str
    supplier: str
    announced_at: Moment
    closed_at: Moment | None
    arrived: int
    awaited: int
    damaged: list[str]
    missing: list[str]
    lots: list[LotBalance]


class DocumentReceipt(Message):
    """Documents of a lot that was received before."""

    journal_omits: ClassVar[set[str]] = {"documents"}

    lot: LotNumber
    documents: Annotated[list[Document], Field(min_length=1, max_length=20)]


class LotSplit(Message):
    """A part of a lot becomes a lot of its own: these serials, these cartons, or (traced by lot) a quantity."""

    lot: LotNumber
    new_lot: LotNumber
    serials: Annotated[list[Serial], Field(max_length=100_000)] = []
    cartons: Annotated[list[CartonName], Field(max_length=1_000)] = []
    quantity: Amount | None = None
    reason: Reason


class LotMerge(Message):
    """What is left of lots of one part, traced by lot, becomes one."""

    lots: Annotated[list[LotNumber], Field(min_length=1, max_length=100)]
    into: LotNumber
    reason: Reason


class LineageAnswer(Message):
    """How much of a lot came from another."""

    lot: str
    from_lot: str
    quantity: float
    reason: str
    at: Moment
    done_by: str
