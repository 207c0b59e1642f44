"""Who acts: a person, a machine or the command line, in one of five roles."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a key lets its holder do; permissions.py says what, act by act."""

    STATION = "station"
    OPERATOR = "operator"
    QUALITY = "quality"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Actor:
    """The name and role under which an act is journaled."""

    name: str
    role: Role
