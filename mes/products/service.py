"""Stores parts and releases revisions; called by the plan's act, under its lock."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text

from mes.db import Session
from mes.products.messages import PartSpec, ProductSpec, recipe_digest
from mes.products.rules import offsets
from mes.statement import Prepared

# One statement each, however many rows: they go as one JSON array.
_PARTS = Prepared(
    text(
        """
        INSERT INTO part (number, name, trace, unit_of_measure, serial_pattern, pot_life_min, fefo)
        SELECT number, name, trace, unit, serial_pattern, pot_life_min, fefo
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (number text, name text, trace text, unit text,
             serial_pattern text, pot_life_min float8, fefo boolean)
        ON CONFLICT (number) DO UPDATE SET name = EXCLUDED.name, trace = EXCLUDED.trace,
               unit_of_measure = EXCLUDED.unit_of_measure, serial_pattern = EXCLUDED.serial_pattern,
               pot_life_min = EXCLUDED.pot_life_min, fefo = EXCLUDED.fefo
        """
    )
)
_COLUMNS = Prepared(
    text(
        """
        INSERT INTO receiving_column (part_id, field, heading, lower, upper)
        SELECT p.id, r.field, r.heading, r.lower, r.upper FROM jsonb_to_recordset(CAST(:rows AS jsonb))
               AS r (number text, field text, heading text, lower float8, upper float8)
        JOIN part p ON p.number = r.number
        ON CONFLICT (part_id, field)
        DO UPDATE SET heading = EXCLUDED.heading, lower = EXCLUDED.lower, upper = EXCLUDED.upper
        """
    )
)
_REVISIONS = Prepared(
    text(
        """
        INSERT INTO product_revision (part_id, revision, digest, released_at, incoming, matching)
        SELECT p.id, r.revision, r.digest, :at, nullif(r.incoming, 'null'), nullif(r.matching, 'null')
        FROM jsonb_to_recordset(CAST(:rows AS jsonb))
             AS r (part text, revision bigint, digest text, incoming jsonb, matching jsonb)
        JOIN part p ON p.number = r.part ORDER BY p.id
        RETURNING id, (SELECT number FROM part WHERE part.id = part_id) AS part
        """
    )
)
_BOM = Prepared(
    text(
        """
        INSERT INTO bom_item (revision_id, part_id, operation, quantity, groups, alternates)
        SELECT r.revision_id, p.id, r.operation, r.quantity, r.groups, r.alternates
        FROM ROWS FROM (jsonb_to_recordset(CAST(:rows AS jsonb))
             AS (revision_id bigint, part text, operation text, quantity numeric, groups bigint, alternates text[]))
             WITH ORDINALITY AS r (revision_id, part, operation, quantity, groups, alternates, n)
        JOIN part p ON p.number = r.part ORDER BY r.n
        """
    )
)
_RECIPES = Prepared(
    text(
        """
        INSERT INTO recipe (name, digest, parameters)
        SELECT name, digest, parameters FROM jsonb_to_recordset(CAST(:rows AS jsonb))
               AS r (name text, digest text, parameters jsonb)
        ON CONFLICT (digest) DO NOTHING
        """
    )
)
_STEPS = Prepared(
    text(
        """
        INSERT INTO step (revision_id, operation, ordinal, name, predecessors, recipe_id, conditions)
        SELECT r.revision_id, r.operation, r.ordinal, r.name, r.predecessors, recipe.id, r.conditions
        FROM jsonb_to_recordset(CAST(:rows AS jsonb))
             AS r (revision_id bigint, operation text, ordinal bigint, name text, predecessors text[], recipe text,
                   conditions jsonb)
        LEFT JOIN recipe ON recipe.digest = r.recipe ORDER BY r.revision_id, r.ordinal
        """
    )
)
_CHARACTERISTICS = Prepared(
    text(
        """
        INSERT INTO characteristic
               (step_id, ordinal, name, kind, unit, count, "offset", lower, upper, expected, spc)
        SELECT s.id, r.ordinal, r.name, r.kind, r.unit, r.count, r."offset", r.lower, r.upper, r.expected, r.spc
        FROM jsonb_to_recordset(CAST(:rows AS jsonb))
             AS r (revision_id bigint, operation text, ordinal bigint, name text, kind text, unit text, count bigint,
                   "offset" bigint, lower float8, upper float8, expected text, spc jsonb)
        JOIN step s ON s.revision_id = r.revision_id AND s.operation = r.operation ORDER BY s.id, r.ordinal
        """
    )
)


async def put_parts(session: Session, parts: Sequence[PartSpec]) -> None:
    """Add the parts that are new and change the others. A receiving field that isn't named is left as it is."""
    await session.run(_PARTS, rows=json.dumps([part.model_dump(exclude={"receiving"}) for part in parts]))
    columns = [
        {
            "number": part.number,
            "field": field,
            "heading": column.column,
            "lower": getattr(column, "min", None),
            "upper": getattr(column, "max", None),
        }
        for part in parts
        if part.receiving
        for field, column in part.receiving.columns().items()
    ]
    await session.run(_COLUMNS, rows=json.dumps(columns))


async def release_revisions(session: Session, products: Mapping[int, Sequence[ProductSpec]]) -> dict[str, int]:
    """Release products by revision number, frozen from then on; part number -> revision id. Five statements in all."""
    specs = {spec.part: spec for group in products.values() for spec in group}
    heads = [
        {
            "part": spec.part,
            "revision": revision,
            "digest": spec.digest(),
            **spec.model_dump(include={"incoming", "matching"}),
        }
        for revision, group in products.items()
        for spec in group
    ]
    rows = await session.run(_REVISIONS, rows=json.dumps(heads))
    ids: dict[str, int] = {row["part"]: row["id"] for row in rows}
    released = [(ids[part], spec) for part, spec in specs.items()]
    await session.run(_BOM, rows=json.dumps([row for id_, spec in released for row in _bom_rows(id_, spec)]))
    recipes = [
        {"name": recipe.name, "digest": recipe_digest(recipe), "parameters": recipe.parameters}
        for spec in specs.values()
        for recipe in spec.recipes
    ]
    await session.run(_RECIPES, rows=json.dumps(recipes))
    await session.run(_STEPS, rows=json.dumps([row for id_, spec in released for row in _step_rows(id_, spec)]))
    measured = [row for id_, spec in released for row in _characteristic_rows(id_, spec)]
    await session.run(_CHARACTERISTICS, rows=json.dumps(measured))
    return ids


def _bom_rows(revision_id: int, spec: ProductSpec) -> list[dict[str, Any]]:
    return [item.model_dump() | {"revision_id": revision_id} for item in spec.bom]


def _step_rows(revision_id: int, spec: ProductSpec) -> list[dict[str, Any]]:
    recipes = {recipe.name: recipe_digest(recipe) for recipe in spec.recipes}
    return [
        {
            "revision_id": revision_id,
            "operation": step.operation,
            "ordinal": ordinal,
            "name": step.name,
            "predecessors": predecessors,
            "recipe": recipes[step.recipe] if step.recipe else None,
            "conditions": step.conditions(),
        }
        for ordinal, (step, predecessors) in enumerate(zip(spec.route, spec.predecessors(), strict=True), 1)
    ]


def _characteristic_rows(revision_id: int, spec: ProductSpec) -> list[dict[str, Any]]:
    rows = []
    for step in spec.route:
        places, _, _ = offsets((c.kind, c.count) for c in step.characteristics)
        for ordinal, (c, offset) in enumerate(zip(step.characteristics, places, strict=True), 1):
            lower, upper, expected = c.limits()
            rows.append(
                {
                    "revision_id": revision_id,
                    "operation": step.operation,
                    "ordinal": ordinal,
                    "name": c.name,
                    "kind": c.kind,
                    "unit": c.unit,
                    "count": c.count,
                    "offset": offset,
                    "lower": lower,
                    "upper": upper,
                    "expected": expected,
                    "spc": c.spc and c.spc.model_dump(exclude_defaults=True),
                }
            )
    return rows
