"""What the groups of commands share: the database, who asks, one way to run an act and show its answer."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console

from mes.actor import Actor
from mes.db import ActFunction, Database
from mes.errors import Malformed
from mes.message import Message

M = TypeVar("M", bound=Message)
Work = Callable[[Database], Awaitable[Any]]
With = Callable[[Work], Any]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a picture.")]
Why = Annotated[str, typer.Option("--reason", help="Why.")]


class Commands:
    """What every command here needs: the database, who asks, one way to run an act and show its answer."""

    def __init__(self, with_database: With, operator: Callable[[], Actor]) -> None:
        self.with_database, self.operator = with_database, operator

    def act(self, act: ActFunction[Any, Any], model: type[Message], picture: Any, as_json: bool, **said: Any) -> None:
        """Run an act and show its answer."""
        self.act_on(act, self.read(model, **said), picture, as_json)

    def read(self, model: type[M], **said: Any) -> M:
        """Make a message of what was said, or raise Malformed with every error at once."""
        from mes.http import explain

        try:
            return model(**{name: value for name, value in said.items() if value is not None})
        except ValidationError as error:
            raise Malformed("The command", explain(error)) from error

    def act_on(self, act: ActFunction[Any, Any], message: Message, picture: Any, as_json: bool) -> None:
        """Run an act with a message and show its answer."""
        answer = self.with_database(lambda database: database.transact(act, message, self.operator()))
        show(answer, picture, as_json)


def show(answer: BaseModel, picture: Any, as_json: bool) -> None:
    """Print an answer, as JSON or as a picture."""
    if as_json:
        typer.echo(answer.model_dump_json())
    else:
        Console().print(picture(answer))
