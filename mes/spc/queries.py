"""Reads of what is charted, of charts, their cycles and signals; and the locks on charts and signals."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, Text, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession, Session
from mes.errors import NotFound
from mes.products.chart_spec import ChartSpec
from mes.spc.charts import ATTRIBUTES, Baseline
from mes.spc.messages import ChartAnswer, SignalAnswer
from mes.spc.models import Chart, Signal
from mes.spc.subgroups import Charting, Measured
from mes.statement import Prepared

# What the newest revision of each part has charted, where it is measured.
_DECLARED = Prepared(
    text(
        """
        SELECT p.id AS part_id, p.number AS part, s.operation, c.name AS characteristic, c.kind, c.count,
               c.lower, c.upper, c.spc::text AS spc, w.id AS station_id, w.code AS station, t.id AS tool_id,
               t.code AS tool
        FROM (SELECT DISTINCT ON (part_id) id, part_id FROM product_revision ORDER BY part_id, revision DESC) r
        JOIN part p ON p.id = r.part_id JOIN step s ON s.revision_id = r.id
        JOIN characteristic c ON c.step_id = s.id AND c.spc IS NOT NULL
        JOIN station w ON s.operation = ANY(w.operations)
        LEFT JOIN tool t ON t.station_id = w.id AND c.spc ->> 'by' = 'tool'
        WHERE (t.id IS NOT NULL OR c.spc ->> 'by' IS DISTINCT FROM 'tool')
          AND (:station IS NULL OR w.code = :station) AND (:operation IS NULL OR s.operation = :operation)
          AND (:chart_id IS NULL OR EXISTS (
              SELECT FROM chart h WHERE h.id = :chart_id AND h.part_id = p.id AND h.operation = s.operation
                 AND h.characteristic = c.name AND h.station_id = w.id AND h.tool_id IS NOT DISTINCT FROM t.id))
        ORDER BY p.id, s.ordinal, c.ordinal, w.id, t.id
        """
    ).bindparams(
        bindparam("station", type_=Text), bindparam("operation", type_=Text), bindparam("chart_id", type_=BigInteger)
    )
)
# A station's cycles on a step of any revision of the part: the last ones up to a cycle, and the first ones after it.
# A cycle that misses a value is no subgroup's, but where failures are counted: a missing value is one.
_CYCLES = """
    SELECT y.id AS cycle_id, y.reported_at AS at, coalesce(u.serial, l.number) AS subject,
           m.numbers[p."offset" + 1 : p."offset" + p.count] AS numbers,
           array(SELECT f - p.shift FROM unnest(m.failed) AS f WHERE f BETWEEN p.shift AND p.shift + p.count - 1)
               AS failed
    FROM cycle y JOIN places p ON p.step_id = y.step_id JOIN measurement m ON m.cycle_id = y.id AND m.at = y.reported_at
    LEFT JOIN unit u ON u.id = y.unit_id LEFT JOIN lot l ON l.id = y.lot_id
    WHERE y.station_id = :station_id AND (:tool_id IS NULL OR y.tool_id = :tool_id) AND y.id > :since
      AND (:counts OR array_position(m.numbers[p."offset" + 1 : p."offset" + p.count], NULL) IS NULL)
    """
_VALUES = Prepared(
    text(
        f"""
        WITH places AS (
            SELECT s.id AS step_id, c."offset", c.count, c."offset" + CASE c.kind WHEN 'text' THEN (
                SELECT coalesce(sum(o.count), 0) FROM characteristic o
                WHERE o.step_id = s.id AND o.kind IN ('number', 'boolean')) ELSE 0 END AS shift
            FROM product_revision r JOIN step s ON s.revision_id = r.id AND s.operation = :operation
            JOIN characteristic c ON c.step_id = s.id AND c.name = :characteristic AND c.kind = :kind
                AND c.count = :count
            WHERE r.part_id = :part_id)
        (SELECT * FROM (
            {_CYCLES} AND y.id <= :anchor ORDER BY y.id DESC LIMIT :before) b ORDER BY cycle_id)
        UNION ALL
        ({_CYCLES} AND y.id > :anchor ORDER BY y.id LIMIT :after)
        """  # noqa: S608 - of the constant above
    ).bindparams(
        *(
            bindparam(name, type_=BigInteger)
            for name in ("part_id", "count", "station_id", "tool_id", "since", "anchor", "before", "after")
        ),
        *(bindparam(name, type_=Text) for name in ("operation", "characteristic", "kind")),
        bindparam("counts", type_=Boolean),
    )
)
# The last cycle at a station before the revision that has it charted was released: what came before isn't judged.
_BEGAN = Prepared(
    text(
        """
        SELECT coalesce(max(y.id), 0) AS since FROM cycle y
        WHERE y.station_id = :station_id AND y.reported_at <= (
            SELECT max(released_at) FROM product_revision WHERE part_id = :part_id)
        """
    ).bindparams(bindparam("station_id", type_=BigInteger), bindparam("part_id", type_=BigInteger))
)
_HELD = Prepared(
    text(
        """
        SELECT DISTINCT u.serial, CASE WHEN u.id IS NULL THEN l.number END AS lot
        FROM cycle y LEFT JOIN unit u ON u.id = y.unit_id LEFT JOIN lot l ON l.id = y.lot_id
        WHERE y.id = ANY(:cycles) AND y.id > (
            SELECT coalesce(max(cycle_id), 0) FROM signal WHERE chart_id = :chart_id AND position = :position)
        ORDER BY 1, 2
        """
    ).bindparams(
        bindparam("cycles", type_=ARRAY(BigInteger)),
        bindparam("chart_id", type_=BigInteger),
        bindparam("position", type_=BigInteger),
    )
)
_SIGNALS = Prepared(
    text(
        """
        SELECT g.id AS signal, g.chart_id AS chart, p.number AS part, h.operation, h.characteristic,
               s.code AS station, t.code AS tool, g.position, y.cycle, coalesce(u.serial, l.number) AS subject, g.rules,
               g.facts::text AS facts, g.blocks, g.containment_id AS containment, g.opened_at, g.closed_at, g.closed_by,
               g.close_reason
        FROM signal g JOIN chart h ON h.id = g.chart_id JOIN part p ON p.id = h.part_id
        JOIN station s ON s.id = h.station_id LEFT JOIN tool t ON t.id = h.tool_id
        JOIN cycle y ON y.id = g.cycle_id LEFT JOIN unit u ON u.id = y.unit_id LEFT JOIN lot l ON l.id = y.lot_id
        WHERE (:chart_id IS NULL OR g.chart_id = :chart_id) AND (NOT :open OR g.closed_at IS NULL)
        ORDER BY g.id DESC LIMIT 200
        """
    ).bindparams(bindparam("chart_id", type_=BigInteger), bindparam("open", type_=Boolean))
)
_CHARTS = Prepared(
    text(
        """
        SELECT h.id AS chart, p.number AS part, h.operation, h.characteristic, s.code AS station, t.code AS tool,
               split_part(h.shape, ',', 1) AS kind, coalesce(jsonb_array_length(h.baselines), 1) AS lines,
               (h.baselines -> 0 ->> 'subgroups')::bigint AS subgroups, h.set_at, coalesce(d.step, '') AS step,
               coalesce(d.unit, '') AS unit, g.open_signals, coalesce(g.blocks, false) AS blocks, g.last_signal_at
        FROM chart h JOIN part p ON p.id = h.part_id JOIN station s ON s.id = h.station_id
        LEFT JOIN tool t ON t.id = h.tool_id
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE closed_at IS NULL) AS open_signals, max(opened_at) AS last_signal_at,
                   bool_or(blocks) FILTER (WHERE closed_at IS NULL) AS blocks
            FROM signal WHERE chart_id = h.id) g
        LEFT JOIN LATERAL (
            SELECT e.name AS step, c.unit FROM product_revision r JOIN step e ON e.revision_id = r.id
            JOIN characteristic c ON c.step_id = e.id AND c.name = h.characteristic
            WHERE r.part_id = h.part_id AND e.operation = h.operation ORDER BY r.revision DESC LIMIT 1) d ON true
        WHERE :chart_id IS NULL OR h.id = :chart_id
        ORDER BY g.open_signals > 0 DESC, p.number, h.operation, h.characteristic, s.code, t.code
        """
    ).bindparams(bindparam("chart_id", type_=BigInteger))
)


@dataclass(frozen=True, slots=True)
class Series:
    """A characteristic at a station, or there with one tool, as the newest revision of its part has it charted."""

    part_id: int
    part: str
    operation: str
    characteristic: str
    kind: str
    lower: float | None
    upper: float | None
    station_id: int
    station: str
    tool_id: int | None
    tool: str | None
    charting: Charting


@dataclass(frozen=True, slots=True)
class ChartRow:
    """A chart as it is kept."""

    id: int
    shape: str
    since: int
    judged: int
    baselines: Sequence[Baseline] = field(default_factory=list)


async def declared(
    session: ReadSession, station: str | None = None, operation: str | None = None, chart_id: int | None = None
) -> list[Series]:
    """All that is charted, at one station, of one operation; or what one chart is of."""
    rows = await session.run(_DECLARED, station=station, operation=operation, chart_id=chart_id)
    found = []
    for row in map(dict, rows):
        charting = Charting(ChartSpec.model_validate_json(row.pop("spc")), row.pop("count"))
        found.append(Series(**row, charting=charting))
    return found


async def values(
    session: ReadSession, series: Series, since: int, anchor: int, *, before: int = 0, after: int = 0
) -> tuple[list[Measured], list[Measured]]:
    """The last cycles up to one, and the first after it, of those later than `since`; one statement."""
    charting = series.charting
    rows = await session.run(
        _VALUES,
        part_id=series.part_id,
        operation=series.operation,
        characteristic=series.characteristic,
        kind=series.kind,
        count=charting.count,
        station_id=series.station_id,
        tool_id=series.tool_id,
        counts=charting.spec.chart in ATTRIBUTES,
        since=since,
        anchor=anchor,
        before=before,
        after=after,
    )
    measured = [Measured(**row) for row in rows]
    return [one for one in measured if one.cycle_id <= anchor], [one for one in measured if one.cycle_id > anchor]


async def began(session: ReadSession, series: Series) -> int:
    """The last cycle that isn't charted: one of before its chart was asked for."""
    rows = await session.run(_BEGAN, station_id=series.station_id, part_id=series.part_id)
    since: int = rows[0]["since"]
    return since


async def to_hold(
    session: ReadSession, chart_id: int, position: int, cycles: Sequence[int]
) -> tuple[list[str], list[str]]:
    """The units and lots of a signal's cycles that no earlier signal of its line was about."""
    rows = await session.run(_HELD, cycles=list(cycles), chart_id=chart_id, position=position)
    return [row["serial"] for row in rows if row["serial"]], [row["lot"] for row in rows if row["lot"]]


async def find_chart(session: ReadSession, series: Series) -> ChartRow | None:
    """The chart of a series; None: it has none yet."""
    row = (await session.execute(select(Chart).where(*_of(series)))).one_or_none()
    return None if row is None else _chart(row)


async def lock_chart(session: Session, series: Series) -> ChartRow | None:
    """Lock the chart of a series, if there is one."""
    chosen = select(Chart).where(*_of(series)).order_by(Chart.id).with_for_update(key_share=True)
    row = (await session.execute(chosen)).one_or_none()
    return None if row is None else _chart(row)


def _chart(row: Any) -> ChartRow:
    baselines = [Baseline(**one) for one in row.baselines or ()]
    return ChartRow(row.id, row.shape, row.since_cycle_id, row.judged_cycle_id, baselines)


def _of(series: Series) -> list[ColumnElement[bool]]:
    return [
        Chart.part_id == series.part_id,
        Chart.operation == series.operation,
        Chart.characteristic == series.characteristic,
        Chart.station_id == series.station_id,
        Chart.tool_id.is_not_distinct_from(series.tool_id),
    ]


async def lock_chart_id(session: Session, chart_id: int) -> None:
    """Lock a chart, or raise NotFound."""
    chosen = select(Chart.id).where(Chart.id == chart_id).order_by(Chart.id).with_for_update(key_share=True)
    if (await session.execute(chosen)).one_or_none() is None:
        raise NotFound(kind="chart", name=chart_id)


async def lock_signal(session: Session, signal_id: int) -> bool:
    """Lock a signal, or raise NotFound; whether it is open."""
    chosen = select(Signal.closed_at).where(Signal.id == signal_id).order_by(Signal.id).with_for_update(key_share=True)
    row = (await session.execute(chosen)).one_or_none()
    if row is None:
        raise NotFound(kind="signal", name=signal_id)
    return row.closed_at is None


async def charts(session: ReadSession, chart_id: int | None = None) -> list[ChartAnswer]:
    """Every chart, those with open signals first; or one."""
    return [ChartAnswer.model_validate(dict(row)) for row in await session.run(_CHARTS, chart_id=chart_id)]


async def get_chart(session: ReadSession, chart_id: int) -> tuple[ChartAnswer, Series, ChartRow]:
    """A chart, what it is of and how it is kept, or NotFound: also when it is no longer charted."""
    found, of = await charts(session, chart_id), await declared(session, chart_id=chart_id)
    kept = await find_chart(session, of[0]) if of else None
    if not found or kept is None:
        raise NotFound(kind="chart", name=chart_id)
    return found[0], of[0], kept


async def signals_of(
    session: ReadSession, chart_id: int | None = None, *, open_only: bool = False
) -> list[SignalAnswer]:
    """The last 200 signals, the newest first: of a chart, or of all."""
    rows = await session.run(_SIGNALS, chart_id=chart_id, open=open_only)
    return [SignalAnswer.model_validate({**row, "facts": json.loads(row["facts"])}) for row in rows]
