"""Parts, and the frozen revisions of what is made: bill of material, route, characteristics, recipes."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Key, Quantity, Table


class Part(Table):
    """A part number [ISA-95: material definition], and how each piece of it is traced."""

    __tablename__ = "part"
    __table_args__ = (
        CheckConstraint("trace IN ('serial', 'lot', 'none')", name="trace"),
        CheckConstraint("trace = 'serial' OR serial_pattern IS NULL", name="serial_pattern"),
    )

    id: Mapped[Key]
    number: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    trace: Mapped[str]
    unit_of_measure: Mapped[str]
    serial_pattern: Mapped[str | None]
    pot_life_min: Mapped[float | None]
    fefo: Mapped[bool]


class ReceivingColumn(Table):
    """How a column of a supplier's per-unit file is read for a part."""

    __tablename__ = "receiving_column"
    __table_args__ = (
        CheckConstraint(
            "field IN ('serial', 'carton', 'ocv_v', 'acir_mohm', 'capacity_ah', 'measured_at', 'date_code')",
            name="field",
        ),
    )

    part_id: Mapped[int] = mapped_column(ForeignKey("part.id"), primary_key=True)
    field: Mapped[str] = mapped_column(primary_key=True)
    heading: Mapped[str]
    lower: Mapped[float | None]
    upper: Mapped[float | None]


class ProductRevision(Table):
    """A released, frozen definition of a made part [ISA-95: product definition]. A change makes the next revision.

    `incoming`: how cells are tested and graded; `matching`: how they are matched into this part's groups.
    """

    __tablename__ = "product_revision"
    __table_args__ = (UniqueConstraint("part_id", "revision"),)

    id: Mapped[Key]
    part_id: Mapped[int] = mapped_column(ForeignKey("part.id"))
    revision: Mapped[int]
    digest: Mapped[str]
    released_at: Mapped[datetime]
    incoming: Mapped[dict[str, Any] | None]
    matching: Mapped[dict[str, Any] | None]


class BomItem(Table):
    """A component of a revision, fitted at one operation [ISA-95: material bill item].

    Serial-traced: positions 1..quantity, in `groups` equal groups. Lot-traced: a quantity.
    """

    __tablename__ = "bom_item"
    __table_args__ = (
        UniqueConstraint("revision_id", "part_id", "operation"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("groups >= 1", name="groups"),
    )

    id: Mapped[Key]
    revision_id: Mapped[int] = mapped_column(ForeignKey("product_revision.id"))
    part_id: Mapped[int] = mapped_column(ForeignKey("part.id"), index=True)
    operation: Mapped[str]
    quantity: Mapped[Quantity]
    groups: Mapped[int]
    alternates: Mapped[list[str]]


class Recipe(Table):
    """Parameters a station works with; the digest is their identity."""

    __tablename__ = "recipe"

    id: Mapped[Key]
    name: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    parameters: Mapped[dict[str, Any]]


class Step(Table):
    """A step of a route [ISA-95: operations segment], and with it the frozen set of its characteristics.

    `conditions`: the parameters of the rules that apply to it, as the plant's file gives them.
    """

    __tablename__ = "step"
    __table_args__ = (UniqueConstraint("revision_id", "operation"),)

    id: Mapped[Key]
    revision_id: Mapped[int] = mapped_column(ForeignKey("product_revision.id"))
    operation: Mapped[str]
    ordinal: Mapped[int]
    name: Mapped[str]
    predecessors: Mapped[list[str]]
    recipe_id: Mapped[int | None] = mapped_column(ForeignKey("recipe.id"))
    conditions: Mapped[dict[str, Any]]


class Characteristic(Table):
    """What a step measures, how often, and its limits. `offset` is its place in the cycle's array of values.

    `spc`: how it is charted, as the plant's file gives it.
    """

    __tablename__ = "characteristic"
    __table_args__ = (
        UniqueConstraint("step_id", "name"),
        CheckConstraint("kind IN ('number', 'boolean', 'text', 'curve')", name="kind"),
        CheckConstraint("count >= 1", name="count"),
        CheckConstraint("lower <= upper", name="limits"),
        Index("ix_characteristic_step_id", "step_id"),
    )

    id: Mapped[Key]
    step_id: Mapped[int] = mapped_column(ForeignKey("step.id"))
    ordinal: Mapped[int]
    name: Mapped[str]
    kind: Mapped[str]
    unit: Mapped[str]
    count: Mapped[int]
    offset: Mapped[int]
    lower: Mapped[float | None]
    upper: Mapped[float | None]
    expected: Mapped[str | None]
    spc: Mapped[dict[str, Any] | None]
