"""The auditor at work: hears what was said, looks at the tables, checks every law."""

import asyncpg

from tests.simulation.auditor.holds import check_holds, check_scrap, check_signatures
from tests.simulation.auditor.journal import Hashes, check_answers, check_journal
from tests.simulation.auditor.laws import Book, Look
from tests.simulation.auditor.places import Lots, check_places
from tests.simulation.auditor.rows import Said
from tests.simulation.auditor.states import check_states
from tests.simulation.auditor.tables import Tables
from tests.simulation.auditor.work import check_effects, check_once, check_order_of_work

_BUSY = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND state <> 'idle'
    AND pid <> pg_backend_pid()
"""


class Auditor:
    """Checks the laws of one database, step by step."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.book = Book(Tables(connection))
        self.lots = Lots()
        self.hashes = Hashes()

    async def begin(self) -> None:
        """Take the plant as it is found."""
        await self.book.tables.read()
        self.book.lot_states = {lot.id: lot.state for lot in self.book.tables.lots.values()}
        self.lots.begin(self.book)
        await self.hashes.check(self.book.tables)

    async def settle(self) -> None:
        """Wait until the server has ended what a crash left behind; each look is a round trip."""
        while await self.connection.fetchval(_BUSY):
            pass

    async def check(self, said: list[Said], *, is_thorough: bool = False) -> Look:
        """Check every law after a step; LawBroken says the first that is broken."""
        book, tables = self.book, self.book.tables
        held, lots = set(tables.open_holds), dict(tables.lot_of)
        news = await tables.read()
        look = Look(said, news, held, lots)
        for one in said:
            if one.key is not None:
                book.sent[one.act, one.key[0], one.key[1]].append(one)
        book.forget({c.unit_id for c in news.cycles if c.unit_id is not None})
        book.forget(d.unit_id for d in news.dispositions if d.unit_id is not None)
        check_answers(look)
        check_effects(book, look)
        check_once(book, look)
        check_journal(book, look)
        check_places(book, look)
        self.lots.check(book, look)
        check_order_of_work(book, look)
        check_holds(book, look)
        check_signatures(book, look)
        check_scrap(book, look)
        check_states(book, look)
        book.revoked = {waiver.id for waiver in tables.waivers.values() if waiver.revoked_at is not None}
        if is_thorough:
            await self.hashes.check(tables)
        return look
