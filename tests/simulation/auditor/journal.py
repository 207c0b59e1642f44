"""Laws 7, 10 and 11: rows that never change, one journal row an act, answers in the MES's own words."""

from collections import Counter, defaultdict
from typing import Any

from tests.simulation.auditor.laws import Book, LawBroken, Look
from tests.simulation.auditor.rows import Act, Said
from tests.simulation.auditor.tables import Tables
from tests.simulation.auditor.work import ASK, TELL

# what may be heard instead of an answer to a fact: it can't be understood, its number is taken, or the line is down
OF_A_FACT = {"Malformed", "CycleReused", "Clash", "Unavailable"}


def check_answers(look: Look) -> None:
    """Law 11."""
    for said in look.said:
        if said.outcome != "error":
            continue
        if said.error.startswith("!"):
            raise LawBroken(11, f"{said.act} failed with {said.error}: {said.message}")
        if said.act == TELL and said.error not in OF_A_FACT:
            raise LawBroken(11, f"a fact was refused with {said.error}: {said.message}")


def check_journal(book: Book, look: Look) -> None:
    """Law 10."""
    tables = book.tables
    acts: defaultdict[str, list[Act]] = defaultdict(list)
    for act in look.news.acts:
        acts[act.name].append(act)
    new: dict[str, Any] = {ASK: look.news.permits, TELL: look.news.cycles}
    for name, rows in new.items():
        journaled = Counter((act.message["station"], act.message["cycle"]) for act in acts.pop(name, []))
        recorded = Counter((tables.stations[row.station_id], row.cycle) for row in rows)
        unknown = Counter(
            said.key
            for said in look.said
            if said.act == name and said.message["station"] not in tables.stations.values()
        )
        wrong = {key for key in journaled | recorded if journaled[key] != recorded[key] and key not in unknown}
        if wrong:
            raise LawBroken(10, f"{name}: journaled {journaled}, recorded {recorded}")
    for name in {*acts, *(said.act for said in look.said)} - set(new):
        _match(name, acts[name], [said for said in look.said if said.act == name and said.outcome != "error"])


def _match(name: str, acts: list[Act], said: list[Said]) -> None:
    """Each journal row is of one message; each message that was answered has its row."""
    answered = [one for one in said if one.outcome == "answer"]
    silent = [one for one in said if one.outcome == "silence"]
    for act in acts:
        fitting = next((one for one in [*answered, *silent] if _is_same(act, one)), None)
        if fitting is None:
            raise LawBroken(10, f"nobody asked for what is journaled: {act}")
        (answered if fitting in answered else silent).remove(fitting)
    if answered:
        raise LawBroken(10, f"{name} was answered and isn't journaled: {answered[0].message}")


def _is_same(act: Act, said: Said) -> bool:
    return act.actor == said.actor and all(said.message.get(name) == value for name, value in act.message.items())


class Hashes:
    """Law 7: the hash of every row seen so far."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], tuple[str, str]] = {}

    async def check(self, tables: Tables) -> None:
        """Compare every row with what it was."""
        now = await tables.row_hashes()
        for row, (kept, closing) in self.seen.items():
            if row not in now:
                raise LawBroken(7, f"{row[0]} {row[1]} is gone")
            if now[row][0] != kept:
                raise LawBroken(7, f"{row[0]} {row[1]} was altered")
            if closing and now[row][1] != closing:
                raise LawBroken(7, f"{row[0]} {row[1]} was closed twice: {closing}, then {now[row][1]}")
        self.seen = now
