"""Statements compiled once to the driver's own form, and put together of several capabilities' clauses."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Executable, bindparam, text
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.types import TypeEngine

_DIALECT = dialect.dialect()  # type: ignore[no-untyped-call]


class Prepared:
    """A statement compiled once: the hot path pays for no compilation and no cursor."""

    def __init__(self, statement: Executable) -> None:
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        self.sql = str(compiled)
        self.names: list[str] = list(compiled.positiontup or [])


@dataclass(frozen=True, slots=True, eq=False)
class Clause:
    """A capability's part of a larger statement: one or more WITH queries, and the types of their parameters.

    So that a hot act is one round trip, and yet each capability alone writes what is its own.
    """

    sql: str
    types: Mapping[str, TypeEngine[Any]]


@cache
def compose(*clauses: Clause, answer: str) -> Prepared:
    """Make one statement of several clauses; `answer` is what it selects in the end."""
    types = {name: type_ for clause in clauses for name, type_ in clause.types.items()}
    joined = text(f"WITH {', '.join(clause.sql for clause in clauses)} {answer}")
    return Prepared(joined.bindparams(*(bindparam(name, type_=type_) for name, type_ in types.items())))
