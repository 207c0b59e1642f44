"""What a scanner delivers: labels as they are printed, torn, substituted, cut short."""

import contextlib
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mes.codes import gbt34014, gs1, iso15434
from mes.codes.scan import Scan, identify, read
from mes.codes.unreadable import Unreadable
from mes.execution.messages import PermitRequest
from mes.materials.messages import CartonArrival, LotOpening
from mes.shipping.messages import CrateNumber

RS, GS, EOT = "\x1e", "\x1d", "\x04"
CARTON = f"[)>{RS}06{GS}1PCB-33140{GS}1TLOT-77{GS}Q160{GS}VACME{GS}16D20261001{GS}SB0001{RS}{EOT}"
BATTERY = "08WCB12AB12345GBX0000042"  # 2026-11-29


def said(scan: Scan) -> dict[str, Any]:
    """What a scan says, beside its text and elements."""
    names = set(Scan.__dataclass_fields__) - {"text", "elements"}
    return {name: value for name in names if (value := getattr(scan, name)) is not None}


READ = [
    (
        CARTON,
        {
            "kind": "iso15434",
            "supplier_part": "CB-33140",
            "lot": "LOT-77",
            "quantity": "160",
            "supplier": "ACME",
            "made_on": date(2026, 10, 1),
            "serial": "B0001",
        },
    ),
    (f"]d1{CARTON}", {"kind": "iso15434", "serial": "B0001"}),
    (CARTON.replace(GS, "^]").replace(RS, "^^").replace(EOT, "^D"), {"kind": "iso15434", "lot": "LOT-77"}),
    (CARTON.replace(GS, "<GS>").replace(RS, "<RS>").replace(EOT, "<EOT>"), {"kind": "iso15434", "lot": "LOT-77"}),
    (
        f"]d2010361111111111921ABC{GS}10L7{GS}17270131",
        {"kind": "gs1", "serial": "ABC", "lot": "L7", "expires_on": date(2027, 1, 31)},
    ),
    ("(01)03611111111119(21)ABC(10)L7", {"kind": "gs1", "serial": "ABC", "lot": "L7"}),
    ("]C100106141412345678908", {"kind": "gs1", "sscc": "106141412345678908"}),
    ("106141412345678908", {"kind": "sscc", "sscc": "106141412345678908"}),
    ("106141412345678909", {"kind": "plain", "serial": "106141412345678909"}),
    ("00106141412345678908", {"kind": "sscc", "serial": "00106141412345678908", "sscc": "106141412345678908"}),
    ("00106141412345678909", {"kind": "plain", "serial": "00106141412345678909"}),
    ("01106141412345678908", {"kind": "plain", "serial": "01106141412345678908"}),
    (
        "https://id.gs1.org/01/03611111111119/10/L7/21/ABC",
        {"kind": "digital_link", "serial": "ABC", "lot": "L7"},
    ),
    (BATTERY, {"kind": "gbt34014", "serial": BATTERY, "made_on": date(2026, 11, 29), "supplier": "08W"}),
    (f"{BATTERY[:7]}{BATTERY[14:]}", {"kind": "gbt34014", "made_on": date(2026, 11, 29)}),
    ("M7-2648-000001\r\n", {"kind": "plain", "serial": "M7-2648-000001", "lot": "M7-2648-000001"}),
]


@pytest.mark.parametrize(("text", "wanted"), READ)
def test_a_label_is_read(text: str, wanted: dict[str, Any]) -> None:
    found = said(read(text))
    assert {name: found.get(name) for name in wanted} == wanted


TORN = [
    (CARTON[:-1], "RS and EOT at its end: the code is torn"),
    (CARTON[:30], "RS and EOT at its end: the code is torn"),
    (CARTON.replace(f"{RS}06", "06"), "an ISO/IEC 15434 code, that opens with [)> and RS"),
    (CARTON.replace("06", "07", 1), "format 06 (data identifiers) behind the envelope's head"),
    (CARTON.replace("SB0001", ""), "a data identifier and a value between two GS, not ''"),
    (CARTON.replace("SB0001", "12345"), "a data identifier and a value between two GS, not '12345'"),
    (CARTON.replace("20261001", "20261301"), "a date as 20261123 behind 16D, not 20261301"),
    ("]d2019999", "a GS1 element string"),
    ("https://example.com/hello", "a GS1 Digital Link"),
    ("", "a serial or lot number: letters, digits and . _ : / + # -, or a code that carries one"),
    ("a b", "a serial or lot number"),
    ("x" * 4001, "at most 4000 characters"),
]


@pytest.mark.parametrize(("text", "expected"), TORN)
def test_a_torn_one_says_what_was_read_and_expected(text: str, expected: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(text)
    sentence = str(caught.value)
    code = text.removeprefix("]d2")
    shown = code if len(code) <= 60 else f"{code[:57]}..."
    assert sentence.startswith(f"read {shown!r}, expected {expected}")
    assert sentence.endswith("Scan it again; if it stays so, print a new label.")


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_nothing_crashes_the_parser(text: str) -> None:
    for one in (text, f"[)>{RS}06{GS}{text}{RS}{EOT}", f"]d2{text}", f"https://x/{text}", f"({text}"):
        with contextlib.suppress(Unreadable):
            assert isinstance(read(one), Scan)


VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40)
IDENTIFIERS = st.from_regex(r"\A[0-9]{0,3}[A-Z]\Z").filter(lambda one: one not in iso15434.DATES)


@given(st.lists(st.tuples(IDENTIFIERS, VALUES), min_size=1, max_size=12), st.sampled_from(["", "]d1"]))
def test_what_is_written_is_read_back(elements: list[tuple[str, str]], prefix: str) -> None:
    text = prefix + iso15434.encode(elements).decode("ascii")
    body = text.removeprefix(prefix)
    assert iso15434.decode(body) == elements
    for way in range(4):
        typed = body  # by a keyboard wedge, that has no control characters
        for control, ways in iso15434._SUBSTITUTES.items():
            typed = typed.replace(control, ways[way])
        if not any(one in body for one in "^<{"):
            assert iso15434.decode(typed) == elements
    for cut in range(len(text)):
        try:
            found = read(text[:cut])
        except Unreadable:
            continue
        assert found.kind == "plain", "a torn envelope is never read as a whole one"


@given(
    st.from_regex(r"\A[0-9A-HJ-NP-Z]{3}\Z"),
    st.sampled_from("PMC"),
    st.dates(date(2011, 1, 1), date(2040, 12, 31)),
    st.integers(0, 9_999_999),
    st.none() | st.from_regex(r"\A[0-9A-HJ-NP-Z]{7}\Z"),
)
def test_battery_codes_are_read_back(maker: str, kind: str, made: date, number: int, trace: str | None) -> None:
    parts = {"maker": maker, "kind": kind, "chemistry": "B", "spec": "12", "traceability": trace}
    code = gbt34014.encode(**parts, made_on=made, serial=f"{number:07}")
    assert len(code) == (17 if trace is None else 24)
    assert gbt34014.decode(code) == gbt34014.BatteryCode(**parts, made_on=made, serial=f"{number:07}")
    assert read(code).serial == code


@given(st.lists(st.integers(0, 34**7 - 1), unique=True, max_size=20))
def test_other_numbers_are_other_serials(numbers: list[int]) -> None:
    made = [gbt34014.serial(number) for number in numbers]
    assert len(set(made)) == len(numbers)
    assert all(gbt34014.looks_like(f"08WPB12GBX{serial}") for serial in made)
    with pytest.raises(ValueError, match="holds 0 to 52523350143"):
        gbt34014.serial(34**7)


@given(st.integers(0, 9), st.from_regex(r"\A[0-9]{7,10}\Z"), st.integers(0, 999_999))
def test_an_sscc_has_its_check_digit(extension: int, prefix: str, number: int) -> None:
    made = gs1.sscc(extension, prefix, number)
    assert gs1.find_sscc(made) == gs1.find_sscc(f"00{made}") == made
    wrong = f"{made[:-1]}{(int(made[-1]) + 1) % 10}"
    assert gs1.find_sscc(wrong) is gs1.find_sscc(f"00{wrong}") is None


def test_what_cant_be_written_is_refused() -> None:
    for elements in ([], [("SS", "1")], [("S", "")], [("S", "é")], [("16D", "20261301")]):
        with pytest.raises(ValueError):
            iso15434.encode(elements)
    with pytest.raises(ValueError, match="at most 6 digits"):
        gs1.sscc(0, "0123456789", 1_000_000)
    with pytest.raises(ValueError, match="extension 0 to 9"):
        gs1.sscc(10, "0123456789", 1)
    with pytest.raises(ValueError, match="years are 2011 to 2040"):
        gbt34014.encode(
            maker="08W",
            kind="C",
            chemistry="B",
            spec="12",
            traceability=None,
            made_on=date(2041, 1, 1),
            serial="0000001",
        )
    with pytest.raises(Unreadable, match=r"a date \(year, month, day\) in place of GD1"):
        gbt34014.decode("08WCB12AB12345GD10000042")


def test_every_message_takes_a_scan() -> None:
    asked = PermitRequest(station="ST-1", cycle="1", asker="plc", serial=CARTON, lots=[CARTON])
    assert (asked.serial, asked.lots) == ("B0001", ["LOT-77"])
    assert LotOpening(lot=f"[)>{RS}06{GS}1TL9{RS}{EOT}").lot == "L9"
    assert CartonArrival(code="]C100106141412345678908").code == "106141412345678908"
    assert CartonArrival(code="00106141412345678908").code == "106141412345678908"
    assert CartonArrival(code=f"[)>{RS}06{GS}1JUN0001{RS}{EOT}").code == "UN0001"
    with pytest.raises(ValidationError, match=r"expected a code with a serial or sscc or lot\. Scan the label"):
        PermitRequest(station="ST-1", cycle="1", asker="plc", serial=f"[)>{RS}06{GS}Q5{RS}{EOT}")
    with pytest.raises(ValidationError, match="the code is torn"):
        LotOpening(lot=CARTON[:-2])


def test_a_serial_is_known_by_the_plants_patterns() -> None:
    patterns = {"M16S7P": "M7-{year}{week}-{number:06}", "GC48-105": "GC48105-{year}{week}-{number:06}"}
    assert identify("M7-2648-000001", patterns) == "M16S7P"
    assert identify("GC48105-2648-1000001", patterns) == "GC48-105"
    for wrong in ("M7-2648-00001", "M7-26-000001", "m7-2648-000001", "M7-2648-000001x"):
        assert identify(wrong, patterns) is None


def test_a_date_with_its_qualifier_is_read_and_a_broken_link_is_said() -> None:
    assert iso15434.decode("[)>\x1e06\x1d6D20261123094\x1e\x04") == [("6D", "20261123094")]
    with pytest.raises(Unreadable):
        gs1.decode_link("https://[::1")


@pytest.mark.parametrize(
    "scanned", ["]C100040123450000000016", "(00)040123450000000016", "00040123450000000016", "040123450000000016"]
)
def test_a_crate_is_named_by_its_label(scanned: str) -> None:
    assert CrateNumber(crate=scanned).crate == "040123450000000016"
