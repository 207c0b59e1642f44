"""What may sit at a position of a unit that has a kit. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from mes.cells.matching.limits import check
from mes.cells.matching.pool import PoolCell, Rules, Shape
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

    A cell at the position that the kit gives it is right. Within a group places may be exchanged, and a free graded
    cell may stand in, as far as the product's `swap` lets them and the whole kit still keeps its rules.
    """
    spec, shape = plan.matching, shape_of(kitted(plan))
    assert spec is not None  # noqa: S101
    place = {cell.id: position for position, cell in kit.cells.items()}
    wrong: dict[int, str] = {}
    strangers: dict[int, PoolCell] = {}
    for position, cell in offered.items():
        own = place.get(cell.id)
        if cell.grade is None:
            wrong[position] = "it has no grade any more" if own else f"kit {kit.number} hasn't it, and it has no grade"
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
    mixed = _placed(kit, {position: cell for position, cell in offered.items() if position not in wrong})
    if strangers or len(mixed) == shape.cells:
        # the whole kit as it will be: what was matched may have been graded anew or split off meanwhile
        broken = check([mixed[position] for position in sorted(mixed)], shape, rules_of(spec))
        if broken:
            so = "hasn't it, and with it breaks" if strangers else "breaks"
            said = f"kit {kit.number} {so} its rules: {'; '.join(broken[:3])}"
            wrong |= dict.fromkeys(strangers or offered.keys() - wrong.keys(), said)
    return wrong


def _placed(kit: KitSeen, offered: Mapping[int, PoolCell]) -> dict[int, PoolCell]:
    """The kit with these cells at these positions; a cell of its own changes places with the one that was there."""
    mixed = dict(kit.cells)
    place = {cell.id: position for position, cell in kit.cells.items()}
    for position, cell in offered.items():
        own, before = place.get(cell.id), mixed.get(position)
        mixed[position], place[cell.id] = cell, position
        if own is not None and own != position and before is not None:
            mixed[own], place[before.id] = before, own
    return mixed
