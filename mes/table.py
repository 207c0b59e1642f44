"""The parent of every table, and the column types they share."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Identity, Index, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

Key = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]
# Drawn when a row is added whose own key isn't, and when a row is closed: what a seal counts rows by.
Entry = Annotated[int, mapped_column(BigInteger, Identity(always=True), unique=True)]
Closing = Annotated[int | None, mapped_column(BigInteger)]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Quantity = Annotated[Decimal, mapped_column(Numeric(18, 6))]


def closing_index(table: str) -> Index:
    """The index of a ledger's closings, in the order in which they were made."""
    return Index(f"uq_{table}_closing_id", "closing_id", unique=True, postgresql_where="closing_id IS NOT NULL")


class Table(DeclarativeBase):
    """A table. Constraints are named by one pattern so that errors and migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger,
        str: Text,
        float: DOUBLE_PRECISION,
        datetime: DateTime(timezone=True),
        list[str]: ARRAY(Text),
        list[int]: ARRAY(BigInteger),
        list[float | None]: ARRAY(DOUBLE_PRECISION),
        list[str | None]: ARRAY(Text),
        dict[str, Any]: JSONB,
    }
