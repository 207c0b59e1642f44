"""What may sit at a position of a unit that has a kit. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from mes.cells.matching.limits import check, unusable
from mes.cells.matching.pool import PoolCell, Rules, Shape, is_value
from mes.products.cell_rules import MatchingSpec
from mes.products.rules import BomItemPlan, ProductPlan


@dataclass(frozen=True, slots=True)
class KitSeen:
    """A unit's kit: its cells by position, as the matching sees them."""

    id: int
    number: str
    cells: Mapping[int, PoolCell]


def kitted(plan: ProductPlan) -> BomItemPlan:
    """The component that is fitted from kits; the plan's check saw that there is one."""
    assert plan.matching is not None  # noqa: S101
    return next(item for item in plan.bom if item.part == plan.matching.part)


def shape_of(item: BomItemPlan) -> Shape:
    """How many groups, of how many cells."""
    return Shape(item.groups, int(item.quantity) // item.groups)


def rules_of(spec: MatchingSpec) -> Rules:
    """A product's hard rules as the matching takes them."""
    said = spec.model_dump(exclude={"part", "swap", "grades"})
    return Rules(grades=tuple(spec.grades), **said)


def judge_slots(
    kit: KitSeen, offered: Mapping[int, PoolCell], reserved: Mapping[int, str], plan: ProductPlan
) -> dict[int, str]:
    """Say what is wrong with the cells offered for positions of a kit; `reserved`: those in any kit, with its number.

    A cell at the position that the kit gives it is right, while it could still be matched. Within a group places may
    be exchanged, and a free graded cell may stand in, as far as the product's `swap` lets them and the whole kit still
    keeps its rules.
    """
    spec, shape = plan.matching, shape_of(kitted(plan))
    assert spec is not None  # noqa: S101
    rules = rules_of(spec)
    has_acir = any(is_value(cell.acir_mohm) for cell in kit.cells.values())
    place = {cell.id: position for position, cell in kit.cells.items()}
    wrong: dict[int, str] = {}
    strangers: dict[int, PoolCell] = {}
    for position, cell in offered.items():
        own = place.get(cell.id)
        if why := "no grade" if cell.grade is None else unusable(cell, rules, has_acir=has_acir):
            wrong[position] = f"it can be in no kit: {why}"
        elif own == position:
            continue
        elif own is not None:
            is_near = (own - 1) // shape.per_group == (position - 1) // shape.per_group
            if spec.swap == "none" or not is_near:
                wrong[position] = f"kit {kit.number} has it at {own}"
        elif cell.id in reserved:
            wrong[position] = f"it is reserved in kit {reserved[cell.id]}"
        elif spec.swap != "stock":
            wrong[position] = f"kit {kit.number} hasn't it"
        else:
            strangers[position] = cell
    cells = {cell.id: cell for cell in (*kit.cells.values(), *offered.values())}
    mixed = placed(
        {position: cell.id for position, cell in kit.cells.items()},
        {position: cell.id for position, cell in offered.items() if position not in wrong},
    )
    if strangers or (not wrong and len(mixed) == shape.cells):
        # the whole kit as it will be: what was matched may have been graded anew or split off meanwhile
        broken = check([cells[mixed[position]] for position in sorted(mixed)], shape, rules)
        if broken:
            so = "hasn't it, and with it breaks" if strangers else "breaks"
            said = f"kit {kit.number} {so} its rules: {'; '.join(broken[:3])}"
            wrong |= dict.fromkeys(strangers or offered, said)
    return wrong


def placed(kit: Mapping[int, int], fitted: Mapping[int, int]) -> dict[int, int]:
    """A kit (position -> cell) once these are fitted: what was meant for a place goes where what took it came from."""
    place = {cell: position for position, cell in kit.items()}
    sits = set(fitted.values())
    mixed = dict(fitted)
    for position, cell in kit.items():
        if cell in sits:
            continue
        at: int | None = position
        while at is not None and at in fitted:
            at = place.get(fitted[at])
        if at is not None:
            mixed[at] = cell
    return mixed
