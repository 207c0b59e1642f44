"""Misuse and failure: one root, a handful of kinds; the docstring of an error is its message."""

from inspect import cleandoc
from typing import Any, ClassVar


class MesError(Exception):
    """The MES could not do this."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Failure"

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(cleandoc(type(self).__doc__ or "").replace("\n", " ").format(**facts))

    @property
    def code(self) -> str:
        """The error's stable name, for programs."""
        return type(self).__name__


class NotFound(MesError):
    """There is no {kind} {name}."""

    status = 404
    title = "Not found"


class Conflict(MesError):
    """This contradicts what is recorded."""

    status = 409
    title = "Conflict"


class Forbidden(MesError):
    """The role {role} may not do {act}; ask one of: {allowed}."""

    status = 403
    title = "Forbidden"


class Unauthorized(MesError):
    """A key is needed: send it as "Authorization: Bearer KEY", or log in at /login."""

    status = 401
    title = "Unauthorized"


class Unavailable(MesError):
    """The database can't be used at the moment ({reason}). Send the same request again: a cycle has one effect."""

    status = 503
    title = "Unavailable"


class Malformed(MesError):
    """{subject} could not be understood: {count} error(s). Nothing of it was stored."""

    status = 422
    title = "Malformed"

    def __init__(self, subject: str, errors: list[dict[str, Any]]) -> None:
        """Take errors as a list of {at, read, expected} so that a reader can mend all of them at once."""
        self.errors = errors
        super().__init__(subject=subject, count=len(errors))
