"""A door that records what is asked and reported, and can be shut, delayed or made not to understand."""

import asyncio
from typing import Any

from mes.execution.messages import PermitAnswer, PermitRequest, RecipeAnswer, Refusal, ReportAnswer, ResultReport
from mes.execution.rules.words import Reason
from plc_adapters.door import NotUnderstood
from plc_adapters.port import Problem


class RecordingDoor:
    """Answers as the MES does: once for each (station, cycle), however often it is asked."""

    def __init__(self) -> None:
        self.permits: list[PermitRequest] = []
        self.committed: dict[str, ResultReport] = {}
        self.reports: list[ResultReport] = []
        self.tries: list[str] = []
        self.recipe: RecipeAnswer | None = None
        self.told: list[list[dict[str, Any]]] = []
        self.refuse: set[str] = set()
        self.not_understood: set[str] = set()
        self.open = asyncio.Event()
        self.open.set()
        self.answers = asyncio.Event()
        self.answers.set()
        self.happened = asyncio.Condition()

    async def permit(self, request: PermitRequest) -> PermitAnswer:
        self.permits.append(request)
        await self._tell()
        await self.open.wait()
        refused = request.serial in self.refuse
        reason = Refusal(code=Reason.ON_HOLD, text=f"{request.serial} is on hold.", clears="Quality releases it.")
        return PermitAnswer(
            granted=not refused,
            station=request.station,
            cycle=request.cycle,
            serial=request.serial,
            recipe=None if refused else RecipeAnswer(name="weld", digest="d1", parameters={"power_w": 1500.0}),
            refusals=[reason] if refused else [],
        )

    async def report(self, report: ResultReport) -> ReportAnswer:
        self.tries.append(report.cycle)
        await self._tell()
        await self.open.wait()
        if report.serial in self.not_understood:
            raise NotUnderstood(Problem(422, "Malformed", "1 error.", ({"at": "x", "read": 1, "expected": "2"},)))
        if (report.station, report.cycle) not in {(one.station, one.cycle) for one in self.reports}:
            self.reports.append(report)
            self.committed[report.cycle] = report
        await self._tell()
        await self.answers.wait()
        return ReportAnswer(
            station=report.station,
            cycle=report.cycle,
            serial=report.serial,
            operation=None,
            verdict=report.verdict,
            station_verdict=report.verdict,
            unit_state="in_work",
        )

    def recipe_for(self, _request: PermitRequest) -> RecipeAnswer | None:
        return self.recipe

    async def links(self, gateway: str, stations: list[dict[str, Any]]) -> None:
        self.told.append(stations)
        await self._tell()

    async def until(self, holds: Any) -> None:
        async with asyncio.timeout(8), self.happened:
            await self.happened.wait_for(holds)

    async def _tell(self) -> None:
        async with self.happened:
            self.happened.notify_all()
