"""What every route needs: the database, who asks, and one way to run an act for them."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Response
from pydantic import BaseModel, ValidationError

from mes import permissions
from mes.actor import Actor
from mes.db import ActFunction, Database
from mes.errors import Malformed
from mes.message import Message

M = TypeVar("M", bound=Message)
A = TypeVar("A")


def get_database(request: Request) -> Database:
    """Return the plant's database."""
    database: Database = request.app.state.database
    return database


def get_actor(request: Request) -> Actor:
    """Return who asks; the gate in front of the routes has made sure that there is one."""
    actor: Actor = request.state.actor
    return actor


def require_read(request: Request) -> None:
    """Let those pass who may read the plant's records."""
    permissions.require(request.state.actor, "read")


DatabaseOf = Annotated[Database, Depends(get_database)]
ActorOf = Annotated[Actor, Depends(get_actor)]
reads = Depends(require_read)


async def run(request: Request, act: ActFunction[M, A], message: M) -> A:
    """Run an act for whoever asks, if their role may."""
    permissions.require(request.state.actor, act.__name__)
    database: Database = request.app.state.database
    return await database.transact(act, message, request.state.actor)


def parse(model: type[M], body: bytes) -> M:
    """Read a message from its JSON, or raise Malformed with every error at once."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise Malformed(model.__name__, explain(error)) from error


def explain(error: ValidationError) -> list[dict[str, Any]]:
    """Turn pydantic's errors into what was read, where, and what was expected."""
    return explain_all(error.errors(include_url=False, include_context=False))


def explain_all(errors: Sequence[Any]) -> list[dict[str, Any]]:
    """Turn errors as pydantic lists them into what was read, where, and what was expected."""
    return [
        {
            "at": ".".join(str(part + 1 if isinstance(part, int) else part) for part in found["loc"]),
            "read": _shorten(found.get("input")),
            "expected": found["msg"],
        }
        for found in errors[:200]
    ]


def _shorten(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def as_json(answer: BaseModel) -> Response:
    """Answer with a model's JSON, without FastAPI validating it a second time."""
    return Response(answer.model_dump_json(), media_type="application/json")
