"""What one may say about parts and products. The descriptions are what an editor shows beside a plant's files."""

from dataclasses import asdict, fields
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from mes.message import Code, Name
from mes.products.cell_rules import IncomingSpec, MatchingSpec
from mes.products.rules import LISTS, Conditions, ProductPlan, StepPlan, digest
from mes.products.spec import Limit, Spec

Unit = Annotated[str, StringConstraints(max_length=20, strip_whitespace=True)]
Count = Annotated[int, Field(ge=1, le=10_000)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Parameter = bool | int | Annotated[float, Field(allow_inf_nan=False)] | Annotated[str, Field(max_length=10_000)]
SERIAL_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._:/+#-]|\{(year|week|month|day)\}){0,60}\{number:0[1-9]\}$"
CONDITIONS = tuple(field.name for field in fields(Conditions))
_SETS = ("rework_of", "repeats", "refits", "alternates", "documents")  # lists whose order means nothing
DocumentKind = Literal["un383_test_summary", "certificate", "cell_file", "origin_declaration", "other"]
SerialPattern = Annotated[str, StringConstraints(pattern=SERIAL_PATTERN)]


class ColumnSpec(Spec):
    """A column of the supplier's file."""

    column: Annotated[Name, Field(description="The column's heading in the supplier's file.")]


class NumberColumnSpec(ColumnSpec):
    """A column of numbers, with what is plausible."""

    min: Annotated[Limit | None, Field(description="Least plausible value; below it the file is refused.")] = None
    max: Annotated[Limit | None, Field(description="Greatest plausible value; above it the file is refused.")] = None


class ReceivingSpec(Spec):
    """How the supplier's per-unit file is read: our field from its column."""

    serial: Annotated[ColumnSpec, Field(description="Serial number of the piece, as its code is scanned.")]
    carton: Annotated[ColumnSpec | None, Field(description="Carton the piece came in.")] = None
    ocv_v: Annotated[NumberColumnSpec | None, Field(description="Open-circuit voltage, in V.")] = None
    acir_mohm: Annotated[NumberColumnSpec | None, Field(description="Impedance at 1 kHz, in mOhm.")] = None
    capacity_ah: Annotated[NumberColumnSpec | None, Field(description="Capacity, in Ah.")] = None
    measured_at: Annotated[ColumnSpec | None, Field(description="When the supplier measured it.")] = None
    date_code: Annotated[ColumnSpec | None, Field(description="The supplier's date code of the piece.")] = None

    def columns(self) -> dict[str, NumberColumnSpec | ColumnSpec]:
        """The fields that are read, with their columns."""
        return {field: column for field in type(self).model_fields if (column := getattr(self, field)) is not None}


class PartSpec(Spec):
    """A part number, and how each piece of it is traced."""

    number: Annotated[Code, Field(description="The part number, unique in the plant.")]
    name: Annotated[Name, Field(description="What people call it.")]
    trace: Annotated[
        Literal["serial", "lot", "none"],
        Field(description="serial: each piece has its own number; lot: its lot is known; none: not traced."),
    ]
    unit: Annotated[
        Unit, StringConstraints(min_length=1), Field(description="Unit its quantities are counted in: pcs, kg ...")
    ] = "pcs"
    serial_pattern: Annotated[
        SerialPattern | None,
        Field(
            description="Given for parts made here: how their serial numbers are issued. {year} {week} {month} {day} "
            "are those of the order's release; it ends in {number:06}, a number of so many digits that never repeats."
        ),
    ] = None
    pot_life_min: Annotated[
        float | None,
        Field(gt=0, le=1e7, description="Minutes an opened lot may be used: pot life, hours in an open carton ..."),
    ] = None
    fefo: Annotated[bool, Field(description="First expired, first out: the lot that expires first is used first.")] = (
        False
    )
    receiving: Annotated[
        ReceivingSpec | None, Field(description="How the supplier's file of serial numbers is read.")
    ] = None


class BomItemSpec(Spec):
    """A component, and the operation that fits it."""

    part: Annotated[Code, Field(description="Number of the component's part.")]
    operation: Annotated[Code, Field(description="Operation of this product's route that fits it.")]
    quantity: Annotated[
        float,
        Field(gt=0, le=1e9, allow_inf_nan=False, description="How much of it one piece needs, in the part's unit."),
    ]
    groups: Annotated[
        Count,
        Field(description="Equal groups the positions fall into: 112 cells as 16 groups of 7. Serial parts only."),
    ] = 1
    alternates: Annotated[
        list[Code], Field(max_length=20, description="Parts that may stand in its place, traced the same way.")
    ] = []


class RecipeSpec(Spec):
    """Parameters a station works with."""

    name: Annotated[Code, Field(description="Name by which this product's steps refer to it.")]
    parameters: Annotated[
        dict[Code, Parameter], Field(max_length=500, description="Numbers, texts, true or false, by name.")
    ]


class CharacteristicSpec(Spec):
    """What a step measures, and its limits."""

    name: Annotated[Code, Field(description="Name by which the station reports it, unique in the step.")]
    kind: Annotated[
        Literal["number", "boolean", "text", "curve"], Field(description="What kind of value it is; default number.")
    ] = "number"
    unit: Annotated[Unit, Field(description="Physical unit of the values, e.g. mOhm.")] = ""
    count: Annotated[Count, Field(description="How many values one cycle reports: one per cell, per joint ...")] = 1
    min: Annotated[Limit | None, Field(description="Least value that passes. Numbers only.")] = None
    max: Annotated[Limit | None, Field(description="Greatest value that passes. Numbers only.")] = None
    expected: Annotated[
        bool | Text | None, Field(description="The only value that passes: true or false of a boolean, or a text.")
    ] = None

    def limits(self) -> tuple[float | None, float | None, str | None]:
        """The limits as they are stored: lower, upper, expected text."""
        if isinstance(self.expected, bool):
            return float(self.expected), float(self.expected), None
        return self.min, self.max, self.expected


Minutes = Annotated[float | None, Field(gt=0, le=1e6)]


class ClockSpec(Spec):
    """A process clock: cure and rest run at least so long, pot life and clean-to-weld at most."""

    after: Annotated[Code, Field(description="Operation from whose end the clock runs, to this step's start.")]
    at_least_min: Annotated[Minutes, Field(description="Minutes that must have passed.")] = None
    at_most_min: Annotated[Minutes, Field(description="Minutes that may have passed.")] = None


class StepSpec(Spec):
    """A step of the route."""

    operation: Annotated[Code, Field(description='Operation, in quotes: "040". A station that does it works the step.')]
    name: Annotated[Name, Field(description="What people call the step.")]
    after: Annotated[
        list[Code] | None,
        Field(
            description="Operations that must have passed before; default: the step above, none for the first; for an "
            "alternative those of the step it replaces; for a rework step none."
        ),
    ] = None
    recipe: Annotated[Code | None, Field(description="Name of one of this product's recipes.")] = None
    reads_back: Annotated[
        bool, Field(description="The station says with its question which recipe it holds, by digest.")
    ] = False
    program: Annotated[Name | None, Field(description="Revision of the program that the station must run.")] = None
    clocks: Annotated[list[ClockSpec], Field(max_length=20, description="Minutes between steps.")] = []
    attempts: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000,
            description="How often it may fail before the review board decides; a rework: how often it is done.",
        ),
    ] = None
    certificate: Annotated[Name | None, Field(description="What each person at the station must be certified for.")] = (
        None
    )
    persons: Annotated[int, Field(ge=0, le=2, description="How many persons must be named: 2 above 60 V dc.")] = 0
    first_article: Annotated[
        bool,
        Field(description="After shift start, tool or lot change or a stop of 4 h the first one is signed by another."),
    ] = False
    documents: Annotated[
        list[DocumentKind],
        Field(
            max_length=10,
            description="Documents that the lot must have; what has it inside isn't shipped without them. Of a unit: "
            "each lot in it must have them, of a part whose own route asks for documents.",
        ),
    ] = []
    from_kit: Annotated[
        bool, Field(description="Its components in groups are fitted from the unit's kit of matched cells alone.")
    ] = False
    is_complete: Annotated[
        bool,
        Field(description="Refused while the unit's record has a gap: a position, a part or a lot that isn't known."),
    ] = False
    ships: Annotated[bool, Field(description="The unit leaves the plant here: holds that stop shipping are asked.")] = (
        False
    )
    instead_of: Annotated[Code | None, Field(description="Operation that this one replaces, if it is passed.")] = None
    rework_of: Annotated[
        list[Code],
        Field(max_length=50, description="Operations whose failure this step mends, before they are tried again."),
    ] = []
    repeats: Annotated[
        list[Code], Field(max_length=100, description="Operations that must be done again after this rework.")
    ] = []
    refits: Annotated[
        list[Code], Field(max_length=50, description="Operations whose components this rework takes out and fits.")
    ] = []
    characteristics: Annotated[
        list[CharacteristicSpec], Field(max_length=500, description="What the step measures.")
    ] = []

    def conditions(self) -> dict[str, Any]:
        """The parameters of the rules, as they are stored: defaults left out."""
        return self.model_dump(include=set(CONDITIONS), exclude_defaults=True)


class ProductSpec(Spec):
    """What a part is made of and how, or how a received part is inspected. A change releases the next revision."""

    part: Annotated[Code, Field(description="Number of the part that is made or received.")]
    bom: Annotated[
        list[BomItemSpec], Field(max_length=1_000, description="Bill of material: the components of one piece.")
    ] = []
    recipes: Annotated[list[RecipeSpec], Field(max_length=500, description="Parameters the steps work with.")] = []
    route: Annotated[
        list[StepSpec], Field(min_length=1, max_length=500, description="The steps, in the order of the work.")
    ]
    incoming: Annotated[IncomingSpec | None, Field(description="Cells: how they are tested and graded.")] = None
    matching: Annotated[
        MatchingSpec | None, Field(description="What is made of cells: how they are matched into its groups.")
    ] = None

    def predecessors(self) -> list[list[str]]:
        """For each step the operations that must have passed before, defaults filled in."""
        found: dict[str, list[str]] = {}
        above: list[str] = []
        for step in self.route:
            default = [] if step.rework_of else found.get(step.instead_of or "", above)
            found[step.operation] = sorted(step.after) if step.after is not None else default
            if not step.rework_of and step.instead_of is None:
                above = [step.operation]
        return [found[step.operation] for step in self.route]

    def content(self) -> dict[str, Any]:
        """Everything that makes a revision what it is. Order matters only where it means something: steps, values."""
        # Defaults are left out, so that a field added in a later version changes the digest of no older product.
        said = self.model_dump(mode="json", exclude_defaults=True)
        return {
            "bom": sorted(map(_sorted_sets, said.get("bom", [])), key=lambda item: (item["operation"], item["part"])),
            "recipes": sorted(said.get("recipes", []), key=lambda recipe: str(recipe["name"])),
            "route": [
                _sorted_sets(step) | {"after": after}
                for step, after in zip(said["route"], self.predecessors(), strict=True)
            ],
            **{name: said[name] for name in ("incoming", "matching") if name in said},
        }

    def digest(self) -> str:
        """The identity of the content."""
        return digest(self.content())


def _sorted_sets(said: dict[str, Any]) -> dict[str, Any]:
    return said | {name: sorted(said[name]) for name in _SETS if name in said}


def recipe_digest(recipe: RecipeSpec) -> str:
    """The identity of a recipe: same name, same parameters, same digest, whatever product it serves."""
    return digest({"name": recipe.name, "parameters": recipe.parameters})


def _conditions_of(step: StepPlan) -> dict[str, Any]:
    return {
        **{name: value for name in CONDITIONS if (value := getattr(step.conditions, name)) or value is False},
        **{name: list(getattr(step.conditions, name)) for name in LISTS},
        "clocks": [ClockSpec(**asdict(clock)) for clock in step.conditions.clocks],
    }


def spec_of(plan: ProductPlan) -> ProductSpec:
    """Say a released revision as a file would."""
    recipes = {step.recipe.name: step.recipe for step in plan.steps.values() if step.recipe}
    return ProductSpec(
        part=plan.part,
        bom=[
            BomItemSpec(
                part=item.part,
                operation=item.operation,
                quantity=item.quantity,
                groups=item.groups,
                alternates=list(item.alternates),
            )
            for item in plan.bom
        ],
        recipes=[RecipeSpec(name=recipe.name, parameters=recipe.parameters) for recipe in recipes.values()],
        route=[
            StepSpec(
                operation=step.operation,
                name=step.name,
                after=list(step.predecessors),
                recipe=step.recipe.name if step.recipe else None,
                **_conditions_of(step),
                characteristics=[
                    CharacteristicSpec(
                        name=c.name,
                        kind=c.kind,  # type: ignore[arg-type]  # the table's own CHECK allows these four alone
                        unit=c.unit,
                        count=c.count,
                        min=None if c.kind == "boolean" else c.lower,
                        max=None if c.kind == "boolean" else c.upper,
                        expected=bool(c.lower) if c.kind == "boolean" and c.lower is not None else c.expected,
                    )
                    for c in step.characteristics
                ],
            )
            for step in plan.steps.values()
        ],
        incoming=plan.incoming,
        matching=plan.matching,
    )
