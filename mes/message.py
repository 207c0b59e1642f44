"""The parent of every message, and the bounded field types they are made of."""

from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from mes.codes.scan import taking

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
_Marked = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/+#-]{0,79}$")]
# Each takes what a scanner delivers as well: a code that carries one.
Serial = Annotated[_Marked, BeforeValidator(taking("serial", "sscc", "lot"))]
LotNumber = Annotated[_Marked, BeforeValidator(taking("lot", "serial"))]
CartonCode = Annotated[_Marked, BeforeValidator(taking("sscc", "licence_plate", "serial"))]
CycleNumber = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
PRINTABLE = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"  # PostgreSQL's text holds no NUL, and no reader wants the others
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True, pattern=PRINTABLE)]
# What a supplier's file says: a code as above, or any name.
CartonName = Annotated[CartonCode | Name, Field(union_mode="left_to_right")]
Reason = Annotated[str, StringConstraints(min_length=3, max_length=500, strip_whitespace=True, pattern=PRINTABLE)]
Amount = Annotated[
    Decimal,
    # a PLC's REAL says 0.1 as 0.10000000149: a millionth is more than any scale in the plant can tell
    BeforeValidator(lambda value: round(value, 6) if isinstance(value, float) else value),
    Field(gt=0, le=Decimal("1e9"), max_digits=18, decimal_places=6),
]
Moment = AwareDatetime
Day = date


class Message(BaseModel):
    """What one may say to a capability, or hear back: frozen, and nothing unknown is let through."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    journal_omits: ClassVar[set[str]] = set()
    digest_omits: ClassVar[set[str]] = set()  # what may differ when the same is said again
