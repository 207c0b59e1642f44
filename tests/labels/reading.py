"""Reads labels as a printer and a scanner would: the dots that ZPL asks for, and the bytes in them."""

import re

import numpy as np
import zxingcpp
from numpy.typing import NDArray

_GRAPHIC = re.compile(r"\^GFA,(\d+),\1,(\d+),([0-9A-F:]+)\^FS")
_FIELD = re.compile(r"\^FH\^FD([^^~]*)\^FS")
QUIET_DOTS = 40


def dots(zpl: str) -> NDArray[np.uint8]:
    """The label's only graphic as a grey picture with a quiet zone around it."""
    ((total, size, data),) = _GRAPHIC.findall(zpl)
    rows: list[bytes] = []
    for row in re.findall(rf"[0-9A-F]{{{2 * int(size)}}}|:", data):
        rows.append(rows[-1] if row == ":" else bytes.fromhex(row))
    assert sum(map(len, rows)) == int(total)
    dark = np.unpackbits(np.array([list(row) for row in rows], np.uint8), axis=1)
    return np.pad(np.where(dark == 1, 0, 255).astype(np.uint8), QUIET_DOTS, constant_values=255)


def scan(picture: NDArray[np.uint8]) -> zxingcpp.Barcode:
    """The only code in a picture."""
    (found,) = zxingcpp.read_barcodes(picture)
    return found


def texts(zpl: str) -> list[str]:
    """What the label's text fields say, escapes undone."""
    escape = re.compile(rb"_([0-9A-F]{2})")
    return [escape.sub(lambda m: bytes.fromhex(m[1].decode()), f.encode()).decode() for f in _FIELD.findall(zpl)]
