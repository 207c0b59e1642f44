"""Look at a server that nobody knows: its objects and variables, each with its type, value and access; bounded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.node import Node
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError

MOST_NODES = 5_000
DEEPEST = 12
_AT_ONCE = 100
_READ, _WRITE = 1, 2
_SERVER = ua.NodeId(ua.Int32(ObjectIds.Server))
_KINDS = (AttributeIds.Value, AttributeIds.DataType, AttributeIds.ValueRank, AttributeIds.UserAccessLevel)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a variable holds, and what may be done with it; `bad`: why it can't be read."""

    type: str = ""
    array: bool = False
    readable: bool = False
    writable: bool = False
    value: Any = None
    bad: str | None = None

    @property
    def said(self) -> str:
        """The type, as people write it."""
        return f"{self.type}[]" if self.array else self.type


@dataclass(frozen=True, slots=True)
class Found:
    """An object (without a shape) or a variable, where it lies, and its node id without the namespace."""

    path: tuple[str, ...]
    node: str
    namespace: str
    shape: Shape | None = None

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path[-1]


@dataclass(slots=True)
class Seen:
    """What was found; `whole` says whether that is all."""

    found: list[Found] = field(default_factory=list)
    whole: bool = True


async def explore(client: Client, most: int = MOST_NODES) -> Seen:
    """Walk through all below Objects but the server's own, the upper levels first, each node once."""
    spaces = await client.get_namespace_array()
    seen, known = Seen(), {_SERVER}
    level: list[tuple[tuple[str, ...], ua.NodeId]] = [((), ua.NodeId(ua.Int32(ObjectIds.ObjectsFolder)))]
    for _ in range(DEEPEST):
        below: list[tuple[tuple[str, ...], ua.NodeId, bool]] = []
        for path, node in level:
            for one in await _children(client, node):
                inner = ua.NodeId(one.NodeId.Identifier, one.NodeId.NamespaceIndex, one.NodeId.NodeIdType)
                # what the standard itself puts there (aliases, locations) is no machine's
                if inner in known or (inner.NamespaceIndex == 0 and inner != _SERVER):
                    continue
                if len(known) > most:
                    seen.whole = False
                    break
                known.add(inner)
                name = str(one.BrowseName.Name)
                below.append(((*path, name), inner, one.NodeClass == ua.NodeClass.Variable))
        variables = [node for _, node, is_variable in below if is_variable]
        shapes = dict(zip(variables, await shapes_of(client, variables), strict=True))
        for path, node, _ in below:
            seen.found.append(Found(path, _bare(node), spaces[node.NamespaceIndex], shapes.get(node)))
        level = [(path, node) for path, node, _ in below]
        if not level:
            break
    else:
        seen.whole = False
    seen.found.sort(key=lambda one: one.path)
    return seen


async def shapes_of(client: Client, nodes: Sequence[ua.NodeId]) -> list[Shape]:
    """Read what variables hold, in few calls."""
    shapes: list[Shape] = []
    for start in range(0, len(nodes), _AT_ONCE):
        chunk = list(nodes[start : start + _AT_ONCE])
        columns = [await client.uaclient.session.read_attributes(chunk, kind) for kind in _KINDS]
        shapes += [_shape(*answers) for answers in zip(*columns, strict=True)]
    return shapes


async def _children(client: Client, node: ua.NodeId) -> list[ua.ReferenceDescription]:
    try:
        every = await Node(client.uaclient.session, node).get_children_descriptions()
        return [one for one in every if one.NodeClass in (ua.NodeClass.Object, ua.NodeClass.Variable)]
    except UaError:
        return []  # one that may not be looked into hides none of the others


def _shape(value: ua.DataValue, kind: ua.DataValue, rank: ua.DataValue, access: ua.DataValue) -> Shape:
    allowed = _plain(access) or 0
    held = value.Value.VariantType if value.Value is not None else ua.VariantType.Null
    if held is ua.VariantType.Null:
        declared = _plain(kind)
        known = isinstance(declared, ua.NodeId) and declared.NamespaceIndex == 0
        name = _type_name(declared.Identifier) if known else ""
    else:
        name = held.name
    several = bool(value.Value is not None and value.Value.is_array) or (_plain(rank) or -1) >= 0
    bad = value.StatusCode.name if value.StatusCode is not None and value.StatusCode.is_bad() else None
    return Shape(name, several, bool(allowed & _READ), bool(allowed & _WRITE), _plain(value), bad)


def _type_name(identifier: Any) -> str:
    try:
        return ua.VariantType(identifier).name
    except ValueError:
        return ""


def _plain(answer: ua.DataValue) -> Any:
    return answer.Value.Value if answer.Value is not None else None


def _bare(node: ua.NodeId) -> str:
    """A node id as mapping files write it: without its namespace, whose index moves."""
    return str(node.to_string()).rpartition(";")[2] if node.NamespaceIndex else str(node.to_string())
