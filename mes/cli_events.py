"""The commands `mes events`: who is brought the plant's events, and what they are."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mes.commands import AsJson, Commands
from mes.db import Database
from mes.events.messages import SubscriptionAnswer

FOLLOW_EVERY_S = 0.5
Topics = Annotated[str, typer.Option(help="Topics with commas between, as in cycle,hold; all, if not given.")]
Name = Annotated[str | None, typer.Option(help="What to call it; its host, if not given.")]
After = Annotated[int | None, typer.Option(help="Begin after this event; with the next one, if not given.")]


def events(use: Commands) -> typer.Typer:
    """Make `mes events`."""
    app = typer.Typer(help="The plant's events, and who is brought them.", no_args_is_help=True)
    _add_subscribing(app, use)
    _add_looking(app, use)
    return app


def _add_subscribing(app: typer.Typer, use: Commands) -> None:
    @app.command("subscribe-webhook")
    def subscribe_webhook(address: str, topics: Topics = "", name: Name = None, after: After = None) -> None:
        """Post each event to an address, signed. Its secret is shown this once."""
        from mes.events.messages import WebhookRequest
        from mes.events.service import sealed, subscribe_webhook
        from mes.settings import get_settings

        key = get_settings().event_key
        request = use.read(
            WebhookRequest, address=address, topics=_split(topics), name=_name(name, address), after=after
        )
        message, secret = sealed(request, key.get_secret_value() if key else None)
        use.act_on(subscribe_webhook, message, show_subscription, as_json=False)
        typer.echo(f"Its signing secret, shown this once: {secret}")

    @app.command("subscribe-mqtt")
    def subscribe_mqtt(
        address: Annotated[str, typer.Argument(help="mqtts://HOST[:8883]; its log-in comes from MES_MQTT_LOGINS.")],
        prefix: Annotated[
            str | None, typer.Option(help="First level of each topic; MES_ENTERPRISE, if not given.")
        ] = None,
        topics: Topics = "",
        name: Name = None,
        after: After = None,
    ) -> None:
        """Publish each event at an MQTT 5 broker, as PREFIX/site/line/station/topic."""
        from mes.events.messages import BrokerRequest
        from mes.events.service import subscribe_broker
        from mes.settings import get_settings

        said = {"address": address, "prefix": prefix or get_settings().enterprise, "topics": _split(topics)}
        message = use.read(BrokerRequest, **said, name=_name(name, address), after=after)
        use.act_on(subscribe_broker, message, show_subscription, as_json=False)

    @app.command("remove")
    def remove(name: str) -> None:
        """Bring it no more events; a webhook's secret is void."""
        from mes.events.messages import SubscriptionName
        from mes.events.service import unsubscribe

        message = use.read(SubscriptionName, name=name)
        use.with_database(lambda database: database.transact(unsubscribe, message, use.operator()))
        typer.echo(f"{name} is brought no more events.")


def _add_looking(app: typer.Typer, use: Commands) -> None:
    @app.command("list")
    def list_all(as_json: AsJson = False) -> None:
        """List who is brought events, how far each has taken them, and what stops it."""
        found = use.with_database(_list)
        if as_json:
            typer.echo("[" + ",".join(one.model_dump_json() for one in found) + "]")
        else:
            Console().print(_table(found))

    @app.command("tail")
    def tail(
        topics: Topics = "",
        after: After = None,
        once: Annotated[bool, typer.Option("--once", help="Print what there is and end.")] = False,
    ) -> None:
        """Print events as CloudEvents, one a line, as they are told; Ctrl-C ends it."""
        use.with_database(lambda database: _follow(database, _split(topics), after, once=once))


def show_subscription(found: SubscriptionAnswer) -> str:
    """One subscription in a sentence."""
    topics = ", ".join(found.topics) or "all topics"
    return f"{found.name}: {topics} to {found.address}, from after event {found.position}."


def _split(topics: str) -> list[str]:
    return [topic.strip() for topic in topics.split(",") if topic.strip()]


def _name(name: str | None, address: str) -> str:
    from urllib.parse import urlsplit

    return name or (urlsplit(address).hostname or "").replace(":", "-")


async def _list(database: Database) -> list[SubscriptionAnswer]:
    from mes.events.queries import subscriptions

    async with database.reading() as session:
        return await subscriptions(session)


async def _follow(database: Database, topics: list[str], after: int | None, *, once: bool) -> None:
    from mes.events.cloud import to_json
    from mes.events.queries import events_after, stream_ends
    from mes.settings import get_settings

    enterprise = get_settings().enterprise
    while True:
        async with database.reading() as session:
            if after is None:
                after = 0 if once else (await stream_ends(session)).newest
            found = await events_after(session, after, 1000, topics)
        for event in found:
            typer.echo(to_json(event, enterprise).decode())
            after = event.id
        if once and not found:
            return
        if not found:
            await asyncio.sleep(FOLLOW_EVERY_S)


def _table(found: list[SubscriptionAnswer]) -> Table:
    table = Table("name", "to", "topics", "state", "position", "waiting", "since", "missed", "last error")
    for one in found:
        since = f"{one.failing_since:%Y-%m-%d %H:%M}" if one.failing_since else ""
        told = (one.name, one.address, ", ".join(one.topics) or "all", one.state, one.position, one.waiting, since)
        table.add_row(*(str(value) for value in (*told, one.missed, one.last_error or "")))
    return table
