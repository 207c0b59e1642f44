"""The command `mes drill`: a recall drill, timed and checked."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from mes.commands import AsJson, Commands, show
from mes.db import Database

if TYPE_CHECKING:
    from mes.drill.messages import DrillAnswer

TARGET_S = 3_600


def add_drill(cli: typer.Typer, use: Commands) -> None:
    """Add `mes drill`."""

    @cli.command()
    def drill(
        kind: Annotated[
            Literal["lot", "station", "failure"],
            typer.Argument(help="A lot; eight hours at a station; the lot of something in a finished unit."),
        ] = "lot",
        seed: Annotated[int | None, typer.Option(help="Pick the same again.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Drill a recall: pick something by chance, time the complete list of what it affects, check it, keep it.

        The list is compared with a count that is made another way. What auditors ask for: complete within an hour.
        Exit status 1 if a unit is missing or too much.
        """
        from mes.drill.queries import list_drills
        from mes.drill.service import run_drill

        earlier: list[DrillAnswer] = []

        async def work(database: Database) -> Any:
            answer = await run_drill(database, kind, use.operator(), seed)
            async with database.reading() as session:
                earlier.extend(await list_drills(session, 6))
            return answer

        answer = use.with_database(work)
        show(answer, lambda one: show_drill(one, earlier[1:]), as_json)
        raise typer.Exit(0 if answer.is_exact else 1)


def show_drill(answer: "DrillAnswer", earlier: "list[DrillAnswer]") -> RenderableType:
    """How it went, beside those before."""
    table = Table("drill", "when, UTC", "kind", "affected", "seconds", "missing", "too much")
    for one in (answer, *earlier):
        figures = (str(one.affected), f"{one.seconds:.3f}", str(len(one.missing)), str(len(one.surplus)))
        table.add_row(str(one.drill), f"{one.drilled_at:%Y-%m-%d %H:%M}", one.kind, *figures)
    places = ", ".join(f"{count} {place}" for place, count in answer.places.items()) or "nothing"
    wrong = [f"missing: {', '.join(answer.missing[:20])}"] if answer.missing else []
    wrong += [f"too much: {', '.join(answer.surplus[:20])}"] if answer.surplus else []
    said = f"{answer.affected} units in {answer.seconds:.3f} s of {TARGET_S:,} s that are allowed: {places}"
    return Group(answer.question, said, *wrong, table)
