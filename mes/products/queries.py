"""Reads of parts and released revisions. A revision never changes, so its plan is read once in a process's life."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import BigInteger, Double, bindparam, cast, select, text

from mes.db import ReadSession
from mes.errors import NotFound
from mes.products.cell_rules import IncomingSpec, MatchingSpec
from mes.products.chart_spec import ChartSpec
from mes.products.models import BomItem, Characteristic, Part, ProductRevision, ReceivingColumn, Recipe, Step
from mes.products.rules import (
    BomItemPlan,
    CharacteristicPlan,
    Conditions,
    ProductPlan,
    RecipePlan,
    StepPlan,
    offsets,
)
from mes.statement import Prepared

_MADE = Prepared(
    text(
        """
        WITH RECURSIVE newest AS (
            SELECT DISTINCT ON (r.part_id) r.part_id, r.id
            FROM product_revision r JOIN part p ON p.id = r.part_id AND p.serial_pattern IS NOT NULL
            ORDER BY r.part_id, r.revision DESC),
        made AS (
            SELECT part_id, id FROM newest WHERE part_id = :part_id
            UNION
            SELECT n.part_id, n.id
            FROM made m JOIN bom_item b ON b.revision_id = m.id
            JOIN part a ON a.id = b.part_id OR a.number = ANY(b.alternates) JOIN newest n ON n.part_id = a.id)
        SELECT part_id, id FROM made ORDER BY part_id
        """
    ).bindparams(bindparam("part_id", type_=BigInteger))
)


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part as it stands."""

    id: int
    number: str
    name: str
    trace: str
    unit_of_measure: str
    serial_pattern: str | None


@dataclass(frozen=True, slots=True)
class ReceivingColumnRow:
    """A column of the supplier's file: our field, its heading, what is plausible."""

    field: str
    heading: str
    lower: float | None
    upper: float | None


async def get_plan(session: ReadSession, revision_id: int) -> ProductPlan:
    """Read a released revision as a whole, or raise NotFound: four statements the first time, none after."""
    kept: ProductPlan | None = session.frozen.get(("plan", revision_id))
    if kept is not None:
        return kept
    statement = (
        select(
            ProductRevision.id.label("revision_id"),
            Part.id.label("part_id"),
            Part.number.label("part"),
            ProductRevision.revision,
            ProductRevision.digest,
            ProductRevision.incoming,
            ProductRevision.matching,
        )
        .join(Part, Part.id == ProductRevision.part_id)
        .where(ProductRevision.id == revision_id)
    )
    head = (await session.execute(statement)).mappings().one_or_none()
    if head is None:
        raise NotFound(kind="product revision", name=revision_id)
    bom = await _read_bom(session, revision_id)
    steps = await _read_steps(session, revision_id, bom)
    plan = ProductPlan(
        **{
            **head,
            "incoming": IncomingSpec.model_validate(head["incoming"]) if head["incoming"] else None,
            "matching": MatchingSpec.model_validate(head["matching"]) if head["matching"] else None,
        },
        steps=steps,
        bom=bom,
    )
    session.frozen["plan", revision_id] = plan
    return plan


async def _read_bom(session: ReadSession, revision_id: int) -> tuple[BomItemPlan, ...]:
    statement = (
        select(
            Part.id.label("part_id"),
            Part.number.label("part"),
            Part.trace,
            Part.unit_of_measure,
            BomItem.operation,
            cast(BomItem.quantity, Double).label("quantity"),
            BomItem.groups,
            BomItem.alternates,
        )
        .join(Part, Part.id == BomItem.part_id)
        .where(BomItem.revision_id == revision_id)
        .order_by(BomItem.id)
    )
    rows = [dict(row) for row in (await session.execute(statement)).mappings()]
    numbers = {number for row in rows for number in row["alternates"]}
    ids: dict[str, int] = {}
    if numbers:
        found = await session.execute(select(Part.number, Part.id).where(Part.number.in_(numbers)))
        ids = {row.number: row.id for row in found}
    return tuple(BomItemPlan(**row | {"alternates": {n: ids[n] for n in row["alternates"]}}) for row in rows)


async def _read_steps(session: ReadSession, revision_id: int, bom: Iterable[BomItemPlan]) -> dict[str, StepPlan]:
    statement = (
        select(
            Step.id,
            Step.operation,
            Step.ordinal,
            Step.name,
            Step.predecessors,
            Recipe.name.label("recipe"),
            Recipe.digest,
            Recipe.parameters,
            Step.conditions,
        )
        .join(Recipe, Recipe.id == Step.recipe_id, isouter=True)
        .where(Step.revision_id == revision_id)
        .order_by(Step.ordinal)
    )
    rows = (await session.execute(statement)).all()
    characteristics = await _read_characteristics(session, revision_id)
    steps: dict[str, StepPlan] = {}
    for row in rows:
        measured = tuple(characteristics[row.id])
        _, number_count, text_count = offsets((c.kind, c.count) for c in measured)
        conditions = Conditions.from_stored(row.conditions)
        fits_at = {row.operation, conditions.instead_of, *conditions.refits}
        steps[row.operation] = StepPlan(
            id=row.id,
            operation=row.operation,
            ordinal=row.ordinal,
            name=row.name,
            predecessors=tuple(row.predecessors),
            recipe=RecipePlan(row.recipe, row.digest, row.parameters) if row.recipe else None,
            characteristics=measured,
            number_count=number_count,
            text_count=text_count,
            components=tuple(item for item in bom if item.operation in fits_at),
            conditions=conditions,
        )
    return steps


async def _read_characteristics(session: ReadSession, revision_id: int) -> dict[int, list[CharacteristicPlan]]:
    fields = CharacteristicPlan.__dataclass_fields__
    statement = (
        select(Characteristic.step_id, *(getattr(Characteristic, field) for field in fields))
        .join(Step, Step.id == Characteristic.step_id)
        .where(Step.revision_id == revision_id)
        .order_by(Characteristic.step_id, Characteristic.ordinal)
    )
    found: dict[int, list[CharacteristicPlan]] = defaultdict(list)
    for row in (await session.execute(statement)).mappings():
        values = dict(row)
        values["spc"] = ChartSpec.model_validate(values["spc"]) if values["spc"] else None
        found[values.pop("step_id")].append(CharacteristicPlan(**values))
    return found


async def newest_revision(session: ReadSession, part_id: int) -> int | None:
    """Find the id of a part's newest revision; None: the part has none."""
    statement = select(ProductRevision.id).where(ProductRevision.part_id == part_id)
    newest = statement.order_by(ProductRevision.revision.desc()).limit(1)
    return (await session.execute(newest)).scalar_one_or_none()


async def made_parts(session: ReadSession, part_id: int) -> dict[int, int]:
    """Part id -> newest revision id of a part that is made here and every sub-assembly made here that it needs.

    Made here: it has a released revision and a serial pattern. Empty: the part itself isn't. One statement.
    """
    return {row["part_id"]: row["id"] for row in await session.run(_MADE, part_id=part_id)}


async def is_operation(session: ReadSession, operation: str) -> bool:
    """Whether any released route has this operation."""
    return (await session.execute(select(Step.id).where(Step.operation == operation).limit(1))).first() is not None


async def find_part(session: ReadSession, number: str) -> PartRow | None:
    """Find a part by its number."""
    columns = [getattr(Part, field) for field in PartRow.__dataclass_fields__]
    row = (await session.execute(select(*columns).where(Part.number == number))).mappings().one_or_none()
    return PartRow(**row) if row else None


async def get_part(session: ReadSession, number: str) -> PartRow:
    """Read a part by its number, or raise NotFound."""
    part = await find_part(session, number)
    if part is None:
        raise NotFound(kind="part", name=number)
    return part


async def receiving_columns(session: ReadSession, part_id: int) -> dict[str, ReceivingColumnRow]:
    """How a supplier's file is read for a part, by our field; empty: no file is read for it."""
    columns = [getattr(ReceivingColumn, field) for field in ReceivingColumnRow.__dataclass_fields__]
    rows = await session.execute(select(*columns).where(ReceivingColumn.part_id == part_id))
    return {row["field"]: ReceivingColumnRow(**row) for row in rows.mappings()}
