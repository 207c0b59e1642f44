"""GS1: element strings, Digital Link and SSCC, read by `biip`; and an SSCC made."""

import re

from biip import ParseError
from biip.checksums import gs1_standard_check_digit
from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from biip.gs1_messages import GS1Message
from biip.sscc import Sscc

from mes.codes.unreadable import Unreadable

Elements = list[tuple[str, str]]


def decode(text: str) -> Elements:
    """Read an element string: GS between its elements, or application identifiers in brackets."""
    try:
        found = GS1Message.parse_hri(text) if text.startswith("(") else GS1Message.parse(text)
    except ParseError as error:
        raise Unreadable(text, f"a GS1 element string ({_first_line(error)})") from error
    return [(one.ai.ai, one.value) for one in found.element_strings]


def decode_link(text: str) -> Elements:
    """Read a GS1 Digital Link."""
    try:
        found = GS1DigitalLinkURI.parse(text)
    except (ParseError, ValueError) as error:
        raise Unreadable(text, f"a GS1 Digital Link ({_first_line(error)})") from error
    return [(one.ai.ai, one.value) for one in found.element_strings]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")[:200]


def find_sscc(text: str) -> str | None:
    """The 18 digits of an SSCC, alone or behind their application identifier 00, its check digit right; or None."""
    found = re.fullmatch(r"(?:00)?([0-9]{18})", text)
    if found is None:
        return None
    try:
        Sscc.parse(found[1])
    except ParseError:
        return None
    return found[1]


def sscc(extension: int, company_prefix: str, serial_reference: int) -> str:
    """Make an SSCC of 18 digits; ValueError where the reference doesn't fit behind the prefix."""
    if not 0 <= extension <= 9 or not re.fullmatch(r"[0-9]{4,12}", company_prefix):
        raise ValueError(f"extension 0 to 9 and a company prefix of 4 to 12 digits, not {extension} {company_prefix}")
    digits = 16 - len(company_prefix)
    if not 0 <= serial_reference < 10**digits:
        raise ValueError(
            f"a serial reference of at most {digits} digits behind {company_prefix}, not {serial_reference}"
        )
    body = f"{extension}{company_prefix}{serial_reference:0{digits}}"
    return f"{body}{gs1_standard_check_digit(body)}"
