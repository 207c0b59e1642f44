"""The only opener and ender of transactions."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Hashable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import asyncpg
from sqlalchemy import CursorResult, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from mes import clock, journal, log, outbox
from mes.actor import Actor
from mes.errors import Malformed, Unavailable
from mes.message import Message
from mes.settings import Settings
from mes.statement import Clause, Prepared, compose

TRIES = 3
POOL_TIMEOUT_S = 10
APPLICATION_ROLE = "mes_app"
_AGAIN = {"23505", "40P01", "40001"}  # unique violation, deadlock, serialization failure: run the act again
_GONE = {"55P03", "57014", "57P01", "57P02", "57P03", "53300"}  # lock or statement time-out, shutdown, too many


class Clash(Unavailable):
    """Others changed the same records at the same time, {tries} times in a row ({constraint}). Ask again."""


class ReadSession:
    """A transaction that may only read, in PostgreSQL itself."""

    def __init__(self, connection: AsyncConnection, driver: asyncpg.Connection, frozen: dict[Hashable, Any]) -> None:
        self.connection = connection
        self.driver = driver
        self.frozen = frozen  # what never changes once stored (released revisions), kept for the process's life

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a Core statement."""
        return await self.connection.execute(statement, parameters)

    async def run(self, prepared: Prepared, **values: Any) -> list[asyncpg.Record]:
        """Run a prepared statement; its rows."""
        rows: list[asyncpg.Record] = await self.driver.fetch(prepared.sql, *(values[name] for name in prepared.names))
        return rows


class Session(ReadSession):
    """The transaction of one act."""

    def __init__(
        self,
        connection: AsyncConnection,
        driver: asyncpg.Connection,
        frozen: dict[Hashable, Any],
        actor: Actor,
        digest: bytes,
    ) -> None:
        super().__init__(connection, driver, frozen)
        self.actor = actor
        self.digest = digest  # SHA-256 of the whole message: the same twice is the same message
        self.at = clock.now()
        self.events: list[tuple[str, str]] = []
        self.is_repeat = False
        self.last: tuple[tuple[Clause, ...], Mapping[str, Any]] = ((), {})

    def take_moment(self) -> None:
        """Take the act's moment anew, once its locks are held: what they waited for happened before."""
        self.at = clock.now()

    async def run(self, prepared: Prepared, **values: Any) -> list[asyncpg.Record]:
        """Run a prepared statement; its rows. `at` is the act's moment, unless another is given."""
        return await super().run(prepared, **({"at": self.at} | values))

    def tell(self, topic: str, **payload: Any) -> None:
        """Leave an event for others, sent once this act has committed."""
        self.events.append((topic, json.dumps(payload, default=str)))

    def write_last(self, *clauses: Clause, **values: Any) -> None:
        """Write this together with the journal, in one round trip, when the act has returned."""
        self.last = (clauses, values)

    def repeated(self) -> None:
        """Say that this act found its work done already: nothing is written, not even to the journal."""
        self.is_repeat = True


M_contra = TypeVar("M_contra", bound=Message, contravariant=True)
A_co = TypeVar("A_co", covariant=True)


class ActFunction(Protocol[M_contra, A_co]):
    """An act: `async def hold(session, message) -> answer`."""

    __name__: str
    __module__: str

    def __call__(self, session: Session, message: M_contra, /) -> Awaitable[A_co]: ...


class Database:
    """The plant's database: `transact` for acts, `reading` for reads."""

    def __init__(self, engine: AsyncEngine, connections: int) -> None:
        self.engine = engine
        self.frozen: dict[Hashable, Any] = {}
        self._free = asyncio.Semaphore(connections)
        self._idle: list[tuple[AsyncConnection, asyncpg.Connection]] = []

    async def transact(self, act: ActFunction[M_contra, A_co], message: M_contra, actor: Actor) -> A_co:
        """Run one act in one transaction and journal it; committed before the caller hears anything.

        Raises what the act raises (nothing is stored then), Clash after three lost races, Unavailable when the
        database can't be used.
        """
        whole = message.model_dump_json()
        pinned = message.model_dump_json(exclude=message.digest_omits) if message.digest_omits else whole
        digest = hashlib.sha256(pinned.encode()).digest()
        for remaining in reversed(range(TRIES)):
            try:
                async with self._session(read_only=False) as (connection, driver):
                    session = Session(connection, driver, self.frozen, actor, digest)
                    answer = await act(session, message)
                    if not session.is_repeat:
                        await _write_journal(session, act, message, whole)
                return answer
            except (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, PoolTimeout, OSError) as error:
                _raise_unless_race(error, remaining)
                await asyncio.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - apart, so that they don't meet again
        raise AssertionError("unreachable: the last try raises")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[ReadSession]:
        """Open a read-only transaction, one snapshot for all its statements."""
        try:
            async with self._session(read_only=True) as (connection, driver):
                yield ReadSession(connection, driver, self.frozen)
        except (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, PoolTimeout, OSError) as error:
            _raise_unless_race(error, 0)

    async def close(self) -> None:
        """Close every connection."""
        for connection, _ in self._idle:
            await connection.close()
        self._idle.clear()
        await self.engine.dispose()

    @asynccontextmanager
    async def _session(self, *, read_only: bool) -> AsyncIterator[tuple[AsyncConnection, asyncpg.Connection]]:
        # The engine stands in autocommit: the transaction is the driver's, so that Core statements and prepared ones
        # share it and nothing is begun or committed behind our back.
        isolation = "repeatable_read" if read_only else "read_committed"
        async with (
            self._connection() as (connection, driver),
            driver.transaction(isolation=isolation, readonly=read_only),
        ):
            yield connection, driver

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[AsyncConnection, asyncpg.Connection]]:
        # Kept here while idle: taking one from the engine's pool for each act costs more than a round trip.
        async with asyncio.timeout(POOL_TIMEOUT_S):
            await self._free.acquire()
        try:
            connection, driver = self._idle.pop() if self._idle else await self._connect()
            if driver.is_closed():
                await connection.invalidate()
                await connection.close()
                connection, driver = await self._connect()
            try:
                yield connection, driver
            finally:
                # Kept only after a clean end: a cancelled BEGIN would turn the next act into a savepoint of nobody's.
                if driver.is_closed() or driver.is_in_transaction() or driver._top_xact is not None:
                    driver.terminate()
                    await connection.invalidate()
                    await connection.close()
                else:
                    self._idle.append((connection, driver))
        finally:
            self._free.release()

    async def _connect(self) -> tuple[AsyncConnection, asyncpg.Connection]:
        connection = await self.engine.connect()
        driver = (await connection.get_raw_connection()).driver_connection
        if driver is None:
            raise Unavailable(reason="the database gave a closed connection")
        return connection, driver


async def _write_journal(session: Session, act: ActFunction[Any, Any], message: Message, whole: str) -> None:
    short = message.model_dump_json(exclude=message.journal_omits) if message.journal_omits else whole
    clauses, values = session.last
    await session.run(
        compose(*clauses, outbox.TELL, journal.JOURNAL, answer="SELECT id FROM journaled"),
        **values,
        actor=session.actor.name,
        role=session.actor.role.value,
        name=f"{act.__module__.split('.')[1]}.{act.__name__}",
        message=short,
        digest=session.digest,
        request_id=log.request_id(),
        topics=[topic for topic, _ in session.events],
        payloads=[payload for _, payload in session.events],
    )


def _raise_unless_race(error: Exception, remaining: int) -> None:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    state = getattr(cause, "sqlstate", None) or ""
    if state in _AGAIN:
        if remaining:
            return
        constraint = getattr(cause.__cause__ or cause, "constraint_name", None) or state
        raise Clash(tries=TRIES, constraint=constraint) from error
    if state.startswith("22"):
        problem = {"at": "a value", "read": str(cause)[:200], "expected": "one that can be stored"}
        raise Malformed("The message", [problem]) from error
    if state in _GONE or state.startswith("08") or isinstance(error, PoolTimeout | OSError | asyncpg.InterfaceError):
        raise Unavailable(reason=f"{type(cause).__name__} {state}".strip()) from error
    raise error


def open_database(settings: Settings, url: str, *, role: str | None = APPLICATION_ROLE) -> Database:
    """Make the pool. Every connection takes the application's role, whatever user the address names."""
    server_settings = {
        "application_name": "mes",
        "timezone": "UTC",
        "jit": "off",
        "statement_timeout": f"{settings.statement_timeout_s * 1000:.0f}",
        "lock_timeout": f"{settings.lock_timeout_s * 1000:.0f}",
        "idle_in_transaction_session_timeout": "60000",
    } | ({"role": role} if role else {})
    engine = create_async_engine(
        driver_url(url),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,  # Database keeps the connections itself
        connect_args={"server_settings": server_settings, "timeout": 10},
    )
    return Database(engine, settings.database_pool)


def driver_url(url: str) -> str:
    """Name the driver in an address that names none."""
    scheme, _, rest = url.partition("://")
    return f"postgresql+asyncpg://{rest}" if scheme in {"postgresql", "postgres"} else url
