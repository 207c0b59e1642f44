"""Verifies the record against its seals: all of it, what was sealed on a day, or a unit with everything inside."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from mes.db import Database, ReadSession
from mes.seal.covering import acts_about, covering, journal_parts, rows_of_unit
from mes.seal.messages import Anchor
from mes.seal.queries import (
    SealRow,
    Stream,
    broken_link,
    digests,
    find_seal,
    in_force,
    keys_in,
    newest_seal,
    parts_of,
    rows_above,
    sealed_to,
    seals_of,
    streams,
    wrong_root,
)
from mes.seal.rules import LOWEST, Part, first_difference

SEALS_AT_ONCE, LINKS_AT_ONCE, ROWS_AT_ONCE = 100, 50_000, 50_000
SAID = {
    "changed": "was changed",
    "added": "was added",
    "missing": "is missing: it was removed",
}
OnStep = Callable[[int, int], None]  # seals done, of how many


@dataclass(slots=True)
class Verdict:
    """What was verified, and the first thing that doesn't fit: `misfit` says so in a sentence; None: all fits.

    `unsealed`: rows that no seal covers yet. `acts`: what the journal says of the row that doesn't fit.
    """

    newest: SealRow | None = None
    seals: int = 0
    rows: int = 0
    unsealed: int = 0
    misfit: str | None = None
    acts: list[str] = field(default_factory=list)


class _Misfit(Exception):
    """The first thing that doesn't fit."""

    def __init__(self, said: str, acts: Sequence[str] = ()) -> None:
        super().__init__(said)
        self.acts = list(acts)


async def verify_all(database: Database, anchor: Anchor | None = None, on_step: OnStep = lambda *_: None) -> Verdict:
    """Verify every seal and every row that one covers; count the rows that none does yet."""
    return await _Verifying(database, anchor, on_step).run(_everything)


async def verify_day(
    database: Database, day: date, anchor: Anchor | None = None, on_step: OnStep = lambda *_: None
) -> Verdict:
    """Verify what was sealed on a day, UTC, and that the seals since follow on it."""
    begins = datetime.combine(day, time(), UTC)

    async def of_day(verifying: "_Verifying") -> None:
        async with verifying.database.reading() as session:
            found = await seals_of(session, begins, begins + timedelta(days=1))
        if found:
            await verifying.check(*found)
            await verifying.check_links(found[1] + 1)

    return await _Verifying(database, anchor, on_step).run(of_day)


async def verify_unit(
    database: Database, serial: str, anchor: Anchor | None = None, on_step: OnStep = lambda *_: None
) -> Verdict:
    """Verify all rows of a unit and of what is or was inside it, with the journal that was sealed with them, and that
    the seals since the first of them follow on one another."""

    async def of_unit(verifying: "_Verifying") -> None:
        async with verifying.database.reading() as session:
            parts, uncovered = await covering(session, await rows_of_unit(session, serial))
            verifying.verdict.unsealed = len(uncovered)
            already = await sealed_to(session, verifying.known)
            for name, number in uncovered:
                if number <= already.get(name, LOWEST):
                    raise _Misfit(f"{name}: row {number} is covered by no seal, though newer rows are.")
            if parts:
                verifying.verdict.seals = len({part.seal for part in parts})
                await verifying.check_parts(session, parts)
        if parts:
            await verifying.check_links(parts[0].seal)

    return await _Verifying(database, anchor, on_step).run(of_unit)


async def _everything(verifying: "_Verifying") -> None:
    verdict = verifying.verdict
    await verifying.check(1, verdict.newest.id if verdict.newest else 0)
    async with verifying.database.reading() as session:
        already = await sealed_to(session, verifying.known)
        for stream in in_force(verifying.known):
            verdict.unsealed += await rows_above(session, stream, already.get(stream.name, LOWEST))


class _Verifying:
    """One run. Each step has a snapshot of its own: what is sealed never changes, and no long one hinders the plant."""

    def __init__(self, database: Database, anchor: Anchor | None, on_step: OnStep) -> None:
        self.database, self.anchor, self.on_step = database, anchor, on_step
        self.verdict = Verdict()
        self.known: dict[int, Stream] = {}

    async def run(self, check: Callable[["_Verifying"], Awaitable[None]]) -> Verdict:
        """Run a check; the verdict."""
        try:
            async with self.database.reading() as session:
                self.known = await streams(session)
                self.verdict.newest = await newest_seal(session)
                await self._check_anchor(session)
            await check(self)
        except _Misfit as misfit:
            self.verdict.misfit, self.verdict.acts = str(misfit), misfit.acts
        return self.verdict

    async def check(self, first: int, last: int) -> None:
        """Check seals whole: how they follow on one another, what they were made of, every row."""
        for start in range(first, last + 1, SEALS_AT_ONCE):
            end = min(start + SEALS_AT_ONCE - 1, last)
            self.on_step(start - first, last - first + 1)
            async with self.database.reading() as session:
                await self._check_links(session, start, end)
                await self._check_roots(session, range(start, end + 1))
                await self.check_parts(session, await parts_of(session, start, end))
            self.verdict.seals += end - start + 1
        self.on_step(last - first + 1, last - first + 1)

    async def check_links(self, first: int) -> None:
        """Check that the seals from here to the newest follow on one another."""
        last = self.verdict.newest.id if self.verdict.newest else 0
        for start in range(first, last + 1, LINKS_AT_ONCE):
            self.on_step(start - first, last - first + 1)
            async with self.database.reading() as session:
                await self._check_links(session, start, min(start + LINKS_AT_ONCE - 1, last))

    async def check_parts(self, session: ReadSession, parts: Sequence[Part]) -> None:
        """Check the roots that these parts belong to, and the rows that they cover."""
        await self._check_roots(session, {part.seal for part in parts})
        for some in _slices(parts):
            of_stream = defaultdict(list)
            for part in some:
                of_stream[part.stream].append(part)
            wrong: list[Part] = []
            for stream_id, sealed in of_stream.items():
                runs = [(part.from_id, part.to_id) for part in sealed]
                now = {part.to_id: part for part in await digests(session, self.known[stream_id], runs)}
                wrong += [p for p in sealed if (now[p.to_id].rows, now[p.to_id].digest) != (p.rows, p.digest)]
            if wrong:
                raise await self._misfit(session, min(wrong, key=lambda part: (part.seal, part.stream, part.to_id)))
            self.verdict.rows += sum(part.rows for part in some)

    async def _check_anchor(self, session: ReadSession) -> None:
        anchor, newest = self.anchor, self.verdict.newest
        if anchor is None:
            return
        found = await find_seal(session, anchor.seal)
        if found is None:
            ends = f"the newest is seal {newest.id} of {_moment(newest.at)}" if newest else "there is none at all"
            raise _Misfit(
                f"The anchor names seal {anchor.seal} of {_moment(anchor.at)}, but {ends}: seals are missing."
            )
        if found.hash.hex() != anchor.hash:
            raise _Misfit(
                f"Seal {anchor.seal} isn't the one that the anchor of {_moment(anchor.at)} names: "
                "it, or one before it, was made anew."
            )

    async def _check_links(self, session: ReadSession, first: int, last: int) -> None:
        if broken := await broken_link(session, first, last):
            seal, at, is_whole = broken
            said = (
                f"doesn't follow on seal {seal - 1}: one was removed, added or altered" if is_whole else "was altered"
            )
            raise _Misfit(f"Seal {seal} of {_moment(at)} {said}.")

    async def _check_roots(self, session: ReadSession, seals: Iterable[int]) -> None:
        if wrong := await wrong_root(session, seals):
            raise _Misfit(f"The parts of seal {wrong[0]} of {_moment(wrong[1])} aren't those that it was made of.")

    async def _misfit(self, session: ReadSession, part: Part) -> _Misfit:
        stream = self.known[part.stream]
        keys = await keys_in(session, stream, part.from_id, part.to_id)
        now = (await digests(session, stream, [(part.from_id, part.to_id)]))[0]
        what, number = first_difference(part, keys, now.marks)
        row = f"row {stream.key} {number}" if number is not None else f"a row of {stream.key} up to {part.to_id}"
        seal = await find_seal(session, part.seal)
        when = f"(seal {part.seal} of {_moment(seal.at)})" if seal else f"(seal {part.seal})"
        acts = await acts_about(session, stream, number, await journal_parts(session, [part.seal]))
        return _Misfit(f"{stream.of_table}: {row} {SAID[what]} after it was sealed {when}.", acts)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _slices(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Parts, in order, so many at once that each statement is done within its time."""
    some: list[Part] = []
    rows = 0
    for part in parts:
        some.append(part)
        rows += part.rows
        if rows >= ROWS_AT_ONCE:
            yield some
            some, rows = [], 0
    if some:
        yield some
