"""The acts: keep what was judged of a chart, close a signal, begin a chart anew."""

from sqlalchemy import func, insert, select, update

from mes.cycles.models import Cycle
from mes.db import Session
from mes.errors import Conflict, NotFound
from mes.quality.messages import ContainRequest
from mes.quality.service import contain
from mes.spc.messages import ChartJudged, ChartKept, CloseSignal, RestartChart, SignalSaid
from mes.spc.models import Chart, Signal
from mes.spc.queries import ChartRow, Series, declared, lock_chart, lock_chart_id, lock_signal, to_hold
from mes.spc.signals import RULES


class SignalClosed(Conflict):
    """Signal {signal} was closed before."""


async def keep_chart(session: Session, message: ChartJudged) -> ChartKept:
    """Keep how far a chart was judged, its limits once there are any, and its signals with what they lead to."""
    of = await declared(session, message.station, message.operation)
    names = (message.part, message.characteristic, message.tool)
    series = next((one for one in of if (one.part, one.characteristic, one.tool) == names), None)
    if series is None:
        raise NotFound(kind=f"chart at {message.station} of", name=message.characteristic)
    kept = await lock_chart(session, series)
    session.take_moment()
    stored = {
        "shape": message.shape,
        "since_cycle_id": message.since,
        "judged_cycle_id": message.upto,
        "baselines": [one.model_dump() for one in message.baselines] if message.baselines else None,
        "set_at": session.at if message.baselines else None,
    }
    if kept is None:
        key = {name: getattr(series, name) for name in ("part_id", "operation", "characteristic")}
        place = {"station_id": series.station_id, "tool_id": series.tool_id}
        made = insert(Chart).values(**key, **place, **stored).returning(Chart.id)
        chart_id: int = (await session.execute(made)).scalar_one()
    elif message.shape != series.charting.shape or (kept.shape == message.shape and not _is_further(message, kept)):
        session.repeated()
        return ChartKept(chart=kept.id, is_news=False)
    else:
        chart_id = kept.id
        if kept.baselines and kept.shape == message.shape:
            del stored["baselines"], stored["set_at"]
        await session.execute(update(Chart).where(Chart.id == chart_id).values(stored))
    opened = [await _open(session, chart_id, series, signal) for signal in message.signals]
    return ChartKept(chart=chart_id, signals=opened)


def _is_further(message: ChartJudged, kept: ChartRow) -> bool:
    """Whether it tells more than is kept: else another worker was faster, or the chart was begun anew meanwhile."""
    sets_limits = bool(message.baselines) and not kept.baselines
    return message.since == kept.since and (message.upto > kept.judged or sets_limits)


async def _open(session: Session, chart_id: int, series: Series, said: SignalSaid) -> int:
    """Store a signal, and do what its plan asks for."""
    leads_to = series.charting.spec.on_signal
    words = "; ".join(RULES[rule].words for rule in said.rules)
    where = f" {said.position}" if said.position else ""
    reason = f"Control chart of {series.characteristic}{where} at {series.station}: {words}."
    containments = await _hold(session, chart_id, said, reason) if "hold" in leads_to else []
    row = insert(Signal).values(
        chart_id=chart_id,
        position=said.position,
        cycle_id=said.cycles[-1],
        rules=said.rules,
        facts=said.model_dump(include={"value", "center", "lower", "upper", "cycles"}),
        blocks="block" in leads_to,
        containment_id=containments[0] if containments else None,
        opened_at=session.at,
    )
    signal: int = (await session.execute(row.returning(Signal.id))).scalar_one()
    session.tell(
        "signal",
        station=series.station,
        signal=signal,
        chart=chart_id,
        state="open",
        part=series.part,
        operation=series.operation,
        characteristic=series.characteristic,
        position=said.position or None,
        rules=said.rules,
        value=said.value,
        reason=reason,
        blocks="block" in leads_to,
        containments=containments,
    )
    return signal


async def _hold(session: Session, chart_id: int, said: SignalSaid, reason: str) -> list[int]:
    """Hold the units and lots of the points that signalled; a nonconformance report would be opened here too."""
    serials, lots = await to_hold(session, chart_id, said.position, said.cycles)
    asked = [ContainRequest(serials=serials, reason=reason)] if serials else []
    asked += [ContainRequest(lot=lot, reason=reason) for lot in lots]
    return [(await contain(session, one)).containment for one in asked]


async def close_signal(session: Session, message: CloseSignal) -> ChartKept:
    """Close a signal; what it has held stays held until that is released by its own roles."""
    if not await lock_signal(session, message.signal):
        raise SignalClosed(signal=message.signal)
    session.take_moment()
    closing = {"closed_at": session.at, "closed_by": session.actor.name, "close_reason": message.reason}
    chosen = update(Signal).where(Signal.id == message.signal).values(closing).returning(Signal.chart_id)
    chart: int = (await session.execute(chosen)).scalar_one()
    session.tell("signal", signal=message.signal, chart=chart, state="closed", reason=message.reason)
    return ChartKept(chart=chart)


async def restart_chart(session: Session, message: RestartChart) -> ChartKept:
    """Begin a chart anew with the next cycle: its limits are made of what comes. Its signals stay."""
    await lock_chart_id(session, message.chart)
    session.take_moment()
    station = select(Chart.station_id).where(Chart.id == message.chart).scalar_subquery()
    last = select(func.coalesce(func.max(Cycle.id), 0)).where(Cycle.station_id == station).scalar_subquery()
    anew = {"since_cycle_id": last, "judged_cycle_id": last, "baselines": None, "set_at": None}
    await session.execute(update(Chart).where(Chart.id == message.chart).values(anew))
    session.tell("signal", chart=message.chart, state="restarted", reason=message.reason)
    return ChartKept(chart=message.chart)
