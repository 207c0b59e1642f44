"""Reads for verifying: the rows of a unit, the parts that cover them, what the journal says of a row."""

from collections.abc import Iterable, Sequence

from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession
from mes.errors import NotFound
from mes.seal.queries import IDS, Stream
from mes.seal.rules import Part
from mes.statement import Prepared

_OF_UNIT = Prepared(
    text(
        """
        WITH RECURSIVE
             inside AS (
                 SELECT id FROM unit WHERE serial = :serial
                 UNION SELECT e.child_id FROM inside CROSS JOIN LATERAL (
                     SELECT child_id FROM installation WHERE parent_id = inside.id AND removed_at IS NULL
                     UNION ALL
                     SELECT child_id FROM installation WHERE parent_id = inside.id AND removed_at IS NOT NULL) e
                 WHERE e.child_id IS NOT NULL),
             edge AS MATERIALIZED (
                 SELECT e.* FROM inside CROSS JOIN LATERAL (
                     SELECT * FROM installation WHERE parent_id = inside.id AND removed_at IS NULL
                     UNION ALL
                     SELECT * FROM installation WHERE parent_id = inside.id AND removed_at IS NOT NULL) e),
             from_lot AS (
                 SELECT lot_id AS id FROM edge WHERE lot_id IS NOT NULL
                 UNION SELECT l.from_lot_id FROM from_lot JOIN lot_lineage l ON l.lot_id = from_lot.id),
             known AS MATERIALIZED (SELECT u.* FROM unit u JOIN inside USING (id)),
             ran AS MATERIALIZED (
                 SELECT c.* FROM cycle c JOIN inside i ON i.id = c.unit_id
                 UNION ALL SELECT c.* FROM cycle c JOIN from_lot l ON l.id = c.lot_id),
             held AS MATERIALIZED (
                 SELECT * FROM hold WHERE unit_id IN (SELECT id FROM inside) OR lot_id IN (SELECT id FROM from_lot)),
             plan AS MATERIALIZED (SELECT DISTINCT revision_id AS id FROM known WHERE revision_id IS NOT NULL),
             reserved AS MATERIALIZED (
                 SELECT k.id FROM kit k JOIN inside i ON i.id = k.unit_id WHERE k.state <> 'released'),
             crated AS MATERIALIZED (SELECT * FROM crate_unit WHERE unit_id IN (SELECT id FROM inside))
        SELECT 'unit' AS name, id AS number FROM known
        UNION ALL SELECT 'cell', c.entry FROM cell c JOIN inside i ON i.id = c.unit_id
        UNION ALL SELECT 'cell_test', t.id FROM cell_test t JOIN inside i ON i.id = t.unit_id
        UNION ALL SELECT 'cell_grade', g.id FROM cell_grade g JOIN inside i ON i.id = g.unit_id WHERE g.ended_at IS NULL
        UNION ALL SELECT 'installation', id FROM edge
        UNION ALL SELECT 'installation closing', closing_id FROM edge
        UNION ALL SELECT 'lot', id FROM from_lot
        UNION ALL SELECT 'lot_document', d.id FROM lot_document d JOIN from_lot l ON l.id = d.lot_id
        UNION ALL SELECT 'lot_lineage', g.id FROM lot_lineage g JOIN from_lot l ON l.id = g.lot_id
        UNION ALL SELECT 'cycle', id FROM ran
        UNION ALL SELECT 'measurement', m.cycle_id FROM measurement m JOIN ran ON ran.id = m.cycle_id
        UNION ALL SELECT 'curve', v.id FROM curve v JOIN ran ON ran.id = v.cycle_id
        UNION ALL SELECT 'finding', f.id FROM finding f JOIN ran ON ran.id = f.cycle_id
        UNION ALL SELECT 'permit', p.id FROM permit p JOIN inside i ON i.id = p.unit_id
        UNION ALL SELECT 'permit', permit_id FROM ran WHERE lot_id IS NOT NULL
        UNION ALL SELECT 'waiver', unnest(waivers) FROM ran
        UNION ALL SELECT 'hold', id FROM held
        UNION ALL SELECT 'hold closing', closing_id FROM held
        UNION ALL SELECT 'hold_signature', s.id FROM hold_signature s JOIN held ON held.id = s.hold_id
        UNION ALL SELECT 'containment', containment_id FROM held
        UNION ALL SELECT 'disposition', d.id FROM disposition d JOIN inside i ON i.id = d.unit_id
        UNION ALL SELECT 'disposition', d.id FROM disposition d JOIN from_lot l ON l.id = d.lot_id
        UNION ALL SELECT 'kit', id FROM reserved
        UNION ALL SELECT 'kit_cell', k.id FROM kit_cell k JOIN reserved r ON r.id = k.kit_id
        UNION ALL SELECT 'kit_cell closing', k.closing_id FROM kit_cell k JOIN reserved r ON r.id = k.kit_id
        UNION ALL SELECT 'crate', crate_id FROM crated
        UNION ALL SELECT 'crate_unit', id FROM crated
        UNION ALL SELECT 'crate_unit closing', closing_id FROM crated
        UNION ALL SELECT 'work_order', order_id FROM known
        UNION ALL SELECT 'order_revision', r.entry FROM order_revision r
                  WHERE r.order_id IN (SELECT order_id FROM known)
        UNION ALL SELECT 'product_revision', id FROM plan
        UNION ALL SELECT 'bom_item', b.id FROM bom_item b JOIN plan ON plan.id = b.revision_id
        UNION ALL SELECT 'step', s.id FROM step s JOIN plan ON plan.id = s.revision_id
        UNION ALL SELECT 'recipe', s.recipe_id FROM step s JOIN plan ON plan.id = s.revision_id
        UNION ALL SELECT 'characteristic', c.id FROM characteristic c
                  JOIN step s ON s.id = c.step_id JOIN plan ON plan.id = s.revision_id
        UNION ALL SELECT 'part', part_id FROM known
        """
    ).bindparams(bindparam("serial", type_=Text))
)
_COVERING = Prepared(
    text(
        """
        SELECT w.place, p.seal_id AS seal, p.stream_id AS stream, p.from_id, p.to_id, p.rows, p.digest, p.marks
        FROM unnest(:names, :numbers) WITH ORDINALITY AS w (name, number, place)
        JOIN seal_stream s ON s.name = w.name
        CROSS JOIN LATERAL (
            SELECT * FROM seal_part WHERE stream_id = s.id AND to_id >= w.number ORDER BY to_id LIMIT 1) p
        WHERE p.from_id <= w.number
        """
    ).bindparams(bindparam("names", type_=ARRAY(Text)), bindparam("numbers", type_=IDS))
)
_JOURNAL_PARTS = Prepared(
    text(
        """
        SELECT p.seal_id AS seal, p.stream_id AS stream, p.from_id, p.to_id, p.rows, p.digest, p.marks
        FROM seal_part p JOIN seal_stream s ON s.id = p.stream_id
        WHERE s.name = 'act' AND p.seal_id = ANY(:seals) ORDER BY p.to_id
        """
    ).bindparams(bindparam("seals", type_=IDS))
)


async def rows_of_unit(session: ReadSession, serial: str) -> list[tuple[str, int]]:
    """Stream and number of each row that tells of a unit or of anything that is or was inside it."""
    rows = await session.run(_OF_UNIT, serial=serial)
    found = sorted({(row["name"], row["number"]) for row in rows if row["number"] is not None})
    if not found:
        raise NotFound(kind="unit", name=serial)
    return found


async def covering(session: ReadSession, rows: Sequence[tuple[str, int]]) -> tuple[list[Part], list[tuple[str, int]]]:
    """The parts that rows lie in, with the journal's that were sealed with them; the rows that lie in none."""
    names, numbers = [name for name, _ in rows], [number for _, number in rows]
    found = [dict(row) for row in await session.run(_COVERING, names=names, numbers=numbers)]
    covered = {row.pop("place") for row in found}
    parts = {(row["stream"], row["to_id"]): Part(**row) for row in found}
    parts |= {
        (part.stream, part.to_id): part for part in await journal_parts(session, {p.seal for p in parts.values()})
    }
    return sorted(parts.values(), key=lambda part: (part.seal, part.stream, part.to_id)), [
        row for place, row in enumerate(rows, 1) if place not in covered
    ]


async def journal_parts(session: ReadSession, seals: Iterable[int]) -> list[Part]:
    """The journal's parts of these seals and of those after them: an act draws its number last."""
    wanted = sorted({seal + more for seal in seals for more in (0, 1)})
    return [Part(**row) for row in await session.run(_JOURNAL_PARTS, seals=wanted)]


async def acts_about(session: ReadSession, stream: Stream, number: int | None, runs: Sequence[Part]) -> list[str]:
    """What the journal says of a row: the acts among these parts of a moment that the row names."""
    if number is None or not runs or stream.of_table == "act":
        return []
    asked = Prepared(
        text(
            f"""
            SELECT a.id, a.name, a.actor, a.at, a.message::text AS message FROM act a
            JOIN "{stream.of_table}" t ON t."{stream.key}" = :number
            WHERE a.id BETWEEN :first AND :last
              AND to_jsonb(a.at) IN (SELECT value FROM jsonb_each(to_jsonb(t))) ORDER BY a.id LIMIT 3
            """  # noqa: S608
        ).bindparams(*(bindparam(name, type_=BigInteger) for name in ("number", "first", "last")))
    )
    first, last = min(part.from_id for part in runs), max(part.to_id for part in runs)
    rows = await session.run(asked, number=number, first=first, last=last)
    return [
        f"act {row['id']}, {row['name']} by {row['actor']} at {row['at']:%Y-%m-%d %H:%M:%S.%f}: {row['message'][:400]}"
        for row in rows
    ]
