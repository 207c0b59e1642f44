"""GB/T 34014-2017 battery codes: 24 characters, or 17 without the traceability part.

maker 3, kind 1 (P pack, M module, C cell), chemistry 1 (B: LFP), specification 2, traceability 7, date 3, serial 7.
Used again (second life), a battery gets the short code. Digits and capital letters without I and O.

The date is a character each for year, month and day. Assumed, since only extracts of the standard were at hand: years
from 2011 as 1-9 A-H J-N P R-T V-Y (2011 to 2040, as in vehicle numbers), months 1-9 A-C, days 1-9 A-H J-N P R-T V-Y 0.
"""

import re
from dataclasses import dataclass
from datetime import date

from mes.codes.unreadable import Unreadable

_DIGITS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_SYMBOLS = "123456789ABCDEFGHJKLMNPRSTVWXY"
_MONTHS = "123456789ABC"
_DAYS = _SYMBOLS + "0"
_SET = "[0-9A-HJ-NP-Z]"
_CODE = re.compile(rf"({_SET}{{3}})([PMC])([A-Z])({_SET}{{2}})({_SET}{{7}})?({_SET}{{3}})({_SET}{{7}})")
FIRST_YEAR = 2011


@dataclass(frozen=True, slots=True)
class BatteryCode:
    """A battery code's parts; `traceability` None: a short code."""

    maker: str
    kind: str
    chemistry: str
    spec: str
    traceability: str | None
    made_on: date
    serial: str


def looks_like(text: str) -> bool:
    """Whether a text has the form of a battery code."""
    return len(text) in {17, 24} and _CODE.fullmatch(text) is not None


def decode(text: str) -> BatteryCode:
    """Read a battery code, long or short."""
    found = _CODE.fullmatch(text)
    if found is None:
        raise Unreadable(text, "a battery code: 24 or 17 digits and capitals without I and O, the fourth P, M or C")
    maker, kind, chemistry, spec, traceability, made, serial = found.groups()
    try:
        day = date(FIRST_YEAR + _SYMBOLS.index(made[0]), _MONTHS.index(made[1]) + 1, _DAYS.index(made[2]) + 1)
    except ValueError as error:
        raise Unreadable(text, f"a date (year, month, day) in place of {made}") from error
    return BatteryCode(maker, kind, chemistry, spec, traceability, day, serial)


def serial(number: int) -> str:
    """Write a number as a code's serial: other numbers, other serials; ValueError beyond some 52 thousand million."""
    if not 0 <= number < len(_DIGITS) ** 7:
        raise ValueError(f"{number}: a battery code's serial holds 0 to {len(_DIGITS) ** 7 - 1}")
    return "".join(_DIGITS[number // len(_DIGITS) ** place % len(_DIGITS)] for place in range(6, -1, -1))


def encode(
    *, maker: str, kind: str, chemistry: str, spec: str, traceability: str | None, made_on: date, serial: str
) -> str:
    """Write a battery code; ValueError names what can't stand in one."""
    if not FIRST_YEAR <= made_on.year < FIRST_YEAR + len(_SYMBOLS):
        raise ValueError(f"{made_on.year}: a battery code's years are {FIRST_YEAR} to {FIRST_YEAR + len(_SYMBOLS) - 1}")
    day = f"{_SYMBOLS[made_on.year - FIRST_YEAR]}{_MONTHS[made_on.month - 1]}{_DAYS[made_on.day - 1]}"
    code = f"{maker}{kind}{chemistry}{spec}{traceability or ''}{day}{serial}"
    lengths = (len(maker), len(kind), len(chemistry), len(spec), len(traceability or "0000000"), len(serial))
    if lengths != (3, 1, 1, 2, 7, 7) or not _CODE.fullmatch(code):
        raise ValueError(f"{code!r}: maker 3, kind P M C, chemistry 1, spec 2, traceability 7 or none, serial 7")
    return code
