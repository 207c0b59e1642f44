"""A plant that measures one thing at one station, with a control chart of it."""

from collections.abc import Sequence
from typing import Any

from mes.db import Database
from mes.execution.messages import ReportAnswer
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from tests.build import line as build
from tests.build import small

STATION, OPERATION, PART = "ST-10", "10", "WIDGET"
# mean 10, moving ranges of 1: sigma 1 / 1.128
CALM = [9.5, 10.5] * 13


def plant(spc: dict[str, Any] | None, **characteristic: Any) -> dict[str, Any]:
    """The plant's files; `characteristic`: fields of what is measured."""
    station = {
        "code": STATION,
        "name": "Measure",
        "operations": [OPERATION],
        "tools": [{"code": "T1", "name": "One"}, {"code": "T2", "name": "Two"}],
    }
    measured = {"name": "width_mm", "unit": "mm", "min": 0, "max": 20, "spc": spc} | characteristic
    return {
        "sites": [{"code": "S", "name": "Small", "lines": [{"code": "L", "name": "Line", "stations": [station]}]}],
        "parts": [{"number": PART, "name": "Widget", "trace": "serial", "serial_pattern": "W{number:05}"}],
        "products": [
            {"part": PART, "route": [{"operation": OPERATION, "name": "Measure", "characteristics": [measured]}]}
        ],
    }


async def make(database: Database, spc: dict[str, Any], quantity: int = 100, **characteristic: Any) -> list[str]:
    """Apply the plant and release an order; its serials."""
    await database.transact(apply_plan, PlantFiles.model_validate(plant(spc, **characteristic)), build.ACTOR)
    return list((await small.order(database, quantity=quantity, part=PART))[PART])


async def measure(
    database: Database, serials: list[str], values: Sequence[Any], name: str = "width_mm", **more: Any
) -> list[ReportAnswer]:
    """Measure as many units as there are values, taking them from the front of the list."""
    answers = []
    for value in values:
        told = value if isinstance(value, list) else [value]
        answers.append(await small.work(database, STATION, serials.pop(0), values={name: told}, **more))
    return answers
