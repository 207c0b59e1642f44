"""A layout as ZPL II: texts in the printer's own font, codes as graphics.

The printer draws no code itself: what it is sent are the very dots that were read back in tests, byte for byte.
"""

import numpy as np

from mes.labels.layout import Layout, Symbol, Text

_SPECIAL = frozenset(b"^~_")


def to_zpl(layout: Layout, dots_per_mm: int) -> str:
    """One label, printed once; ASCII, with UTF-8 escaped (^CI28)."""
    lines = ["^XA", "^CI28", f"^PW{round(layout.width_mm * dots_per_mm)}^LL{round(layout.height_mm * dots_per_mm)}"]
    lines += [_text(text, dots_per_mm) for text in layout.texts]
    lines += [_graphic(symbol, dots_per_mm) for symbol in layout.symbols]
    return "\n".join([*lines, "^PQ1", "^XZ", ""])


def _text(text: Text, dots_per_mm: int) -> str:
    height = max(round(text.height_mm * dots_per_mm), 1)
    return f"{_origin(text.x_mm, text.y_mm, dots_per_mm)}^A0N,{height}^FH^FD{_escaped(text.text)}^FS"


def _origin(x_mm: float, y_mm: float, dots_per_mm: int) -> str:
    return f"^FO{round(x_mm * dots_per_mm)},{round(y_mm * dots_per_mm)}"


def _escaped(text: str) -> str:
    """Field data under ^FH: what begins a command, and all but printable ASCII, as `_` and two hexadecimal digits."""
    plain = (chr(byte) if 0x20 <= byte < 0x7F and byte not in _SPECIAL else f"_{byte:02X}" for byte in text.encode())
    return "".join(plain)


def _graphic(symbol: Symbol, dots_per_mm: int) -> str:
    """^GF with hexadecimal rows; a colon repeats the row above."""
    across, down = (round(mm * dots_per_mm) for mm in (symbol.module_width_mm, symbol.module_height_mm))
    rows = np.packbits(np.repeat(symbol.modules, across, axis=1), axis=1)
    size = rows.shape[1]
    data = "".join(row.tobytes().hex().upper() + ":" * (down - 1) for row in rows)
    total = size * down * len(rows)
    return f"{_origin(symbol.x_mm, symbol.y_mm, dots_per_mm)}^GFA,{total},{total},{size},{data}^FS"
