"""Seals, the parts of the record that each one covers, and what of a row is sealed."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Key, Table


class SealStream(Table):
    """What is sealed of a table: rows by `key`, whose numbers the sequence `drawn_by` gives.

    `columns`: never change once a row is there. `closing`: close it once; sealed on their own, as the stream
    "TABLE closing", by the number that the closing draws. A newer row of the same name holds from then on.
    """

    __tablename__ = "seal_stream"

    id: Mapped[Key]
    name: Mapped[str]
    of_table: Mapped[str]
    key: Mapped[str]
    drawn_by: Mapped[str]
    columns: Mapped[list[str]]
    closing: Mapped[list[str]]


class Seal(Table):
    """One turn of the sealer. `root`: SHA-256 over its parts; `hash`: over this row and, by `previous`, all before it.

    Ids have no gaps.
    """

    __tablename__ = "seal"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    root: Mapped[bytes]
    previous: Mapped[bytes]
    hash: Mapped[bytes]


class SealPart(Table):
    """A run of a stream's numbers: how many rows they hold, and the SHA-256 over the rows' own, in order.

    `marks`: five bytes a row, its place and the first of its SHA-256, by which the row that doesn't fit is told.
    """

    __tablename__ = "seal_part"
    __table_args__ = (CheckConstraint("octet_length(marks) = 5 * rows", name="marks"),)

    stream_id: Mapped[int] = mapped_column(ForeignKey("seal_stream.id"), primary_key=True)
    to_id: Mapped[int] = mapped_column(primary_key=True)
    from_id: Mapped[int]
    seal_id: Mapped[int] = mapped_column(ForeignKey("seal.id"), index=True)
    rows: Mapped[int]
    digest: Mapped[bytes]
    marks: Mapped[bytes]
