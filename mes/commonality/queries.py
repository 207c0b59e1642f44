"""What units have that others may have too: read for some hundreds of them at once, with all that is in them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg
from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.commonality.rules import Kind
from mes.db import ReadSession
from mes.statement import Prepared

_IDS = ARRAY(BigInteger)


def _of(sql: str, *arrays: str) -> Prepared:
    return Prepared(text(sql).bindparams(*(bindparam(name, type_=_IDS) for name in arrays)))


_SUSPECTS = Prepared(
    text(
        "SELECT u.id, u.serial, u.part_id, p.number AS part FROM unit u JOIN part p ON p.id = u.part_id "
        "WHERE u.serial = ANY(:serials) ORDER BY u.id"
    ).bindparams(bindparam("serials", type_=ARRAY(Text)))
)
# Those nearest to the middle suspect in the order in which serials were issued, or cells received. Good: begun, not
# scrapped or taken out, under no hold, and nothing that was done to it failed in the end.
_COMPARABLES = Prepared(
    text(
        """
        WITH near AS (
            (SELECT u.id FROM unit u WHERE u.id >= :middle AND u.part_id = :part_id AND u.id <> ALL (:units)
               AND u.state NOT IN ('scrapped', 'removed', 'issued') ORDER BY u.id LIMIT :most)
            UNION ALL
            (SELECT u.id FROM unit u WHERE u.id < :middle AND u.part_id = :part_id AND u.id <> ALL (:units)
               AND u.state NOT IN ('scrapped', 'removed', 'issued') ORDER BY u.id DESC LIMIT :most))
        SELECT n.id FROM near n
        WHERE NOT EXISTS (SELECT FROM hold h WHERE h.unit_id = n.id AND h.released_at IS NULL)
          AND NOT EXISTS (SELECT FROM cycle c WHERE c.unit_id = n.id AND c.verdict = 'failed' AND NOT EXISTS (
                SELECT FROM cycle d
                WHERE d.unit_id = n.id AND d.step_id = c.step_id AND d.id > c.id AND d.verdict = 'passed'))
        ORDER BY abs(n.id - :middle), n.id LIMIT :most
        """
    ).bindparams(
        bindparam("units", type_=_IDS), *(bindparam(name, type_=BigInteger) for name in ("middle", "part_id", "most"))
    )
)
# Every unit that is in one of these, and itself.
_BELOW = _of(
    """
    WITH RECURSIVE below AS (
        SELECT r.id AS root, r.id AS node FROM unnest(:units) AS r (id)
        UNION ALL
        SELECT b.root, i.child_id FROM below b JOIN installation i ON i.parent_id = b.node
        WHERE i.removed_at IS NULL AND i.child_id IS NOT NULL)
    SELECT root, node FROM below
    """,
    "units",
)
# Every unit that one of these is in, by the place it has there itself, or what it is in.
_ABOVE = _of(
    """
    WITH RECURSIVE above AS (
        SELECT i.child_id AS root, i.parent_id AS node, i.position FROM installation i
        WHERE i.child_id = ANY(:units) AND i.removed_at IS NULL
        UNION ALL
        SELECT a.root, i.parent_id, i.position FROM above a JOIN installation i ON i.child_id = a.node
        WHERE i.removed_at IS NULL)
    SELECT a.root, a.node, a.position, p.number AS part
    FROM above a JOIN unit u ON u.id = a.node JOIN part p ON p.id = u.part_id
    """,
    "units",
)
_NODES = "unnest(:roots, :nodes) AS n (root, node)"
_LOTS = _of(
    f"""
    WITH used AS (
        SELECT n.root, i.lot_id FROM {_NODES} JOIN installation i ON i.parent_id = n.node
        WHERE i.removed_at IS NULL AND i.lot_id IS NOT NULL
        UNION  -- of what it is in itself: what was used up there, not what else was fitted
        SELECT a.root, i.lot_id FROM unnest(:around_roots, :around_nodes) AS a (root, node)
        JOIN installation i ON i.parent_id = a.node
        WHERE i.removed_at IS NULL AND i.lot_id IS NOT NULL AND i.child_id IS NULL
        UNION SELECT u.id, u.lot_id FROM unit u WHERE u.id = ANY(:units) AND u.lot_id IS NOT NULL)
    SELECT DISTINCT x.root, f.kind, f.name FROM used x JOIN lot l ON l.id = x.lot_id JOIN part p ON p.id = l.part_id,
         LATERAL (VALUES ('lot', l.number), ('supplier', l.supplier || ' of ' || p.number)) AS f (kind, name)
    WHERE f.name IS NOT NULL
    """,  # noqa: S608 - of constants
    *("units", "roots", "nodes", "around_roots", "around_nodes"),
)
_CARTONS = _of(
    f"""
    SELECT DISTINCT n.root, 'carton' AS kind, c.carton AS name FROM {_NODES} JOIN cell c ON c.unit_id = n.node
    WHERE c.carton IS NOT NULL
    """,  # noqa: S608 - of constants
    "roots",
    "nodes",
)
_CYCLES = _of(
    f"""
    SELECT DISTINCT n.root, f.kind, f.name
    FROM {_NODES} JOIN cycle c ON c.unit_id = n.node JOIN station s ON s.id = c.station_id
    JOIN step p ON p.id = c.step_id JOIN line e ON e.id = s.line_id JOIN site w ON w.id = e.site_id
    LEFT JOIN tool t ON t.id = c.tool_id,
    LATERAL (SELECT c.ended_at AT TIME ZONE w.timezone AS at) AS o,
    LATERAL (SELECT coalesce(max(b.start) FILTER (WHERE b.start::time <= o.at::time), max(b.start)) AS start,
                    bool_or(b.start::time <= o.at::time) AS is_today
             FROM unnest(e.shift_starts) AS b (start)) AS b,
    LATERAL (VALUES ('station', p.operation || ' at ' || s.code), ('tool', t.code),
                    ('program', p.operation || ' by ' || c.program_revision), ('operator', c.operator),
                    ('operator', c.second_operator), ('operator', c.operator || ' at ' || p.operation),
                    ('operator', c.second_operator || ' at ' || p.operation),
                    ('shift', p.operation || ' in the shift from ' || b.start),
                    ('shift', p.operation || ' in the shift of '
                              || (CASE WHEN b.is_today THEN o.at ELSE o.at - interval '1 day' END)::date
                              || ' ' || b.start)) AS f (kind, name)
    WHERE f.name IS NOT NULL
    """,  # noqa: S608 - of constants
    "roots",
    "nodes",
)
_VALUES = _of(
    f"""
    SELECT n.root, p.operation, h.name, max(h.unit) AS unit, min(v.low) AS low, max(v.high) AS high
    FROM {_NODES} JOIN cycle c ON c.unit_id = n.node JOIN step p ON p.id = c.step_id
    JOIN measurement m ON m.cycle_id = c.id AND m.at = c.reported_at
    JOIN characteristic h ON h.step_id = c.step_id AND h.kind = 'number',
    LATERAL (SELECT min(x) AS low, max(x) AS high
             FROM unnest(m.numbers[h."offset" + 1 : h."offset" + h.count]) AS x) AS v
    WHERE v.low IS NOT NULL GROUP BY n.root, p.operation, h.name
    """,  # noqa: S608 - of constants
    "roots",
    "nodes",
)
_UNKNOWN = _of(
    f"""
    SELECT count(DISTINCT n.root) FILTER (WHERE i.child_id IS NOT NULL AND i.lot_id IS NULL AND u.lot_id IS NULL
                                               AND u.order_id IS NULL) AS lots,
           (SELECT count(DISTINCT y.root) FROM unnest(:roots, :nodes) AS y (root, node)
            WHERE y.root = y.node AND NOT EXISTS (SELECT FROM cycle c WHERE c.unit_id = y.node)) AS cycles
    FROM {_NODES} JOIN installation i ON i.parent_id = n.node AND i.removed_at IS NULL
    LEFT JOIN unit u ON u.id = i.child_id
    """,  # noqa: S608 - of constants
    "roots",
    "nodes",
)
_SPAN = _of(
    "SELECT min(created_at) AS since, max(coalesce(finished_at, created_at)) AS until FROM unit WHERE id = ANY(:units)",
    "units",
)


async def suspects_of(session: ReadSession, serials: Sequence[str]) -> Sequence[asyncpg.Record]:
    """The units of these serials, with their parts."""
    return await session.run(_SUSPECTS, serials=list(serials))


async def comparables_of(session: ReadSession, suspects: Sequence[int], part_id: int, most: int) -> list[int]:
    """Good units of the same part, those nearest in the order of issuing."""
    middle = sorted(suspects)[len(suspects) // 2]
    rows = await session.run(_COMPARABLES, units=list(suspects), middle=middle, part_id=part_id, most=most)
    return [row["id"] for row in rows]


async def span(session: ReadSession, units: Sequence[int]) -> tuple[datetime | None, datetime | None]:
    """From when to when these were made."""
    (row,) = await session.run(_SPAN, units=list(units))
    return row["since"], row["until"]


Pairs = tuple[list[int], list[int]]  # a unit that is looked at, and one that is in it, or it is in


async def below(session: ReadSession, units: Sequence[int]) -> Pairs:
    """Each unit with itself and all that is in it."""
    rows = await session.run(_BELOW, units=list(units))
    return [row["root"] for row in rows], [row["node"] for row in rows]


async def above(session: ReadSession, units: Sequence[int]) -> Sequence[asyncpg.Record]:
    """Each unit with all that it is in, and its place there."""
    return await session.run(_ABOVE, units=list(units))


async def named(session: ReadSession, units: Sequence[int], inside: Pairs, around: Pairs) -> Sequence[asyncpg.Record]:
    """Lots, suppliers, cartons, stations, tools, programs, people and shifts: (root, kind, name) each."""
    pairs = {"roots": inside[0], "nodes": inside[1]}
    found = list(await session.run(_LOTS, units=list(units), around_roots=around[0], around_nodes=around[1], **pairs))
    found += await session.run(_CARTONS, **pairs)
    found += await session.run(_CYCLES, roots=inside[0] + around[0], nodes=inside[1] + around[1])
    return found


async def values(session: ReadSession, inside: Pairs) -> Sequence[asyncpg.Record]:
    """The least and the greatest value of each characteristic of each unit and what is in it."""
    return await session.run(_VALUES, roots=inside[0], nodes=inside[1])


async def unknown(session: ReadSession, inside: Pairs) -> Mapping[str, int]:
    """How many units have something in them whose lot isn't known, and how many have no cycle at all."""
    (row,) = await session.run(_UNKNOWN, roots=inside[0], nodes=inside[1])
    return dict(row)


# What has a factor itself; from there up to the units of the part, or down where the suspects are part of it.
_DIRECT: dict[Kind, str] = {
    Kind.LOT: "SELECT coalesce(i.child_id, i.parent_id) AS id FROM installation i JOIN lot l ON l.id = i.lot_id "
    "WHERE l.number = :name AND i.removed_at IS NULL "
    "UNION SELECT u.id FROM unit u JOIN lot l ON l.id = u.lot_id WHERE l.number = :name",
    Kind.CARTON: "SELECT unit_id AS id FROM cell WHERE carton = :name",
    Kind.STATION: "SELECT c.unit_id AS id FROM cycle c JOIN station s ON s.id = c.station_id JOIN step p "
    "ON p.id = c.step_id WHERE p.operation || ' at ' || s.code = :name AND s.code = split_part(:name, ' at ', 2) "
    "AND c.unit_id IS NOT NULL",
    Kind.TOOL: "SELECT c.unit_id AS id FROM tool t JOIN cycle c ON c.station_id = t.station_id AND c.tool_id = t.id "
    "WHERE t.code = :name AND c.unit_id IS NOT NULL",
    Kind.OPERATOR: "SELECT c.unit_id AS id FROM cycle c JOIN step p ON p.id = c.step_id WHERE :name IN "
    "(c.operator, c.second_operator, c.operator || ' at ' || p.operation, c.second_operator || ' at ' || p.operation) "
    "AND c.unit_id IS NOT NULL",
    Kind.PROGRAM: "SELECT c.unit_id AS id FROM cycle c JOIN step p ON p.id = c.step_id "
    "WHERE p.operation || ' by ' || c.program_revision = :name AND c.unit_id IS NOT NULL",
}
_FURTHER = {
    kind: Prepared(
        text(
            f"""
            WITH RECURSIVE direct AS MATERIALIZED ({direct}),
            up AS (SELECT id FROM direct UNION
                   SELECT i.parent_id FROM up JOIN installation i ON i.child_id = up.id WHERE i.removed_at IS NULL),
            down AS (SELECT id FROM direct UNION
                     SELECT i.child_id FROM down JOIN installation i ON i.parent_id = down.id
                     WHERE i.removed_at IS NULL AND i.child_id IS NOT NULL AND :is_inside)
            SELECT count(*) AS further FROM (SELECT id FROM up UNION SELECT id FROM down) x JOIN unit u ON u.id = x.id
            WHERE u.part_id = :part_id AND u.id <> ALL (:units)
            """  # noqa: S608 - of constants
        ).bindparams(
            bindparam("units", type_=_IDS), bindparam("part_id", type_=BigInteger), bindparam("name", type_=Text)
        )
    )
    for kind, direct in _DIRECT.items()
}


async def further(
    session: ReadSession, kind: Kind, name: str, part_id: int, suspects: Collection[int], *, is_inside: bool
) -> int | None:
    """How many other units of the part have a factor, in the whole record; None: it isn't counted for this kind."""
    if kind not in _FURTHER:
        return None
    rows = await session.run(_FURTHER[kind], name=name, part_id=part_id, units=list(suspects), is_inside=is_inside)
    return int(rows[0]["further"])
