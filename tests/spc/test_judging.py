"""Charts are judged after their results: limits, signals told once, and what they lead to."""

import asyncio
import json
from typing import Any

import pytest

from mes.actor import Actor, Role
from mes.app import relay_all
from mes.db import Database
from mes.errors import Forbidden, Malformed, NotFound
from mes.execution.rules import Reason
from mes.permissions import require
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from mes.quality.queries import holds
from mes.spc import queries
from mes.spc.judging import judge_charts
from mes.spc.messages import ChartAnswer, ChartDrawn, CloseSignal, RestartChart, SignalAnswer
from mes.spc.service import SignalClosed, close_signal, restart_chart
from mes.spc.view import see_chart
from mes.watch import Watch
from tests.build import charted, small
from tests.build import line as build

I_MR = {"chart": "i_mr", "rules": [1], "baseline": 25}


async def charts(database: Database) -> list[ChartAnswer]:
    async with database.reading() as session:
        return await queries.charts(session)


async def signals(database: Database, *, open_only: bool = False) -> list[SignalAnswer]:
    async with database.reading() as session:
        return await queries.signals_of(session, open_only=open_only)


async def seen(database: Database, position: int | None = None, last: int = 60) -> ChartDrawn:
    async with database.reading() as session:
        return await see_chart(session, (await charts(database))[0].chart, position, last)


async def test_limits_are_those_of_the_first_subgroups_and_stay(database: Database) -> None:
    serials = await charted.make(database, I_MR)
    await charted.measure(database, serials, charted.CALM[:24])
    assert await judge_charts(database) == 0
    learning = (await charts(database))[0]
    assert (learning.kind, learning.subgroups, learning.set_at) == ("i_mr", None, None)
    await charted.measure(database, serials, charted.CALM[24:25])
    assert await judge_charts(database) == 0
    chart = (await charts(database))[0]
    assert (chart.subgroups, chart.characteristic, chart.unit, chart.step) == (25, "width_mm", "mm", "Measure")
    before = await seen(database)
    await charted.measure(database, serials, [10.0, 10.1, 10.2])
    await judge_charts(database)
    after = await seen(database)
    assert (before.center, before.points[0].upper) == (after.center, after.points[0].upper)
    assert before.center == pytest.approx(9.98)
    assert [len(before.points), len(after.points)] == [25, 28]
    assert [point.subjects for point in after.points[:2]] == [["W00001"], ["W00002"]]


async def test_a_signal_is_told_once_however_often_and_by_whomever_it_is_judged(database: Database) -> None:
    serials = await charted.make(database, I_MR)
    await charted.measure(database, serials, [*charted.CALM, 15.0])
    watches = [Watch(database), Watch(database)]
    await asyncio.gather(*(watch.turn() for watch in watches), judge_charts(database))
    await judge_charts(database)
    (signal,) = await signals(database)
    assert (signal.subject, signal.station, signal.position) == ("W00027", charted.STATION, 0)
    assert signal.rules == ["nelson_1", "spread"]
    assert signal.facts["value"] == 15.0
    assert signal.facts["upper"] < 15.0
    await relay_all(database)
    async with database.reading() as session:
        rows = (await session.connection.exec_driver_sql("SELECT payload FROM event WHERE topic = 'signal'")).all()
    said = "a point beyond three sigma; the spread within a subgroup beyond its limits"
    assert [row.payload["reason"] for row in rows] == [f"Control chart of width_mm at ST-10: {said}."]


async def test_the_watch_follows_the_stream(database: Database) -> None:
    serials = await charted.make(database, I_MR)
    await charted.measure(database, serials, charted.CALM)
    watch = Watch(database)
    await watch.turn()
    assert (await charts(database))[0].subgroups == 25
    await charted.measure(database, serials, [15.0])
    await watch.turn()
    assert await signals(database) == []  # its event isn't in the stream yet
    await relay_all(database)
    await watch.turn()
    assert len(await signals(database)) == 1


async def test_a_run_signals_at_each_point_from_the_ninth_on(database: Database) -> None:
    serials = await charted.make(database, {**I_MR, "rules": [2]})
    await charted.measure(database, serials, charted.CALM)
    for n in range(10):
        await charted.measure(database, serials, [10.4 + n % 2 / 10])
        await judge_charts(database)
    # the last of the calm ones lies above the centre too
    assert [signal.subject for signal in await signals(database)] == ["W00036", "W00035", "W00034"]


async def test_a_signal_holds_the_units_of_its_points_once(database: Database) -> None:
    serials = await charted.make(database, {**I_MR, "rules": [1, 3], "on_signal": ["hold"]})
    await charted.measure(database, serials, [*charted.CALM[:25], 9.6, 9.7, 9.8, 9.9, 10.0, 10.1, 10.2, 15.0])
    await judge_charts(database)
    told = await signals(database)
    assert [signal.rules for signal in told] == [["nelson_1", "nelson_3", "spread"], *[["nelson_3"]] * 3]
    async with database.reading() as session:
        held = await holds(session)
    assert sorted({hold.serial for hold in held}) == sorted(hold.serial for hold in held)
    assert sorted(str(hold.serial) for hold in held) == [f"W{n:05}" for n in range(25, 34)]
    assert all(hold.reason.startswith("Control chart of width_mm at ST-10: ") for hold in held)


async def test_a_blocking_signal_refuses_its_operation_until_it_is_closed(database: Database) -> None:
    serials = await charted.make(database, {**I_MR, "on_signal": ["block"]})
    await charted.measure(database, serials, [*charted.CALM, 15.0])
    await judge_charts(database)
    refused = await small.ask(database, charted.STATION, serials[0])
    assert small.codes(refused.refusals) == [Reason.SIGNAL_OPEN]
    assert "width_mm" in refused.refusals[0].text
    signal = (await signals(database, open_only=True))[0]
    closing = CloseSignal(signal=signal.signal, reason="tip was worn, replaced")
    await database.transact(close_signal, closing, build.QUALITY)
    assert (await small.ask(database, charted.STATION, serials[0])).granted
    with pytest.raises(SignalClosed):
        await database.transact(close_signal, closing, build.QUALITY)
    with pytest.raises(Forbidden):
        require(Actor("olga", Role.OPERATOR), "close_signal")
    (closed,) = await signals(database)
    assert (closed.closed_by, closed.close_reason) == ("quinn", "tip was worn, replaced")


async def test_work_begun_before_a_signal_ends_without_a_finding(database: Database) -> None:
    serials = await charted.make(database, {**I_MR, "on_signal": ["block"]})
    await charted.measure(database, serials, [*charted.CALM, 15.0])
    assert (await small.ask(database, charted.STATION, serials[0], cycle="begun")).granted
    await judge_charts(database)
    told = await small.tell(database, charted.STATION, serials[0], cycle="begun", values={"width_mm": [10.0]})
    assert told.findings == []


async def test_subgroups_are_cut_the_same_way_however_they_come(database: Database) -> None:
    spec = {"chart": "xbar_r", "size": 4, "rules": [1], "baseline": 5}
    serials = await charted.make(database, spec)
    values = [10.0 + (n * 7 % 5 - 2) / 5 for n in range(20)]
    await charted.measure(database, serials, values)
    await judge_charts(database)
    for value in (10.0, 14.0, 14.0):
        await charted.measure(database, serials, [value])
        assert await judge_charts(database) == 0
    await charted.measure(database, serials, [14.0])
    assert await judge_charts(database) == 1
    drawn = await seen(database)
    assert drawn.points[-1].value == pytest.approx(13.0)
    assert drawn.points[-1].subjects == ["W00021", "W00022", "W00023", "W00024"]
    assert drawn.points[-1].rules == ["nelson_1", "spread"]
    assert drawn.points[0].value == pytest.approx(sum(values[:4]) / 4)
    assert (drawn.name, drawn.spread_name) == ("mean", "range")


async def test_a_chart_by_position_has_a_line_for_each(database: Database) -> None:
    serials = await charted.make(database, {**I_MR, "by": "position", "rules": [1]}, count=3)
    await charted.measure(database, serials, [[value, value + 1, value + 2] for value in charted.CALM])
    await charted.measure(database, serials, [[10.0, 15.0, 12.0]])
    await judge_charts(database)
    (signal,) = await signals(database)
    assert (signal.position, signal.facts["value"]) == (2, 15.0)
    assert (await charts(database))[0].lines == 3
    assert [(await seen(database, position)).center for position in (1, 2, 3)] == pytest.approx([9.98, 10.98, 11.98])


async def test_a_chart_by_tool_has_limits_for_each(database: Database) -> None:
    serials = await charted.make(database, {**I_MR, "by": "tool"})
    for low, high in zip(charted.CALM[::2], charted.CALM[1::2], strict=True):
        await charted.measure(database, serials, [low, high], tool="T1")
        await charted.measure(database, serials, [low + 5, high + 5], tool="T2")
    await judge_charts(database)
    assert [(chart.tool, chart.subgroups) for chart in await charts(database)] == [("T1", 25), ("T2", 25)]
    await charted.measure(database, serials, [15.0], tool="T2")
    assert await judge_charts(database) == 0
    await charted.measure(database, serials, [15.0], tool="T1")
    assert await judge_charts(database) == 1


@pytest.mark.parametrize(("kind", "rate"), [("p", 0.05), ("u", 0.2)])
async def test_failures_are_counted_by_value_and_by_cycle(database: Database, kind: str, rate: float) -> None:
    spec = {"chart": kind, "size": 2, "baseline": 5, "rules": [1]}
    flags: dict[str, Any] = {"name": "ok", "kind": "boolean", "count": 4, "min": None, "max": None, "expected": True}
    serials = await charted.make(database, spec, **flags)
    good, bad = [True] * 4, [True, False, True, True]
    await charted.measure(database, serials, [good, bad, good, good, good, good, bad, good, good, good], "ok", ok=True)
    await judge_charts(database)
    assert (await seen(database)).center == pytest.approx(rate)
    await charted.measure(database, serials, [[False] * 4, [True, False, None, True]], "ok")
    assert await judge_charts(database) == 1
    assert (await signals(database))[0].facts["value"] == pytest.approx({"p": 6 / 8, "u": 6 / 2}[kind])


async def test_a_value_that_is_missing_is_no_point(database: Database) -> None:
    serials = await charted.make(database, I_MR)
    await charted.measure(database, serials, [*charted.CALM, None, 10.0])
    await judge_charts(database)
    assert len((await seen(database)).points) == 27


async def test_a_new_revision_goes_on_with_the_chart_and_another_shape_begins_it_anew(database: Database) -> None:
    serials = await charted.make(database, I_MR)
    await charted.measure(database, serials, charted.CALM)
    await judge_charts(database)
    renamed = charted.plant({**I_MR, "rules": [1]}, max=21)
    await database.transact(apply_plan, PlantFiles.model_validate(renamed), build.ACTOR)
    await charted.measure(database, serials, [15.0])
    await judge_charts(database)
    assert len(await signals(database)) == 1
    assert (await charts(database))[0].subgroups == 25
    pairs = charted.plant({"chart": "xbar_s", "size": 2, "baseline": 5})
    await database.transact(apply_plan, PlantFiles.model_validate(pairs), build.ACTOR)
    await judge_charts(database)
    assert ((await charts(database))[0].kind, (await charts(database))[0].subgroups) == ("xbar_s", None)
    await charted.measure(database, serials, charted.CALM[:10])
    await judge_charts(database)
    assert (await charts(database))[0].subgroups == 5
    assert len((await seen(database)).points) == 5


async def test_what_came_before_the_chart_was_asked_for_is_not_judged(database: Database) -> None:
    await database.transact(apply_plan, PlantFiles.model_validate(charted.plant(None)), build.ACTOR)
    serials = list((await small.order(database, quantity=60, part=charted.PART))[charted.PART])
    await charted.measure(database, serials, charted.CALM)
    await database.transact(apply_plan, PlantFiles.model_validate(charted.plant(I_MR)), build.ACTOR)
    await judge_charts(database)
    assert await charts(database) == []
    await charted.measure(database, serials, [11.0, 12.0])
    await judge_charts(database)
    assert [point.value for point in (await seen(database)).points] == [11.0, 12.0]


async def test_a_chart_that_is_restarted_learns_anew(database: Database) -> None:
    serials = await charted.make(database, I_MR)
    await charted.measure(database, serials, charted.CALM)
    await judge_charts(database)
    chart = (await charts(database))[0].chart
    await database.transact(restart_chart, RestartChart(chart=chart, reason="new fixture"), build.QUALITY)
    await charted.measure(database, serials, [value + 5 for value in charted.CALM])
    await judge_charts(database)
    assert await signals(database) == []
    assert (await seen(database)).center == pytest.approx(14.98)


async def test_capability_is_that_of_the_values_shown(database: Database) -> None:
    serials = await charted.make(database, I_MR)
    await charted.measure(database, serials, charted.CALM)
    await judge_charts(database)
    found = (await seen(database, last=20)).capability
    assert found is not None
    assert found.cp is not None
    assert found.values == 20
    assert found.cp.value == pytest.approx(20 / (6 * 1 / 1.128379), rel=1e-4)
    assert not found.is_normal  # two values in turn


@pytest.mark.parametrize(
    ("spc", "more", "at"),
    [
        ({"chart": "i_mr"}, {"count": 3}, "chart"),
        ({"chart": "i_mr", "size": 2}, {}, "chart"),
        ({"chart": "xbar_r"}, {}, "size"),
        ({"chart": "xbar_r", "size": 26}, {}, "chart"),
        ({"chart": "xbar_s", "size": 5}, {"kind": "boolean", "min": None, "max": None}, "chart"),
        ({"chart": "p"}, {"kind": "curve", "min": None, "max": None}, "chart"),
        ({"chart": "p", "rules": [7]}, {}, "rules"),
        ({"chart": "i_mr", "rules": [1, 1]}, {}, "rules/1"),
        ({"chart": "i_mr", "on_signal": ["hold", "hold"]}, {}, "on_signal/1"),
    ],
)
async def test_a_chart_that_does_not_suit_its_values_is_refused(
    database: Database, spc: dict[str, Any], more: dict[str, Any], at: str
) -> None:
    with pytest.raises(Malformed) as refused:
        await database.transact(apply_plan, PlantFiles.model_validate(charted.plant(spc, **more)), build.ACTOR)
    assert any(str(error["at"]).endswith(f"spc/{at}") for error in refused.value.errors), json.dumps(
        refused.value.errors
    )


async def test_unknown_charts_and_lines_are_said_to_be(database: Database) -> None:
    serials = await charted.make(database, I_MR)
    await charted.measure(database, serials, [1.0])
    await judge_charts(database)
    chart = (await charts(database))[0].chart
    async with database.reading() as session:
        drawn = await see_chart(session, chart)
        assert (drawn.center, drawn.points) == (None, [])
        for unknown in ({"chart_id": 99}, {"chart_id": chart, "position": 1}):
            with pytest.raises(NotFound):
                await see_chart(session, **unknown)
