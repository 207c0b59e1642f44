"""Records values and curves; called by the acts above."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Double, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.measurements.rules import Judged
from mes.statement import Clause


@dataclass(frozen=True, slots=True)
class CurveToRecord:
    """A curve and the characteristic it belongs to."""

    characteristic_id: int
    ordinal: int
    x: Sequence[float]
    y: Sequence[float]


# A clause of the statement that records a cycle; `recorded` gives its id.
RECORD = Clause(
    """
    measured AS (
        INSERT INTO measurement (cycle_id, at, step_id, numbers, texts, failed)
        SELECT id, :at, :step_id, :numbers, :texts, :failed FROM recorded),
    drawn AS (
        INSERT INTO curve (cycle_id, characteristic_id, ordinal, points, content)
        SELECT recorded.id, c.characteristic_id, c.ordinal, c.points, c.content
        FROM recorded, unnest(:curve_characteristics, :curve_ordinals, :curve_points, :curve_contents)
             AS c (characteristic_id, ordinal, points, content))
    """,
    {
        "step_id": BigInteger(),
        "numbers": ARRAY(Double),
        "texts": ARRAY(Text),
        "failed": ARRAY(BigInteger),
        "curve_characteristics": ARRAY(BigInteger),
        "curve_ordinals": ARRAY(BigInteger),
        "curve_points": ARRAY(BigInteger),
        "curve_contents": ARRAY(LargeBinary),
    },
)


def to_record(judged: Judged, curves: Sequence[CurveToRecord]) -> dict[str, Any]:
    """Give RECORD its parameters: a cycle's values as one array row, and its curves."""
    return {
        "numbers": judged.numbers,
        "texts": judged.texts,
        "failed": judged.failed,
        "curve_characteristics": [curve.characteristic_id for curve in curves],
        "curve_ordinals": [curve.ordinal for curve in curves],
        "curve_points": [len(curve.x) for curve in curves],
        "curve_contents": [pack(curve.x, curve.y) for curve in curves],
    }


def pack(x: Sequence[float], y: Sequence[float]) -> bytes:
    """Compress a curve: x then y, little-endian float64."""
    return zlib.compress(struct.pack(f"<{len(x) + len(y)}d", *x, *y))


def unpack(content: bytes) -> tuple[list[float], list[float]]:
    """Read a curve back, bit for bit."""
    raw = zlib.decompress(content)
    numbers = struct.unpack(f"<{len(raw) // 8}d", raw)
    half = len(numbers) // 2
    return list(numbers[:half]), list(numbers[half:])
