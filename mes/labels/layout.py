"""A label as it is laid out, in mm: texts and codes. Printers and previews draw the same layout."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import zxingcpp
from numpy.typing import NDArray

MARGIN_MM = 3.0
MODULE_MM = 0.5  # of both codes: 4 dots at 8 dots/mm, and what GS1 asks of a logistic label (0.495 to 0.94 mm)
BARS_MM = 32.0  # GS1 General Specifications: at least 31.75 mm high on a logistic label
WIDTH_OF_HEIGHT = 0.62  # a wide letter of the printer's scalable font, of its height


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; x and y of its upper left corner."""

    x_mm: float
    y_mm: float
    height_mm: float
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """A code: rows x columns of modules, true where dark, and how large each is."""

    x_mm: float
    y_mm: float
    module_width_mm: float
    module_height_mm: float
    modules: NDArray[np.bool_]

    @property
    def width_mm(self) -> float:
        """How wide it is."""
        return float(self.modules.shape[1] * self.module_width_mm)


@dataclass(frozen=True, slots=True)
class Layout:
    """A label."""

    width_mm: float
    height_mm: float
    texts: Sequence[Text]
    symbols: Sequence[Symbol]


def data_matrix(payload: bytes) -> NDArray[np.bool_]:
    """Data Matrix ECC 200 of any bytes, the smallest square that holds them [ISO/IEC 16022]: scanners read no other
    form as surely."""
    code = zxingcpp.create_barcode(payload, zxingcpp.BarcodeFormat.DataMatrix, forceSquare=True)
    return _modules(code)


def gs1_128(element_string: str) -> NDArray[np.bool_]:
    """GS1-128 of an element string with its identifiers in brackets, as one row of modules [GS1 General
    Specifications]."""
    code = zxingcpp.create_barcode(element_string, zxingcpp.BarcodeFormat.Code128, gs1=True)
    return _modules(code)[:1]


def _modules(code: zxingcpp.Barcode) -> NDArray[np.bool_]:
    dark: NDArray[np.bool_] = np.asarray(code.to_image(add_quiet_zones=False)) == 0
    return dark


def nameplate(part: str, name: str, serial: str, payload: bytes) -> Layout:
    """A unit's nameplate, 100 x 40 mm: Data Matrix on the left, product and serial beside it."""
    code = Symbol(MARGIN_MM, MARGIN_MM, MODULE_MM, MODULE_MM, data_matrix(payload))
    left = 2 * MARGIN_MM + code.width_mm
    width = 100 - MARGIN_MM - left
    lines = [_fitted(left, 4, 6, width, part), _fitted(left, 14, 4, width, name)]
    return Layout(100, 40, [*lines, _fitted(left, 28, 6, width, serial)], [code])


def crate_label(sscc: str, contents: Sequence[str]) -> Layout:
    """A crate's label, 100 x 150 mm: what is in it, one line each, and its SSCC as GS1-128 and in digits."""
    bars = Symbol(11, 100, MODULE_MM, BARS_MM, gs1_128(f"(00){sscc}"))
    lines = [_fitted(MARGIN_MM, 5 + 8 * n, 5, 94, line) for n, line in enumerate(contents[:10])]
    digits = _fitted(bars.x_mm, 135, 5, bars.width_mm, f"(00) {sscc}")
    return Layout(100, 150, [*lines, _fitted(MARGIN_MM, 92, 4, 94, "SSCC"), digits], [bars])


def _fitted(x_mm: float, y_mm: float, height_mm: float, width_mm: float, text: str) -> Text:
    """As high as asked for, or as high as lets it fit the width."""
    return Text(x_mm, y_mm, min(height_mm, width_mm / (WIDTH_OF_HEIGHT * max(len(text), 1))), text)
