"""The curves of a unit (torque over angle, pressure over time), and one with its windows and the last good ones."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import BigInteger, DateTime, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession
from mes.errors import NotFound
from mes.measurements.service import unpack
from mes.records.messages import CurveDrawn, CurvePage, CurveRecord, CurveWindow
from mes.statement import Prepared
from mes.units.queries import get_unit

MOST = 1000  # curves in one answer
GOOD = 50
LOOKED_AT = 2000  # cycles of the step, the newest, among which good ones are looked for
_ANGLE, _TIME = ("angle",), ("time", "duration")
_X_UNITS = dict.fromkeys(_ANGLE, ("deg", "rad")) | dict.fromkeys(_TIME, ("s", "ms"))

_FIELDS = """
    y.id AS cycle_id, y.cycle, p.operation, p.name AS step, h.name AS characteristic, h.unit, v.ordinal, y.attempt,
    t.code AS tool, y.program_revision, s.code AS station, y.started_at, y.ended_at, y.reported_at, y.verdict, v.points,
    octet_length(v.content) AS bytes
    """
# an attempt: each cycle of the unit at this step, counted from 1
_FROM = """
    FROM (SELECT *, row_number() OVER (PARTITION BY step_id ORDER BY id) AS attempt FROM cycle
          WHERE unit_id = :unit_id) y
    JOIN curve v ON v.cycle_id = y.id JOIN characteristic h ON h.id = v.characteristic_id
    JOIN step p ON p.id = y.step_id JOIN station s ON s.id = y.station_id LEFT JOIN tool t ON t.id = y.tool_id
    """
_LIST = Prepared(
    text(
        f"""
        SELECT {_FIELDS}, count(*) OVER () AS total {_FROM}
        WHERE (:until IS NULL OR y.reported_at <= :until) AND (:operation IS NULL OR p.operation = :operation)
          AND (:characteristic IS NULL OR h.name = :characteristic) AND (:ordinal IS NULL OR v.ordinal = :ordinal)
        ORDER BY y.id DESC, h.ordinal, v.ordinal LIMIT :count
        """
    ).bindparams(
        bindparam("unit_id", type_=BigInteger),
        bindparam("until", type_=DateTime(timezone=True)),
        bindparam("operation", type_=Text),
        bindparam("characteristic", type_=Text),
        bindparam("ordinal", type_=BigInteger),
        bindparam("count", type_=BigInteger),
    )
)
_ONE = Prepared(
    text(
        f"""
        SELECT {_FIELDS}, y.step_id, v.characteristic_id, h.count, v.content, m.numbers {_FROM}
        LEFT JOIN measurement m ON m.cycle_id = y.id AND m.at = y.reported_at
        WHERE y.id = :cycle_id AND h.name = :characteristic AND v.ordinal = :ordinal
        """
    ).bindparams(
        bindparam("unit_id", type_=BigInteger),
        bindparam("cycle_id", type_=BigInteger),
        bindparam("characteristic", type_=Text),
        bindparam("ordinal", type_=BigInteger),
    )
)
_LIMITS = Prepared(
    text(
        """
        SELECT name, unit, kind, count, "offset", lower, upper FROM characteristic
        WHERE step_id = :step_id AND kind IN ('number', 'curve') ORDER BY ordinal
        """
    ).bindparams(bindparam("step_id", type_=BigInteger))
)
_GOOD = Prepared(
    text(
        """
        SELECT v.content
        FROM (SELECT cycle_id, at FROM measurement WHERE step_id = :step_id ORDER BY at DESC LIMIT :looked_at) m
        JOIN cycle y ON y.id = m.cycle_id JOIN curve v ON v.cycle_id = y.id
        WHERE v.characteristic_id = :characteristic_id AND v.ordinal = :ordinal
          AND y.verdict = 'passed' AND y.unit_id <> :unit_id
        ORDER BY m.at DESC, y.id DESC LIMIT :good
        """
    ).bindparams(
        bindparam("step_id", type_=BigInteger),
        bindparam("looked_at", type_=BigInteger),
        bindparam("characteristic_id", type_=BigInteger),
        bindparam("ordinal", type_=BigInteger),
        bindparam("unit_id", type_=BigInteger),
        bindparam("good", type_=BigInteger),
    )
)


# The same of cycles of several units; an attempt is counted in its own unit.
_MANY = Prepared(
    text(
        f"""
        SELECT {_FIELDS}, y.step_id, h.count, v.content, m.numbers, u.serial
        FROM (SELECT *, row_number() OVER (PARTITION BY unit_id, step_id ORDER BY id) AS attempt FROM cycle
              WHERE unit_id IN (SELECT unit_id FROM cycle WHERE id = ANY(:cycles))) y
        JOIN unit u ON u.id = y.unit_id
        JOIN curve v ON v.cycle_id = y.id JOIN characteristic h ON h.id = v.characteristic_id
        JOIN step p ON p.id = y.step_id JOIN station s ON s.id = y.station_id LEFT JOIN tool t ON t.id = y.tool_id
        LEFT JOIN measurement m ON m.cycle_id = y.id AND m.at = y.reported_at
        WHERE y.id = ANY(:cycles) ORDER BY y.id, h.ordinal, v.ordinal LIMIT :count
        """  # noqa: S608 - of the constant above
    ).bindparams(bindparam("cycles", type_=ARRAY(BigInteger)), bindparam("count", type_=BigInteger))
)
_LIMITS_OF = Prepared(
    text(
        """
        SELECT step_id, name, unit, kind, count, "offset", lower, upper FROM characteristic
        WHERE step_id = ANY(:steps) AND kind IN ('number', 'curve') ORDER BY step_id, ordinal
        """
    ).bindparams(bindparam("steps", type_=ARRAY(BigInteger)))
)


@dataclass(frozen=True, slots=True)
class CurveSeen:
    """A curve, its windows, and the last good ones of other units, all still compressed."""

    serial: str
    record: CurveRecord
    windows: list[CurveWindow]
    x_label: str
    content: bytes
    good: list[bytes]


async def curves_of(
    session: ReadSession,
    serial: str,
    *,
    until: datetime | None = None,
    operation: str | None = None,
    characteristic: str | None = None,
    ordinal: int | None = None,
    count: int = MOST,
) -> CurvePage:
    """The curves of a unit, the newest cycle first, or NotFound; how many there are in all."""
    unit = await get_unit(session, serial)
    asked = {"until": until, "operation": operation, "characteristic": characteristic, "ordinal": ordinal}
    rows = await session.run(_LIST, unit_id=unit.id, count=min(count, MOST), **asked)
    return CurvePage(total=rows[0]["total"] if rows else 0, curves=[_record(serial, row) for row in rows])


async def see_curve(
    session: ReadSession, serial: str, cycle_id: int, characteristic: str, ordinal: int, *, good: int = GOOD
) -> CurveSeen:
    """One curve of a unit with its windows and the last good ones of the same step and joint, or NotFound."""
    unit = await get_unit(session, serial)
    rows = await session.run(_ONE, unit_id=unit.id, cycle_id=cycle_id, characteristic=characteristic, ordinal=ordinal)
    if not rows:
        raise NotFound(kind=f"curve {characteristic} {ordinal} of {serial} in cycle", name=cycle_id)
    row = rows[0]
    limits = await session.run(_LIMITS, step_id=row["step_id"])
    others = await session.run(
        _GOOD,
        step_id=row["step_id"],
        characteristic_id=row["characteristic_id"],
        ordinal=ordinal,
        unit_id=unit.id,
        looked_at=LOOKED_AT,
        good=good,
    )
    windows = windows_of(row, limits)
    return CurveSeen(
        serial=serial,
        record=_record(serial, row),
        windows=windows,
        x_label=_x_label(characteristic, windows),
        content=row["content"],
        good=[other["content"] for other in others],
    )


async def see_curves(session: ReadSession, cycles: Sequence[int], count: int) -> list[CurveSeen]:
    """The first so many curves of cycles with their windows, and without good ones behind them."""
    rows = await session.run(_MANY, cycles=list(cycles), count=count)
    limits = defaultdict(list)
    for one in await session.run(_LIMITS_OF, steps=sorted({row["step_id"] for row in rows})):
        limits[one["step_id"]].append(one)
    windows = [windows_of(row, limits[row["step_id"]]) for row in rows]
    return [
        CurveSeen(
            serial=row["serial"],
            record=_record(row["serial"], row),
            windows=its,
            x_label=_x_label(row["characteristic"], its),
            content=row["content"],
            good=[],
        )
        for row, its in zip(rows, windows, strict=True)
    ]


async def newest_curve(
    session: ReadSession, serial: str, operation: str, characteristic: str | None, ordinal: int | None
) -> CurveSeen:
    """The newest curve of a unit at an operation, of the first characteristic and joint if none is named."""
    asked: dict[str, Any] = {"operation": operation, "characteristic": characteristic, "ordinal": ordinal}
    found = await curves_of(session, serial, **asked, count=1)
    if not found.curves:
        raise NotFound(kind=f"curve of {serial} at operation", name=operation)
    one = found.curves[0]
    return await see_curve(session, serial, one.cycle_id, one.characteristic, one.ordinal)


def as_points(seen: CurveSeen) -> CurveDrawn:
    """Give a curve as numbers."""
    x, y = unpack(seen.content)
    return CurveDrawn(curve=seen.record, windows=seen.windows, x_label=seen.x_label, x=x, y=y, good=len(seen.good))


def windows_of(curve: Any, limits: list[Any]) -> list[CurveWindow]:
    """Find the limits that belong to a curve: its own, and those of numbers of its step that are taken as often.

    A number belongs to y if it has the curve's unit and the words of its name (`m8_torque_curve`: `m8_torque_nm`;
    `pressure_curve`: `end_pressure_mbar`), to x if it is an angle or a time of the same thing (`m8_angle_deg`).
    """
    words = curve["characteristic"].removesuffix("_curve").split("_")
    found = []
    for one in limits:
        axis: Literal["x", "y"] | None = None
        if one["name"] == curve["characteristic"]:
            axis = "y"
        elif one["kind"] == "number" and one["count"] == curve["count"]:
            axis = _axis(words, curve["unit"], one["name"].split("_"), one["unit"])
        if axis is None or (one["lower"] is None and one["upper"] is None):
            continue
        value = _value(curve, one) if one["kind"] == "number" else None
        found.append(
            CurveWindow(
                characteristic=one["name"],
                axis=axis,
                unit=one["unit"],
                lower=one["lower"],
                upper=one["upper"],
                value=value,
            )
        )
    return found


def _axis(words: list[str], unit: str, name: list[str], its_unit: str) -> Literal["x", "y"] | None:
    spans = (name[start : start + len(words)] for start in range(len(name)))
    if its_unit == unit and words in spans:
        return "y"
    *about, _quantity = words
    rest = name[len(about) :]
    if name[: len(about)] == about and rest and its_unit in _X_UNITS.get(rest[0], ()):
        return "x"
    return None


def _value(curve: Any, one: Any) -> float | None:
    place = one["offset"] + curve["ordinal"] - 1
    numbers = curve["numbers"] or []
    return numbers[place] if place < len(numbers) else None


def _x_label(name: str, windows: list[CurveWindow]) -> str:
    """Name x. A curve keeps the unit of y alone: x is what the plan's window says, else an angle for a torque."""
    for window in windows:
        if window.axis == "x":
            is_angle = any(word in window.characteristic for word in _ANGLE)
            return f"{'angle' if is_angle else 'time'} ({window.unit})"
    return "angle (deg)" if "torque" in name else "time (s)"


def _record(serial: str, row: Any) -> CurveRecord:
    fields = {name: row[name] for name in CurveRecord.model_fields if name != "picture"}
    where = f"{row['cycle_id']}/{quote(row['characteristic'], safe='')}/{row['ordinal']}.png"
    return CurveRecord(**fields, picture=f"/api/units/{quote(serial, safe='')}/curves/{where}")
