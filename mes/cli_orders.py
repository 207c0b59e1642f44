"""The command `mes orders`: what is to be made."""

from typing import Annotated

import typer
from pydantic import RootModel
from rich.console import Console, RenderableType
from rich.table import Table

from mes.commands import AsJson, Commands, Why
from mes.db import Database
from mes.orders.messages import OrderAnswer


def orders(use: Commands) -> typer.Typer:
    """Make `mes orders`."""
    app = typer.Typer(help="Work orders: created, released, listed.", no_args_is_help=True)

    @app.command("create")
    def create(
        order: str,
        part: Annotated[str, typer.Argument(help="A part with a route.")],
        quantity: int,
        priority: Annotated[int, typer.Option(help="1 is the most urgent, 9 the least.")] = 5,
        as_json: AsJson = False,
    ) -> None:
        """Create a work order; `release` issues its serial numbers."""
        from mes.orders.messages import OrderRequest
        from mes.orders.service import create_order

        said = {"order": order, "part": part, "quantity": quantity, "priority": priority}
        use.act(create_order, OrderRequest, show_order, as_json, **said)

    @app.command("release")
    def release(order: str, as_json: AsJson = False) -> None:
        """Release an order: its serial numbers are issued, and stations may begin."""
        _move(order, "release", None, as_json)

    @app.command("cancel")
    def cancel(order: str, reason: Why, as_json: AsJson = False) -> None:
        """Cancel an order; what was built stays on record."""
        _move(order, "cancel", reason, as_json)

    def _move(order: str, event: str, reason: str | None, as_json: bool) -> None:
        from mes.orders.messages import OrderEvent
        from mes.orders.service import move_order

        use.act(move_order, OrderEvent, show_order, as_json, order=order, event=event, reason=reason)

    @app.command("list")
    def list_orders(as_json: AsJson = False) -> None:
        """List the orders, the most urgent first."""
        found = use.with_database(_find)
        if as_json:
            typer.echo(RootModel[list[OrderAnswer]](found).model_dump_json())
        else:
            Console().print(show_orders(found))

    return app


async def _find(database: Database) -> list[OrderAnswer]:
    from mes.orders.queries import find_orders

    async with database.reading() as session:
        return list(await find_orders(session))


def show_order(answer: OrderAnswer) -> RenderableType:
    """One order."""
    return show_orders([answer])


def show_orders(answers: list[OrderAnswer]) -> RenderableType:
    """Orders, a line each."""
    table = Table("order", "part", "finished", "state", "priority", "revisions")
    for one in answers:
        revisions = ", ".join(f"{part} {revision}" for part, revision in one.revisions.items())
        finished = f"{one.finished} of {one.quantity}"
        table.add_row(one.order, one.part, finished, one.state, str(one.priority), revisions)
    return table
