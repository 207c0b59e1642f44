"""Structures of one server, read and written as documents by the definitions that this server gives of them.

The client library keeps what it knows of structures by the server's own ids, for all servers at once, and reads those
of another server wrongly without an error. Here each session has definitions of its own (OPC UA part 3, 8.49; part 6,
5.2.6), and only the standard's own types are the library's. A document has the structure's fields by name: what is
optional and absent is left out, times are ISO 8601, texts in several languages are their text.
"""

import base64
import struct
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from asyncua import ua
from asyncua.common.node import Node
from asyncua.common.utils import Buffer
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIdNames, ObjectIds
from asyncua.ua.ua_binary import from_binary, pack_uatype, struct_to_binary, unpack_uatype
from asyncua.ua.uaerrors import BadNodeIdInvalid, BadNodeIdUnknown, UaError

BROKEN = (UaError, struct.error, ValueError, TypeError, LookupError)
UNDESCRIBED = (BadNodeIdUnknown, BadNodeIdInvalid, ValueError)
_UNIONS = (ua.StructureType.Union, ua.StructureType.UnionWithSubtypedValues)
_SUBTYPED = (ua.StructureType.StructureWithSubtypedValues, ua.StructureType.UnionWithSubtypedValues)
_BUILT_IN = 25
# numbers, integers and unsigned integers of any size; enumerations
_WRITTEN_AS = {**dict.fromkeys((26, 27, 28), ua.VariantType.Variant), 29: ua.VariantType.Int32}
_OBJECT, _ANY = ua.NodeId(ua.Int32(22)), ua.NodeId(ua.Int32(24))
Shape = ua.VariantType | type | ua.StructureDefinition


class _Unknown(Exception):
    """A structure that was met inside another one, by the id of its encoding."""

    def __init__(self, encoding: ua.NodeId) -> None:
        self.encoding = encoding
        super().__init__(encoding)


class Structures:
    """What is known of a server's data types, learnt when they are first met."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._shapes: dict[ua.NodeId, Shape] = {
            _OBJECT: ua.VariantType.ExtensionObject,
            _ANY: ua.VariantType.Variant,
        }
        self._encoded: dict[ua.NodeId, ua.NodeId] = {}
        self._declared: dict[tuple[ua.NodeId, int], ua.NodeId] = {}

    async def read(self, value: Any) -> Any:
        """Return the document of a structure, or of each in a list; other values as they are.

        A structure that the server doesn't describe is returned as it came, with its bytes.
        """
        if isinstance(value, list):
            return [await self.read(one) for one in value]
        if not isinstance(value, ua.ExtensionObject):
            return value
        while True:
            try:
                return self._plain(value)
            except _Unknown as met:
                encoding = met.encoding
            except BROKEN:
                return value
            try:
                # a link that breaks here is no reason to call a structure unreadable
                self._encoded[encoding] = await self._described_by(encoding)
            except UNDESCRIBED:
                return value

    async def write(self, kind: ua.NodeId, document: Any) -> ua.ExtensionObject:
        """Make a structure of a data type; fields that the document lacks are left out, or empty."""
        await self._learn(kind)
        shape = self._shapes[kind]
        if not isinstance(shape, ua.StructureDefinition):
            raise UaError(f"{kind.to_string()} is no structure")
        return ua.ExtensionObject(TypeId=shape.DefaultEncodingId, Body=ua.ByteString(self._written(kind, -1, document)))

    async def argument(self, method: ua.NodeId, nth: int, documents: Any) -> Any:
        """Make structures of the data type that a method declares for its nth argument, one or a list."""
        if (method, nth) not in self._declared:
            declared = await (await Node(self._session, method).get_child("0:InputArguments")).read_value()
            self._declared[method, nth] = declared[nth].DataType
        kind = self._declared[method, nth]
        if isinstance(documents, list):
            return [await self.write(kind, one) for one in documents]
        return await self.write(kind, documents)

    async def _described_by(self, encoding: ua.NodeId) -> ua.NodeId:
        """Find and learn the data type that has this encoding."""
        node = Node(self._session, encoding)
        (kind,) = await node.get_referenced_nodes(ObjectIds.HasEncoding, ua.BrowseDirection.Inverse)
        await self._learn(kind.nodeid)
        return kind.nodeid

    async def _learn(self, kind: ua.NodeId) -> None:
        if kind in self._shapes:
            return
        shape = self._shapes[kind] = _standard(kind) or await self._described(kind)
        if isinstance(shape, ua.StructureDefinition):
            for field in shape.Fields:
                await self._learn(field.DataType)

    async def _described(self, kind: ua.NodeId) -> Shape:
        node = Node(self._session, kind)
        if kind.NamespaceIndex:
            answer = await node.read_attribute(AttributeIds.DataTypeDefinition, raise_on_bad_status=False)
            described = answer.Value.Value if answer.Value is not None else None
            if isinstance(described, ua.StructureDefinition):
                return described
        # an enumeration, or a plain type with a name of its own: what it is a kind of says how it is written
        (above,) = await node.get_referenced_nodes(ObjectIds.HasSubtype, ua.BrowseDirection.Inverse)
        await self._learn(above.nodeid)
        return self._shapes[above.nodeid]

    def _read(self, kind: ua.NodeId, rank: int, data: Any) -> Any:
        if rank >= 1:
            count = unpack_uatype(ua.VariantType.Int32, data)
            return [self._read(kind, -1, data) for _ in range(count)] if count >= 0 else None
        shape = self._shapes[kind]
        if isinstance(shape, ua.StructureDefinition):
            return self._fields(shape, data)
        return self._plain(from_binary(shape, data) if isinstance(shape, type) else unpack_uatype(shape, data))

    def _fields(self, shape: ua.StructureDefinition, data: Any) -> dict[str, Any]:
        if shape.StructureType in _UNIONS:
            chosen = unpack_uatype(ua.VariantType.UInt32, data)
            present = shape.Fields[chosen - 1 : chosen] if chosen else []
        else:
            present = list(shape.Fields)
        if shape.StructureType is ua.StructureType.StructureWithOptionalFields:
            mask = unpack_uatype(ua.VariantType.UInt32, data)
            optional = [field for field in present if field.IsOptional]
            absent = {field.Name for bit, field in enumerate(optional) if not mask >> bit & 1}
            present = [field for field in present if field.Name not in absent]
        return {str(one.Name): self._read(self._encoded_as(shape, one), one.ValueRank, data) for one in present}

    def _encoded_as(self, shape: ua.StructureDefinition, field: ua.StructureField) -> ua.NodeId:
        kind: ua.NodeId = field.DataType
        if shape.StructureType not in _SUBTYPED or not field.IsOptional:
            return kind
        # a field that may hold subtypes says with each value what it is
        is_structure = isinstance(self._shapes[kind], ua.StructureDefinition | type)
        return _OBJECT if is_structure or kind == _OBJECT else _ANY

    def _plain(self, value: Any) -> Any:
        match value:
            case ua.Variant() | ua.DataValue():
                return self._plain(value.Value)
            case ua.ExtensionObject(TypeId=encoding, Body=body):
                if encoding.is_null():
                    return None
                if encoding not in self._encoded:
                    raise _Unknown(encoding)
                return self._read(self._encoded[encoding], -1, Buffer(body or b""))
            case list() | tuple():
                return [self._plain(one) for one in value]
            case ua.LocalizedText():
                return value.Text
            case ua.NodeId():
                return value.to_string()
            case datetime():
                return value.replace(tzinfo=UTC).isoformat()
            case bytes():
                return base64.b64encode(value).decode()
            case UUID():
                return str(value)
            case Enum():
                return value.value
            case _ if is_dataclass(value):
                return {one.name: self._plain(getattr(value, one.name)) for one in fields(value)}
        return value

    def _written(self, kind: ua.NodeId, rank: int, value: Any) -> bytes:
        if rank >= 1:
            items = [self._written(kind, -1, one) for one in value or ()]
            return b"".join([pack_uatype(ua.VariantType.Int32, len(items)), *items])
        shape = self._shapes[kind]
        if isinstance(shape, ua.StructureDefinition):
            return self._written_fields(shape, value or {})
        if isinstance(shape, type):
            return struct_to_binary(shape(**(value or {})))
        return pack_uatype(shape, _fitting(shape, value))

    def _written_fields(self, shape: ua.StructureDefinition, document: dict[str, Any]) -> bytes:
        if shape.StructureType not in (ua.StructureType.Structure, ua.StructureType.StructureWithOptionalFields):
            raise UaError("unions and fields with subtypes are read, not written")
        if unknown := document.keys() - {field.Name for field in shape.Fields}:
            raise UaError(f"the server's structure has no {', '.join(sorted(unknown))}")
        packed, present = [], list(shape.Fields)
        if shape.StructureType is ua.StructureType.StructureWithOptionalFields:
            optional = [field.Name for field in present if field.IsOptional]
            mask = sum(1 << bit for bit, name in enumerate(optional) if name in document)
            packed.append(pack_uatype(ua.VariantType.UInt32, mask))
            present = [field for field in present if field.Name in document or not field.IsOptional]
        packed += [self._written(one.DataType, one.ValueRank, document.get(str(one.Name))) for one in present]
        return b"".join(packed)


def _standard(kind: ua.NodeId) -> Shape | None:
    """How the standard's own types are written; those of other namespaces, and kinds of kinds, the server describes."""
    number = kind.Identifier
    if kind.NamespaceIndex or not isinstance(number, int):
        return None
    if number <= _BUILT_IN:
        return ua.VariantType(number)
    if number in _WRITTEN_AS:
        return _WRITTEN_AS[number]
    known = getattr(ua, ObjectIdNames.get(number, ""), None)
    if isinstance(known, type) and issubclass(known, Enum):
        return ua.VariantType.Int32
    return known if isinstance(known, type) and is_dataclass(known) else None


def _fitting(kind: ua.VariantType, value: Any) -> Any:
    if kind is ua.VariantType.Variant:
        return value if isinstance(value, ua.Variant) else ua.Variant(value)
    if value is None:
        return ua.get_win_epoch() if kind is ua.VariantType.DateTime else ua.get_default_value(kind)
    if kind is ua.VariantType.LocalizedText:
        return ua.LocalizedText(value)
    if kind is ua.VariantType.DateTime and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value
