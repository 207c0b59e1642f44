"""ISO/IEC 15434 envelopes, format 06, with data identifiers of ANSI MH10.8.2: read and written.

An envelope is `[)>` RS, then formats, then EOT; format 06 is `06` and GS before each element, closed by RS. An element
is a data identifier (up to three digits and a letter) and its value.
"""

import re
from collections.abc import Sequence
from datetime import date

from mes.codes.unreadable import Unreadable

RS, GS, EOT = "\x1e", "\x1d", "\x04"
HEAD = "[)>"
_ELEMENT = re.compile(r"([0-9]{0,3}[A-Z])(.+)", re.DOTALL)
_VALUE = re.compile(r"[\x20-\x7e]+")
# What keyboard wedges and terminals send in place of control characters that can't be typed.
_SUBSTITUTES = {
    RS: ("^^", "<RS>", "{RS}", "\u241e"),
    GS: ("^]", "<GS>", "{GS}", "\u241d"),
    EOT: ("^D", "<EOT>", "{EOT}", "\u2404"),
}
DATES = ("16D", "14D", "6D", "D")  # production, expiry, date of a kind, any: YYYYMMDD, or YYMMDD of the last
Elements = list[tuple[str, str]]


def decode(text: str) -> Elements:
    """Read the elements of a format 06 envelope, in their order; Unreadable says what is torn."""
    plain = _restore(text)
    if not plain.startswith(HEAD + RS):
        raise Unreadable(text, f"an ISO/IEC 15434 code, that opens with {HEAD} and RS")
    body = plain[len(HEAD + RS) :]
    if not body.startswith("06" + GS):
        raise Unreadable(text, "format 06 (data identifiers) behind the envelope's head")
    if not body.endswith(RS + EOT):
        raise Unreadable(text, "RS and EOT at its end: the code is torn")
    found = [_element(text, one) for one in body[len("06" + GS) : -len(RS + EOT)].split(GS)]
    for identifier, value in found:
        # 6D says behind its date, in three digits, which date it is
        dated = value[:-3] if identifier == "6D" and len(value) == 11 else value
        if identifier in DATES and not is_date(dated):
            raise Unreadable(text, f"a date as 20261123 behind {identifier}, not {value}")
    return found


def _restore(text: str) -> str:
    if RS in text:
        return text  # it came as it was printed: what looks like a substitute is a value
    for control, substitutes in _SUBSTITUTES.items():
        for one in substitutes:
            text = text.replace(one, control)
    return text


def _element(text: str, element: str) -> tuple[str, str]:
    found = _ELEMENT.fullmatch(element)
    if found is None:
        raise Unreadable(text, f"a data identifier and a value between two GS, not {element!r}")
    if not _VALUE.fullmatch(found[2]):
        raise Unreadable(text, f"printable characters behind {found[1]}, not {found[2]!r}")
    return found[1], found[2]


def encode(elements: Sequence[tuple[str, str]]) -> bytes:
    """Write an envelope of format 06; ValueError names an element that none can hold."""
    if not elements:
        raise ValueError("an envelope of no elements")
    for identifier, value in elements:
        if not re.fullmatch(r"[0-9]{0,3}[A-Z]", identifier):
            raise ValueError(f"{identifier!r} is no data identifier: up to three digits and a letter")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{value!r} can't stand behind {identifier}: printable ASCII alone can")
        if identifier in DATES and not is_date(value):
            raise ValueError(f"{value!r} behind {identifier} is no date as 20261123")
    body = GS.join(f"{identifier}{value}" for identifier, value in elements)
    return f"{HEAD}{RS}06{GS}{body}{RS}{EOT}".encode("ascii")


def is_date(value: str) -> bool:
    """Whether a value is YYYYMMDD or YYMMDD."""
    return to_date(value) is not None


def to_date(value: str) -> date | None:
    """Read YYYYMMDD or YYMMDD of this century; None: it is no date."""
    whole = value if len(value) == 8 else f"20{value}"
    if not re.fullmatch(r"[0-9]{8}", whole):
        return None
    try:
        return date(int(whole[:4]), int(whole[4:6]), int(whole[6:]))
    except ValueError:
        return None
