"""Asks the record a question."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mes.db import ReadSession
from mes.errors import Conflict
from mes.find.language import Term, parse, show, terms
from mes.find.messages import Found, FoundUnit, Recipient
from mes.find.queries import MOST, containing, fitting, look_up, lot_numbers

SHOWN = 1_000
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


class TooMany(Conflict):
    """More than {most} units fit: narrow the question, by a time, a station or a part."""


async def find(session: ReadSession, text: str, as_of: datetime | None = None, limit: int = SHOWN) -> Found:
    """Which units fit a question, now or as of a moment, and whatever contains them.

    `as_of`: cycles reported by then, and what was installed then; where things are is told as of now.
    """
    question = parse(text)
    known = await look_up(session, question, as_of)
    own = await fitting(session, question, known)
    if len(own) > MOST:
        raise TooMany(most=MOST)
    lots = await fitting(session, question, known, "lot")
    used = [id_ for (field, _), ids in known.ids.items() if field == "lot" for id_ in ids]
    rows = await containing(session, own, used, as_of or FOREVER)
    outer = [row for row in rows if row["place"] != "inside"]
    unknown = sum(not row["is_certain"] for row in rows)
    asked = sorted({term.field for term in terms(question) if isinstance(term, Term)})
    return Found(
        question=show(question),
        as_of=as_of,
        affected=len(rows),
        unknown=unknown,
        places=dict(Counter(row["place"] for row in outer).most_common()),
        recipients=_recipients(outer),
        lots=await lot_numbers(session, [id_ for id_, _ in lots]),
        units=[_unit(row) for row in sorted(rows, key=lambda one: one["place"] == "inside")[:limit]],
        gaps=_gaps(unknown, asked, sum(not is_certain for _, is_certain in lots)),
    )


def _unit(row: Any) -> FoundUnit:
    basis = "position" if not row["is_own"] else "lot" if row["is_by_lot"] else "unit"
    return FoundUnit(
        serial=row["serial"],
        part=row["part"],
        basis=basis if row["is_certain"] else "unknown",
        place=row["place"],
        crate=row["crate"],
        shipped_to=row["shipped_to"],
    )


def _recipients(rows: Iterable[Any]) -> list[Recipient]:
    count = Counter(row["shipped_to"] for row in rows if row["place"] == "shipped")
    return [Recipient(shipped_to=to, units=number) for to, number in count.most_common()]


def _gaps(unknown: int, asked: list[str], lots: int) -> list[str]:
    of = ", ".join(asked) or "values"
    gaps = [f"{unknown} units may be affected: the record doesn't know enough of them ({of})"] if unknown else []
    return gaps + ([f"{lots} lots may be affected: the record doesn't know enough of them"] if lots else [])
