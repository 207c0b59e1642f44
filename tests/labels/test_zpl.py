"""What is sent to a printer holds, dot for dot, what was asked for: read back as a scanner does."""

import io
import random
import string
from datetime import date, timedelta

import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from mes.codes import gbt34014, iso15434
from mes.labels.layout import Layout, Text, crate_label, data_matrix, nameplate
from mes.labels.preview import draw
from mes.labels.zpl import to_zpl
from tests.labels.reading import dots, scan, texts

SSCC = "340123450000000018"
CHARACTERS = string.ascii_letters + string.digits + "-./:+#~_ "
SYMBOLS = [one for one in string.digits + string.ascii_uppercase if one not in "IO"]


def payloads(count: int, seed: int) -> list[bytes]:
    """Random payloads of both forms, and any bytes, by turns."""
    chance = random.Random(seed)
    makers = (_envelope, _battery_code, lambda chance: chance.randbytes(chance.randint(1, 80)))
    return [makers[n % 3](chance) for n in range(count)]


def _envelope(chance: random.Random) -> bytes:
    elements = chance.sample(["1P", "P", "S", "1T", "V"], chance.randint(1, 5))
    return iso15434.encode([(one, "".join(chance.choices(CHARACTERS, k=chance.randint(1, 30)))) for one in elements])


def _battery_code(chance: random.Random) -> bytes:
    maker, spec, traceability, serial = ("".join(chance.choices(SYMBOLS, k=length)) for length in (3, 2, 7, 7))
    made_on = date(2026, 1, 1) + timedelta(days=chance.randint(0, 5_000))
    fields = {"maker": maker, "spec": spec, "traceability": traceability, "serial": serial}
    return gbt34014.encode(kind="P", chemistry="B", made_on=made_on, **fields).encode()


@pytest.mark.parametrize("dots_per_mm", [8, 12])
def test_a_thousand_payloads_are_read_back_byte_for_byte(dots_per_mm: int) -> None:
    for payload in payloads(1_000, seed=dots_per_mm):
        code = scan(dots(to_zpl(nameplate("P", "Pack", "S1", payload), dots_per_mm)))
        assert (code.format, code.bytes) == (zxingcpp.BarcodeFormat.DataMatrix, payload)


def test_a_data_matrix_is_square() -> None:
    assert all(len({*data_matrix(bytes(range(length))).shape}) == 1 for length in range(1, 200))


@pytest.mark.parametrize("dots_per_mm", [8, 12])
def test_a_crate_s_bars_are_gs1_128_of_its_sscc(dots_per_mm: int) -> None:
    zpl = to_zpl(crate_label(SSCC, ["12 x GC48-105", "1 x GC48-150"]), dots_per_mm)
    code = scan(dots(zpl))
    assert (code.bytes, code.symbology_identifier) == (f"00{SSCC}".encode(), "]C1")
    assert texts(zpl) == ["12 x GC48-105", "1 x GC48-150", "SSCC", f"(00) {SSCC}"]
    high, wide = (size - 80 for size in dots(zpl).shape)
    assert (high, wide) == (32 * dots_per_mm, 156 * dots_per_mm // 2)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
def test_no_text_is_taken_for_a_command(text: str) -> None:
    zpl = to_zpl(Layout(50, 20, [Text(1, 1, 3, text)], []), 8)
    assert texts(zpl) == [text]
    assert zpl.isascii()
    assert zpl.count("^") == len(["^XA", "^CI", "^PW", "^LL", "^FO", "^A0", "^FH", "^FD", "^FS", "^PQ", "^XZ"])
    assert "~" not in zpl


def test_a_label_is_laid_out_in_dots() -> None:
    zpl = to_zpl(Layout(50, 20, [Text(1, 2.5, 3, "A_B")], []), 12)
    assert zpl == "^XA\n^CI28\n^PW600^LL240\n^FO12,30^A0N,36^FH^FDA_5FB^FS\n^PQ1\n^XZ\n"


@pytest.mark.parametrize("length", [1, 12, 80])
def test_a_long_serial_is_made_to_fit(length: int) -> None:
    layout = nameplate("P", "N" * 100, "S" * length, b"S" * 150)
    code = layout.symbols[0]
    assert code.y_mm + code.width_mm < layout.height_mm
    for text in layout.texts:
        assert text.x_mm > code.x_mm + code.width_mm
        assert text.x_mm + 0.62 * text.height_mm * len(text.text) <= layout.width_mm


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (nameplate("GC48-105", "A $pack$", "S-1", b"\x1dS-1"), b"\x1dS-1"),
        (crate_label(SSCC, []), b"00" + SSCC.encode()),
    ],
)
def test_the_preview_shows_the_same_code(layout: Layout, expected: bytes) -> None:
    picture = imread(io.BytesIO(draw(layout, "png")), format="png")
    assert picture.shape[:2] == (layout.height_mm * 16, layout.width_mm * 16)
    # without the frame that marks the label's edge
    inside = np.ascontiguousarray((picture[8:-8, 8:-8, 0] * 255).astype(np.uint8))
    assert scan(inside).bytes == expected
    assert draw(layout, "svg").startswith(b"<?xml")
