"""Records values and curves; called by the acts above."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Double, LargeBinary, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import Prepared, Session
from mes.measurements.rules import Judged


@dataclass(frozen=True, slots=True)
class CurveToRecord:
    """A curve and the characteristic it belongs to."""

    characteristic_id: int
    ordinal: int
    x: Sequence[float]
    y: Sequence[float]


_RECORD = Prepared(
    text(
        """
        WITH curves AS (
            INSERT INTO curve (cycle_id, characteristic_id, ordinal, points, content)
            SELECT :cycle_id, c.characteristic_id, c.ordinal, c.points, c.content
            FROM unnest(:characteristic_ids, :ordinals, :points, :contents)
                 AS c (characteristic_id, ordinal, points, content)
        )
        INSERT INTO measurement (cycle_id, at, step_id, numbers, texts, failed)
        VALUES (:cycle_id, :at, :step_id, :numbers, :texts, :failed)
        """
    ).bindparams(
        bindparam("cycle_id", type_=BigInteger),
        bindparam("step_id", type_=BigInteger),
        bindparam("numbers", type_=ARRAY(Double)),
        bindparam("texts", type_=ARRAY(Text)),
        bindparam("failed", type_=ARRAY(BigInteger)),
        bindparam("characteristic_ids", type_=ARRAY(BigInteger)),
        bindparam("ordinals", type_=ARRAY(BigInteger)),
        bindparam("points", type_=ARRAY(BigInteger)),
        bindparam("contents", type_=ARRAY(LargeBinary)),
    )
)


async def record(
    session: Session, cycle_id: int, step_id: int, judged: Judged, curves: Sequence[CurveToRecord]
) -> None:
    """Store a cycle's values as one array row, and its curves, in one statement."""
    await session.run(
        _RECORD,
        cycle_id=cycle_id,
        at=session.at,
        step_id=step_id,
        numbers=judged.numbers,
        texts=judged.texts,
        failed=judged.failed,
        characteristic_ids=[curve.characteristic_id for curve in curves],
        ordinals=[curve.ordinal for curve in curves],
        points=[len(curve.x) for curve in curves],
        contents=[pack(curve.x, curve.y) for curve in curves],
    )


def pack(x: Sequence[float], y: Sequence[float]) -> bytes:
    """Compress a curve: x then y, little-endian float64."""
    return zlib.compress(struct.pack(f"<{len(x) + len(y)}d", *x, *y))


def unpack(content: bytes) -> tuple[list[float], list[float]]:
    """Read a curve back, bit for bit."""
    raw = zlib.decompress(content)
    numbers = struct.unpack(f"<{len(raw) // 8}d", raw)
    half = len(numbers) // 2
    return list(numbers[:half]), list(numbers[half:])
