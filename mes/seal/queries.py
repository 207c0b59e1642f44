"""Reads of seals and of what they cover, and the lock on sealing. What is hashed, and how, stands here alone.

A row's SHA-256 is taken over its binary form (`record_send`): bits of floats, microseconds of times, the text of JSONB
as PostgreSQL orders it. No setting of a session has a say in it, and it outlives a dump and a newer server.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import BigInteger, DateTime, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession, Session
from mes.seal.rules import MARK, Part
from mes.statement import Prepared

IDS = ARRAY(BigInteger)
# What a part's place in the root is hashed of, and a seal's place in the chain.
PART = """sha256(record_send(ROW(s.name, s.of_table, s.key, s.drawn_by, s.columns, s.closing, p.from_id, p.to_id,
                                 p.rows, p.digest, p.marks)))"""
ROOT = f"sha256(coalesce(string_agg({PART}, ''::bytea ORDER BY p.stream_id, p.to_id), ''))"
HASH = "sha256(record_send(ROW({id}, {at}, {root}, {previous})))"
GENESIS = "sha256('')"
# One sealer at a time, until its transaction has ended.
_LOCK_SEALS = Prepared(text("SELECT pg_try_advisory_xact_lock(hashtext('seals')) AS mine"))
_STREAMS = Prepared(text("SELECT * FROM seal_stream ORDER BY id"))
_SEALED_TO = Prepared(
    text(
        """
        SELECT s.id, p.to_id FROM seal_stream s
        CROSS JOIN LATERAL (SELECT to_id FROM seal_part WHERE stream_id = s.id ORDER BY to_id DESC LIMIT 1) p
        """
    )
)
# A transaction holds this lock on a sequence from before it draws a number until it has ended.
_HOLDERS = Prepared(
    text(
        """
        SELECT c.relname AS sequence, array_agg(l.virtualtransaction) AS holders
        FROM pg_locks l JOIN pg_class c ON c.oid = l.relation AND c.relkind = 'S'
        WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock'
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        GROUP BY c.relname
        """
    )
)
_NEWEST = Prepared(text("SELECT id, at, hash FROM seal ORDER BY id DESC LIMIT 1"))
_SEAL = Prepared(text("SELECT id, at, hash FROM seal WHERE id = :seal").bindparams(bindparam("seal", type_=BigInteger)))
_SEALS_OF = Prepared(
    text("SELECT min(id) AS first, max(id) AS last FROM seal WHERE at >= :since AND at < :until").bindparams(
        *(bindparam(name, type_=DateTime(timezone=True)) for name in ("since", "until"))
    )
)
_PARTS = Prepared(
    text(
        """
        SELECT p.seal_id AS seal, p.stream_id AS stream, p.from_id, p.to_id, p.rows, p.digest, p.marks
        FROM seal_part p WHERE p.seal_id BETWEEN :first AND :last ORDER BY p.seal_id, p.stream_id, p.to_id
        """
    ).bindparams(bindparam("first", type_=BigInteger), bindparam("last", type_=BigInteger))
)
# Of some seals the first that doesn't follow on the one before it, or isn't what its parts make.
_BROKEN = Prepared(
    text(
        f"""
        SELECT c.id, c.at, c.follows, c.is_whole FROM (
            SELECT e.id, e.at, e.id = coalesce(o.id, 0) + 1 AND e.previous = coalesce(o.hash, {GENESIS}) AS follows,
                   e.hash = {HASH.format(id="e.id", at="e.at", root="e.root", previous="e.previous")} AS is_whole
            FROM seal e LEFT JOIN LATERAL (SELECT id, hash FROM seal WHERE id < e.id ORDER BY id DESC LIMIT 1) o ON true
            WHERE e.id BETWEEN :first AND :last) c
        WHERE NOT (c.follows AND c.is_whole) ORDER BY c.id LIMIT 1
        """  # noqa: S608
    ).bindparams(bindparam("first", type_=BigInteger), bindparam("last", type_=BigInteger))
)
_WRONG_ROOT = Prepared(
    text(
        f"""
        SELECT e.id, e.at FROM seal e CROSS JOIN LATERAL (
            SELECT {ROOT} AS root FROM seal_part p JOIN seal_stream s ON s.id = p.stream_id WHERE p.seal_id = e.id) r
        WHERE e.id = ANY(:seals) AND e.root <> r.root ORDER BY e.id LIMIT 1
        """  # noqa: S608
    ).bindparams(bindparam("seals", type_=IDS))
)


@dataclass(frozen=True, slots=True)
class Stream:
    """What is sealed of a table; see SealStream."""

    id: int
    name: str
    of_table: str
    key: str
    drawn_by: str
    columns: tuple[str, ...]
    closing: tuple[str, ...]

    @property
    def row_hash(self) -> str:
        """SQL: a row's SHA-256. A row closed without a number of its own is another row than the open one."""
        columns = [f't."{column}"' for column in self.columns]
        columns += [f'CASE WHEN t.closing_id IS NULL THEN t."{column}" END' for column in self.closing]
        return f"sha256(record_send(ROW({', '.join(columns)})))"


@dataclass(frozen=True, slots=True)
class SealRow:
    """A seal, without what it was made of."""

    id: int
    at: datetime
    hash: bytes


async def lock_seals(session: Session) -> bool:
    """Whether sealing is ours, until the transaction ends."""
    return bool((await session.run(_LOCK_SEALS))[0]["mine"])


async def streams(session: ReadSession) -> dict[int, Stream]:
    """All that is or was sealed, by id."""
    rows = await session.run(_STREAMS)
    return {
        row["id"]: Stream(**{**row, "columns": tuple(row["columns"]), "closing": tuple(row["closing"])}) for row in rows
    }


def in_force(known: Mapping[int, Stream]) -> list[Stream]:
    """The newest stream of each name."""
    return list({stream.name: stream for _, stream in sorted(known.items())}.values())


async def last_drawn(session: ReadSession, sequences: Iterable[str]) -> dict[str, int]:
    """The last number that each sequence gave, whoever has it."""
    return {row["name"]: row["last"] for row in await session.run(_drawn(tuple(sorted(set(sequences)))))}


async def holders(session: ReadSession) -> dict[str, Set[str]]:
    """Which running transactions have drawn from each sequence."""
    return {row["sequence"]: frozenset(row["holders"]) for row in await session.run(_HOLDERS)}


async def sealed_to(session: ReadSession, known: Mapping[int, Stream]) -> dict[str, int]:
    """By stream's name the last number that is sealed."""
    found: dict[str, int] = {}
    for row in await session.run(_SEALED_TO):
        name = known[row["id"]].name
        found[name] = max(found.get(name, row["to_id"]), row["to_id"])
    return found


async def digests(session: ReadSession, stream: Stream, runs: Sequence[tuple[int, int]], seal: int = 0) -> list[Part]:
    """What the rows of a stream in these runs of numbers make now."""
    from_ids, to_ids = [run[0] for run in runs], [run[1] for run in runs]
    rows = await session.run(_digests(stream), from_ids=from_ids, to_ids=to_ids)
    return [Part(seal, stream.id, **row) for row in rows]


async def keys_in(session: ReadSession, stream: Stream, from_id: int, to_id: int) -> list[int]:
    """The numbers of a stream's rows in a run."""
    rows = await session.run(_keys(stream), from_id=from_id, to_id=to_id)
    return [row["key"] for row in rows]


async def newest_seal(session: ReadSession) -> SealRow | None:
    """The newest seal, or None before the first."""
    rows = await session.run(_NEWEST)
    return SealRow(**rows[0]) if rows else None


async def parts_of(session: ReadSession, first: int, last: int) -> list[Part]:
    """The parts of some seals, in order."""
    return [Part(**row) for row in await session.run(_PARTS, first=first, last=last)]


async def broken_link(session: ReadSession, first: int, last: int) -> tuple[int, datetime, bool] | None:
    """Of these seals the first that breaks the chain, when it was made, and whether it is whole in itself."""
    rows = await session.run(_BROKEN, first=first, last=last)
    return (rows[0]["id"], rows[0]["at"], rows[0]["is_whole"]) if rows else None


async def wrong_root(session: ReadSession, seals: Iterable[int]) -> tuple[int, datetime] | None:
    """Of these seals the first whose parts aren't those that it was made of, and when it was made."""
    rows = await session.run(_WRONG_ROOT, seals=sorted(set(seals)))
    return (rows[0]["id"], rows[0]["at"]) if rows else None


async def find_seal(session: ReadSession, seal: int) -> SealRow | None:
    """A seal, or None where there is none of this number."""
    rows = await session.run(_SEAL, seal=seal)
    return SealRow(**rows[0]) if rows else None


async def seals_of(session: ReadSession, since: datetime, until: datetime) -> tuple[int, int] | None:
    """The first and the last seal made in a span of time."""
    row = (await session.run(_SEALS_OF, since=since, until=until))[0]
    return None if row["first"] is None else (row["first"], row["last"])


async def rows_above(session: ReadSession, stream: Stream, sealed: int) -> int:
    """How many rows of a stream have a higher number."""
    return int((await session.run(_above(stream), sealed=sealed))[0]["rows"])


@cache
def _drawn(sequences: tuple[str, ...]) -> Prepared:
    asked = (
        f"SELECT '{name}' AS name, CASE WHEN is_called THEN last_value ELSE 0 END AS last FROM {name}"  # noqa: S608
        for name in sequences
    )
    return Prepared(text(" UNION ALL ".join(asked)))


@cache
def _digests(stream: Stream) -> Prepared:
    # OFFSET 0: else the planner would hash each row once for every place that its hash stands in
    return Prepared(
        text(
            f"""
            SELECT p.from_id, p.to_id, r.* FROM unnest(:from_ids, :to_ids) AS p (from_id, to_id) CROSS JOIN LATERAL (
                SELECT count(*) AS rows, sha256(coalesce(string_agg(x.hash, ''::bytea ORDER BY x.key), '')) AS digest,
                       coalesce(string_agg(set_byte('\\000', 0, (((p.to_id & 255) - (x.key & 255)) & 255)::int)
                                           || substr(x.hash, 1, {MARK - 1}), ''::bytea ORDER BY x.key), '') AS marks
                FROM (SELECT t."{stream.key}" AS key, {stream.row_hash} AS hash FROM "{stream.of_table}" t
                      WHERE t."{stream.key}" BETWEEN p.from_id AND p.to_id OFFSET 0) x) r
            """  # noqa: S608
        ).bindparams(bindparam("from_ids", type_=IDS), bindparam("to_ids", type_=IDS))
    )


@cache
def _keys(stream: Stream) -> Prepared:
    return Prepared(
        text(
            f"""
            SELECT t."{stream.key}" AS key FROM "{stream.of_table}" t
            WHERE t."{stream.key}" BETWEEN :from_id AND :to_id ORDER BY 1
            """  # noqa: S608
        ).bindparams(bindparam("from_id", type_=BigInteger), bindparam("to_id", type_=BigInteger))
    )


@cache
def _above(stream: Stream) -> Prepared:
    return Prepared(
        text(
            f'SELECT count(*) AS rows FROM "{stream.of_table}" t WHERE t."{stream.key}" > :sealed'  # noqa: S608
        ).bindparams(bindparam("sealed", type_=BigInteger))
    )
