"""Traces as told."""

from mes.message import Message, Moment


class Place(Message):
    """Where a unit was, from when until when."""

    parent: str
    part: str
    position: int | None
    installed_at: Moment
    removed_at: Moment | None


class TreeNode(Message):
    """A unit, or a quantity of a lot, and what is inside it. `gaps` names what the record doesn't know."""

    part: str
    serial: str | None = None
    lot: str | None = None
    supplier: str | None = None
    supplier_lot: str | None = None
    state: str | None = None
    position: int | None = None
    quantity: float = 1
    installed_at: Moment | None = None
    removed_at: Moment | None = None
    gaps: list[str] = []
    inside: list["TreeNode"] = []


class Trace(Message):
    """What is inside a unit at a moment, and where it is itself."""

    serial: str
    as_of: Moment
    tree: TreeNode
    places: list[Place]
    lots: list[str]


class LotUser(Message):
    """A unit that contains something of a lot, and how much of it."""

    serial: str
    part: str
    state: str
    quantity: float


class WhereUsed(Message):
    """Where a lot is. `packs` stand at the top; `units` are all that contain it; `loose` were received and are nowhere
    else."""

    lot: str
    packs: list[LotUser]
    units: list[LotUser]
    loose: int
