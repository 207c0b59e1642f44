"""What a gateway has answered and heard while the MES was away: on this PC's disk, in order, until the MES has it."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from mes import clock
from mes.errors import MesError
from mes.execution.messages import OfflinePermit, PermitAnswer, PermitRequest, ResultReport
from plc_adapters.waiting import Entry, Waiting

T = TypeVar("T")
ALARM = 0.7  # of its bound; from here on a person should look
_PAGE = 4096
_TABLES = """
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, station TEXT NOT NULL, cycle TEXT NOT NULL,
    units TEXT NOT NULL, body TEXT NOT NULL, answer TEXT, kept_at TEXT NOT NULL, UNIQUE (kind, station, cycle));
CREATE TABLE IF NOT EXISTS known (name TEXT PRIMARY KEY, body TEXT NOT NULL, at TEXT NOT NULL);
"""


class SpoolFull(MesError):
    """The spool {path} can't take more: {reason}. Bring the MES back, make room on its disk, or raise --spool-mb."""

    status = 507


def units_of(message: PermitRequest | ResultReport) -> frozenset[str]:
    """What a message is about: what the MES hears of these must keep its order."""
    fitted, out = (one.serial for one in message.components), (one.serial for one in message.removals)
    return frozenset({message.serial, *fitted, *out})


class Spool:
    """A file of entries, oldest first. What `keep` returns from is on the disk."""

    def __init__(self, path: Path, most_mb: float = 512) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._most_pages = max(16, int(most_mb * 1024 * 1024 / _PAGE))
        # one thread: SQLite's calls wait for the disk, and stations must not
        self._thread = ThreadPoolExecutor(1, "spool")
        self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._file.executescript(
            f"PRAGMA page_size={_PAGE}; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
            f"PRAGMA max_page_count={self._most_pages};{_TABLES}"
        )
        self.waiting = Waiting(self._read())
        self._brought: set[int] = set()  # of these the MES has heard, and the disk could not forget them yet
        self.fill = self._measure()  # how full it is, 0..1
        self.arrived = asyncio.Event()
        self.left = asyncio.Condition()

    def close(self) -> None:
        """Let go of the file."""
        self._thread.shutdown()
        self._file.close()

    async def keep_result(self, report: ResultReport) -> bool:
        """Keep a result for good, the same once; False: another result is kept under its number already."""
        body = report.model_dump_json()
        if await self._keep("result", report.station, report.cycle, units_of(report), body, None):
            return True
        sql = "SELECT body FROM entry WHERE kind = 'result' AND station = ? AND cycle = ?"
        row = await self._run(lambda: self._file.execute(sql, (report.station, report.cycle)).fetchone())
        kept = _read_message("result", row[0]) if row else report
        return isinstance(kept, ResultReport) and _same(kept, report)

    async def message(self, entry: Entry) -> ResultReport | OfflinePermit | str:
        """What the MES must be told; as text where another version kept it so that this one can't read it."""
        sql = "SELECT body FROM entry WHERE id = ?"
        row = await self._run(lambda: self._file.execute(sql, (entry.id,)).fetchone())
        return _read_message(entry.kind, row[0])

    async def results(self) -> AsyncIterator[ResultReport]:
        """The results that wait and can be read, oldest first."""
        sql = "SELECT id, body FROM entry WHERE kind = 'result' AND id > ? ORDER BY id LIMIT 500"
        after = 0
        while rows := await self._run(partial(self._fetch, sql, after)):
            after = rows[-1][0]
            for _, body in rows:
                if isinstance(report := _read_message("result", body), ResultReport):
                    yield report

    async def keep_permit(self, permit: OfflinePermit, answer: PermitAnswer) -> None:
        """Keep an answer that was given without the MES, before the station hears it."""
        asked = permit.request
        body = permit.model_dump_json()
        await self._keep("permit", asked.station, asked.cycle, units_of(asked), body, answer.model_dump_json())

    async def answer_of(self, station: str, cycle: str) -> PermitAnswer | None:
        """The answer given to a cycle that the MES has not heard of yet: the same number gets the same again."""
        if f"{station}/{cycle}" not in self.waiting.keys("permit"):
            return None  # nothing waits, as nearly always: the disk isn't asked
        sql = "SELECT answer FROM entry WHERE kind = 'permit' AND station = ? AND cycle = ?"
        row = await self._run(lambda: self._file.execute(sql, (station, cycle)).fetchone())
        return PermitAnswer.model_validate_json(row[0]) if row else None

    async def remove(self, entry: Entry) -> None:
        """Let go of what the MES has. Where the disk can't forget it, that is tried again with the next one.

        A restart in between tells the MES once more, under the same number: nothing comes of that.
        """
        self.waiting.discard(entry)
        self._brought.add(entry.id)
        with suppress(sqlite3.Error):
            names = json.dumps(sorted(self._brought))
            await self._run(
                lambda: self._change("DELETE FROM entry WHERE id IN (SELECT value FROM json_each(?))", (names,))
            )
            self._brought.clear()
        async with self.left:
            self.left.notify_all()

    async def until_free(self, units: Collection[str]) -> None:
        """Wait until nothing of these units waits any more."""
        async with self.left:
            await self.left.wait_for(lambda: not self.waiting.holds(units))

    async def remember(self, name: str, body: str) -> None:
        """Keep the newest of what is known under a name; SpoolFull: the one before stays."""
        sql = "INSERT OR REPLACE INTO known (name, body, at) VALUES (?, ?, ?)"
        try:
            await self._run(lambda: self._change(sql, (name, body, clock.iso_now())))
        except sqlite3.Error as error:
            raise SpoolFull(path=self.path, reason=error) from error

    def remembered(self, name: str) -> str | None:
        """What was kept under a name."""
        row = self._file.execute("SELECT body FROM known WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def export(self) -> Iterator[str]:
        """Every entry that waits, a line of JSON each."""
        names = ("id", "kind", "station", "cycle", "kept_at", "body")
        for row in self._file.execute("SELECT id, kind, station, cycle, kept_at, body FROM entry ORDER BY id"):
            kept = dict(zip(names, row, strict=True))
            yield json.dumps({**kept, "body": json.loads(kept["body"])})

    async def _keep(
        self, kind: str, station: str, cycle: str, units: frozenset[str], body: str, answer: str | None
    ) -> bool:
        values = (kind, station, cycle, json.dumps(sorted(units)), body, answer, clock.iso_now())
        sql = (
            "INSERT INTO entry (kind, station, cycle, units, body, answer, kept_at) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING"
        )
        try:
            cursor = await self._run(lambda: self._change(sql, values))
        except sqlite3.Error as error:
            raise SpoolFull(path=self.path, reason=error) from error
        if cursor.rowcount > 0:
            id_ = int(cursor.lastrowid or 0)
            self.waiting.add(Entry(id_, kind, station, cycle, units))
            self.arrived.set()
        return cursor.rowcount > 0

    def _fetch(self, sql: str, after: int) -> list[tuple[int, str]]:
        return self._file.execute(sql, (after,)).fetchall()

    def _change(self, sql: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        cursor = self._file.execute(sql, values)
        self.fill = self._measure()
        return cursor

    def _measure(self) -> float:
        used, free = (self._file.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
        return float(used - free) / self._most_pages

    def _read(self) -> Sequence[Entry]:
        rows = self._file.execute("SELECT id, kind, station, cycle, units FROM entry ORDER BY id")
        return [
            Entry(id_, kind, station, cycle, frozenset(json.loads(units))) for id_, kind, station, cycle, units in rows
        ]

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _read_message(kind: str, body: str) -> ResultReport | OfflinePermit | str:
    try:
        return (ResultReport if kind == "result" else OfflinePermit).model_validate_json(body)
    except ValidationError:
        return body


def _same(one: ResultReport, other: ResultReport) -> bool:
    omitted = ResultReport.digest_omits
    return one.model_dump(exclude=omitted) == other.model_dump(exclude=omitted)
