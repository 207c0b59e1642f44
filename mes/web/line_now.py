"""Renders the part of the line page that changes: one card per station, totals, holds and orders."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from mes.db import Database
from mes.plant.queries import LineRow, StationRow, list_lines, list_stations
from mes.records.line import line_now
from mes.records.messages import LineNow, StationNow
from mes.web.rendering import fragment

SHOWN_HELD = 8  # the rest of the held serials unfolds


@dataclass(frozen=True, slots=True)
class StationCard:
    """A station as shown: `status` is its state in one word, `operations` the route's numbers it works."""

    now: StationNow
    operations: tuple[str, ...]
    status: str

    @property
    def pass_rate(self) -> float | None:
        """Share of judged cycles that passed, in percent; None: none was judged."""
        judged = self.now.passed + self.now.failed
        return 100 * self.now.passed / judged if judged else None


@dataclass(frozen=True, slots=True)
class LineCards:
    """A line as shown, its stations in the order of the work."""

    code: str
    name: str
    stations: list[StationCard]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The changing part of the page: when it was read, its HTML, and the digest that names it."""

    at: datetime
    html: str
    digest: str


async def render_line(database: Database) -> Rendered:
    """Read and render the line. The moment is not part of the HTML: the same line gives the same digest."""
    async with database.reading() as session:
        now = await line_now(session)
        lines = cards(now, await list_lines(session), await list_stations(session))
    html = fragment(
        "line_now.html",
        now=now,
        lines=lines,
        held=now.held_units[:SHOWN_HELD],
        more_held=now.held_units[SHOWN_HELD:],
    )
    return Rendered(now.at, html, sha256(html.encode()).hexdigest()[:16])


def cards(now: LineNow, lines: Sequence[LineRow], stations: Sequence[StationRow]) -> list[LineCards]:
    """Put the stations into their lines, in order, with what each can do."""
    operations = {station.code: station.operations for station in stations}
    by_line: defaultdict[str, list[StationCard]] = defaultdict(list)
    for station in now.stations:
        card = StationCard(station, operations.get(station.station, ()), _status(station))
        by_line[station.line].append(card)
    return [LineCards(line.code, line.name, by_line[line.code]) for line in lines]


def _status(station: StationNow) -> str:
    """A lost link outweighs the unit: what is in the station then is no longer known."""
    if station.link in {"lost", "silent"}:
        return station.link
    return "working" if station.serial else "free"
