"""The distribution of a value over a lot's cells, with its limits: as numbers, and drawn."""

import io
import json
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.figure import Figure
from sqlalchemy import Text, bindparam, text

from mes.db import ReadSession
from mes.errors import NotFound
from mes.products.cell_rules import IncomingSpec
from mes.records.messages import GradingRecord
from mes.statement import Prepared

JUDGED = ("ocv_v", "acir_mohm", "capacity_ah", "k_mv_h")
SAMPLED = ("mass_g", "diameter_mm", "height_mm")
Picture = Literal["png", "svg"]
_UNITS = {"v": "V", "mohm": "mOhm", "ah": "Ah", "h": "mV/h", "g": "g", "mm": "mm"}
_INK, _BAR, _LIMIT, _MIDDLE = "#1f2933", "#4c7fa8", "#b42318", "#52606d"

_GRADING = Prepared(
    text(
        """
        SELECT g.id, g.graded_at, g.graded_by, g.flags, g.summary::text AS summary, r.incoming::text AS incoming,
               p.number AS part
        FROM lot l JOIN lot_grading g ON g.lot_id = l.id JOIN product_revision r ON r.id = g.revision_id
        JOIN part p ON p.id = l.part_id
        WHERE l.number = :lot ORDER BY g.id DESC LIMIT 1
        """
    ).bindparams(bindparam("lot", type_=Text))
)


@dataclass(frozen=True, slots=True)
class LotValues:
    """A value of each cell of a lot at its last grading; `limits`: least, greatest, those from the median included."""

    lot: str
    reading: str
    unit: str
    values: list[float]
    median: float | None
    limits: tuple[float | None, float | None]


async def last_grading(session: ReadSession, lot: str) -> GradingRecord | None:
    """A lot's last grading; None: it was never graded."""
    rows = await session.run(_GRADING, lot=lot)
    if not rows:
        return None
    row = rows[0]
    summary = json.loads(row["summary"])
    return GradingRecord(
        part=row["part"],
        graded_at=row["graded_at"],
        graded_by=row["graded_by"],
        flags=row["flags"],
        cells=summary["cells"],
        grades=summary["grades"],
        reasons=summary["reasons"],
        sample=summary["sample"],
        readings=[name for name in (*JUDGED, *SAMPLED) if name in summary["medians"] or name in JUDGED[2:]],
    )


async def lot_values(session: ReadSession, lot: str, reading: str) -> LotValues:
    """What a lot's cells measured at its last grading, or NotFound."""
    rows = await session.run(_GRADING, lot=lot)
    if not rows or reading not in (*JUDGED, *SAMPLED):
        raise NotFound(kind=f"{reading} of a graded lot", name=lot)
    head, spec = rows[0], IncomingSpec.model_validate_json(rows[0]["incoming"])
    if reading in JUDGED:
        found = f"SELECT {reading} AS value FROM cell_grade WHERE grading_id = :grading AND {reading} IS NOT NULL"  # noqa: S608
    else:
        found = (
            f"SELECT DISTINCT ON (t.unit_id) t.{reading} AS value FROM cell_grade g JOIN cell_test t"  # noqa: S608
            f" ON t.unit_id = g.unit_id AND t.recorded_at <= g.graded_at WHERE g.grading_id = :grading"
            f" AND t.{reading} IS NOT NULL ORDER BY t.unit_id, t.tested_at DESC"
        )
    values = [float(row.value) for row in await session.execute(text(found), {"grading": head["id"]})]
    median = json.loads(head["summary"])["medians"].get(reading)
    unit = _UNITS[reading.rsplit("_", 1)[1]]
    return LotValues(lot, reading, unit, values, median, _limits(spec, reading, median))


def _limits(spec: IncomingSpec, reading: str, median: float | None) -> tuple[float | None, float | None]:
    """The limits as they bind: of its own ones and those from the median, the narrower."""
    if reading == "k_mv_h":
        return None, spec.k_value.max_mv_h if spec.k_value else None
    rule = next((one for one in spec.readings if one.name == reading), None)
    if rule is None:
        return None, None
    lower, upper = [rule.min], [rule.max]
    if median is not None:
        spans = [rule.from_median, rule.from_median_pct and rule.from_median_pct * abs(median) / 100]
        lower += [median - span for span in spans if span is not None]
        upper += [median + span for span in spans if span is not None]
    return (
        max((v for v in lower if v is not None), default=None),
        min((v for v in upper if v is not None), default=None),
    )


def draw(seen: LotValues, kind: str) -> bytes:
    """Draw a histogram with its limits and its median, as PNG or SVG."""
    figure = Figure(figsize=(6.4, 3.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    if seen.values:
        axes.hist(seen.values, bins=min(60, max(10, len(seen.values) // 20)), color=_BAR)
    for limit, name in zip(seen.limits, ("min", "max"), strict=True):
        if limit is not None:
            axes.axvline(limit, color=_LIMIT, linestyle="--", label=f"{name} {limit:.4g}")
    if seen.median is not None:
        axes.axvline(seen.median, color=_MIDDLE, label=f"median {seen.median:.4g}")
    axes.set_title(f"{seen.lot}: {seen.reading}, {len(seen.values)} cells", color=_INK, fontsize=10)
    axes.set_xlabel(seen.unit)
    axes.set_ylabel("cells")
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    out = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {}
    figure.savefig(out, format=kind, metadata=metadata)
    return out.getvalue()
