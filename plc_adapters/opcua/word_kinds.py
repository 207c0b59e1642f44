"""What each word of the handshakes is made of, and who writes it: for looking at servers that nobody has mapped yet."""

from plc_adapters.opcua.words import OF_MES

INTEGERS = frozenset({"SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64"})
REALS = INTEGERS | {"Float", "Double"}
TEXTS = frozenset({"String", "LocalizedText"})
MEASURED = REALS | TEXTS | {"Boolean"}
_NUMBERS = {"PermitCode", "AckCode", "DoneVerdict", "Heartbeat", "MesHeartbeat", "State"}
_COLUMNS = (
    "ComponentParts",
    "ComponentSerials",
    "ComponentPositions",
    "Lots",
    "LotQuantities",
    "Removals",
    "RemovalsTo",
)
_BITS = {"Req", "Permit", "Done", "Ack"}


def is_array(word: str) -> bool:
    """Whether a word is a column of a table."""
    return word.endswith(_COLUMNS)


def types_of(word: str) -> frozenset[str]:
    """The types of OPC UA that fit a word."""
    if word.endswith("Epoch"):
        return INTEGERS | TEXTS
    if word.endswith(("Seq", "Positions")) or word in _NUMBERS:
        return INTEGERS
    if word.endswith("Quantities"):
        return REALS
    if word in _BITS:
        return frozenset({"Boolean"})
    return frozenset({"DateTime"}) if word.endswith("At") else TEXTS


def is_written(word: str) -> bool:
    """Whether the MES writes it."""
    return word.startswith(OF_MES)


def expected(word: str) -> str:
    """What is expected of a word's variable, in a few words."""
    kinds = types_of(word)
    names = {INTEGERS: "an integer", REALS: "a number", TEXTS: "a text", INTEGERS | TEXTS: "an integer or a text"}
    kind = names.get(kinds, "a " + " or ".join(sorted(kinds)))
    return ("an array, each " if is_array(word) else "") + kind + (", writable for the MES" if is_written(word) else "")
