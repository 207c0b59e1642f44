"""The one parser for what a scanner delivers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from mes.codes import gbt34014, gs1, iso15434
from mes.codes.unreadable import Unreadable

Kind = Literal["iso15434", "gs1", "digital_link", "sscc", "gbt34014", "plain"]
MAX_LENGTH = 4000
_SYMBOLOGY = re.compile(r"\](?P<code>[A-Za-z])(?P<modifier>[0-9A-Za-z])")
_GS1_SYMBOLOGIES = {"C1", "e0", "d2", "Q3", "J1"}
_LINK = re.compile(r"https?://", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+#-]{0,79}")
_FIELDS = {
    "serial": ("S", "25S", "21"),
    "lot": ("1T", "T", "10"),
    "part": ("P", "241"),
    "supplier_part": ("1P", "01", "240"),
    "supplier": ("V", "21V"),
    "quantity": ("Q", "37", "30"),
    "sscc": ("00",),
    "licence_plate": ("J", "1J", "2J", "3J", "4J"),
    "made_on": ("16D", "11"),
    "expires_on": ("14D", "17"),
}
_DATED = ("made_on", "expires_on")


@dataclass(frozen=True, slots=True)
class Scan:
    """A code as it was read. `elements`: everything in it, by data identifier or application identifier."""

    text: str
    kind: Kind
    serial: str | None = None
    lot: str | None = None
    part: str | None = None
    supplier_part: str | None = None
    supplier: str | None = None
    quantity: str | None = None
    sscc: str | None = None
    licence_plate: str | None = None
    made_on: date | None = None
    expires_on: date | None = None
    elements: Mapping[str, str] = field(default_factory=dict)


def read(text: str) -> Scan:
    """Read what a scanner delivered; Unreadable says what was read, what was expected and what to do."""
    if len(text) > MAX_LENGTH:
        raise Unreadable(text, f"at most {MAX_LENGTH} characters")
    code, prefix = text.strip(" \t\r\n"), _SYMBOLOGY.match(text)
    if prefix:
        code = code[prefix.end() :]
    if code.startswith("[)>"):
        return _of(text, "iso15434", iso15434.decode(code))
    if _LINK.match(code):
        return _of(text, "digital_link", gs1.decode_link(code))
    is_gs1 = prefix is not None and f"{prefix['code']}{prefix['modifier']}" in _GS1_SYMBOLOGIES
    if is_gs1 or code.startswith(("(", iso15434.GS)) or iso15434.GS in code:
        return _of(text, "gs1", gs1.decode(code.removeprefix(iso15434.GS)))
    if not _PLAIN.fullmatch(code):
        raise Unreadable(text, "a serial or lot number: letters, digits and . _ : / + # -, or a code that carries one")
    if sscc := gs1.find_sscc(code):
        return Scan(text, "sscc", serial=code, sscc=sscc)  # a serial may look like one: whoever asks for it gets it
    if gbt34014.looks_like(code):
        return _battery(text, code)
    return Scan(text, "plain", serial=code, lot=code)


def _of(text: str, kind: Kind, elements: list[tuple[str, str]]) -> Scan:
    found = dict(reversed(elements))  # of an element that stands twice the first counts
    said: dict[str, str | date | None] = {
        name: next((found[one] for one in identifiers if one in found), None) for name, identifiers in _FIELDS.items()
    }
    for name in _DATED:
        value = said[name]
        said[name] = iso15434.to_date(value) if isinstance(value, str) else None
    return Scan(text, kind, **said, elements=dict(elements))  # type: ignore[arg-type]


def _battery(text: str, code: str) -> Scan:
    try:
        made = gbt34014.decode(code)
    except Unreadable:
        return Scan(text, "plain", serial=code, lot=code)  # the form of one by chance: a plant's own serial may have it
    names = ("maker", "kind", "chemistry", "spec", "traceability", "serial")
    elements = {name: value for name in names if (value := getattr(made, name)) is not None}
    return Scan(text, "gbt34014", serial=code, lot=code, supplier=made.maker, made_on=made.made_on, elements=elements)


def is_plain(text: str) -> bool:
    """Whether a text can be taken as it stands, without a look into it: what a PLC sends, and most scans."""
    is_code = text[:4].lower() == "http" or text[:2] == "00"  # a link, or an SSCC behind its application identifier
    return text[:1].isalnum() and not is_code and text.isprintable()


def taking(*fields: Literal["serial", "lot", "sscc", "licence_plate"]) -> Callable[[object], object]:
    """Make a validator that takes one of these, the first there is, out of whatever was scanned."""
    wanted = " or ".join(one.replace("_", " ") for one in fields)

    def take(value: object) -> object:
        if not isinstance(value, str) or is_plain(value):
            return value
        scan = read(value)
        for name in fields:
            if (found := getattr(scan, name)) is not None:
                return found
        raise Unreadable(value, f"a code with a {wanted}", "Scan the label that carries it.")

    return take


def identify(serial: str, patterns: Mapping[str, str]) -> str | None:
    """Which part a serial is issued for, by the plant's own patterns (part -> pattern); None: none of them."""
    for part, pattern in patterns.items():
        if re.fullmatch(_expression(pattern), serial):
            return part
    return None


def _expression(pattern: str) -> str:
    digits = {"year": "[0-9]{2}", "week": "[0-9]{2}", "month": "[0-9]{2}", "day": "[0-9]{2}"}
    parts = []
    for literal, placeholder in re.findall(r"([^{]+)|\{([^}]*)\}", pattern):
        if literal:
            parts.append(re.escape(literal))
        elif placeholder.startswith("number:0"):
            parts.append(f"[0-9]{{{placeholder[-1]},}}")
        else:
            parts.append(digits[placeholder])
    return "".join(parts)
