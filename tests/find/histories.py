"""Random histories: in a database, written straight into its tables, and beside it in memory, to be asked there too."""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mes.db import Database
from mes.find.language import All, Not, Passed, Period, Question, Term, Value
from mes.plan.messages import PlantFiles
from mes.plan.service import apply_plan
from tests.build import line as build
from tests.build import small

START = datetime.fromisoformat("2026-11-01T00:00:00+00:00")
HOUR = timedelta(hours=1)
STATIONS, PROGRAMS, PEOPLE = ("ST-20", "ST-21", "ST-30"), ("1", "2", None), ("anna", "bo", None)
LOTS, GLUES, CARTONS = ("L1", "L2", "L3"), ("G1", "G2"), ("B1", "B2", "B3", None)
Sets = tuple[set[str], set[str]]  # for certain, and possibly


@dataclass
class Done:
    """A cycle as the model has it."""

    station: str
    operation: str
    tool: str | None
    program: str | None
    people: tuple[str | None, str | None]
    verdict: str
    values: list[float | None]
    started_at: datetime
    ended_at: datetime
    reported_at: datetime


@dataclass
class Piece:
    """A unit as the model has it."""

    serial: str
    part: str
    lot: str | None = None
    order: str | None = None
    carton: str | None = None
    cycles: list[Done] = field(default_factory=list)
    used: list[tuple[str, datetime, datetime | None]] = field(default_factory=list)
    inside: list[tuple[str, datetime, datetime | None]] = field(default_factory=list)  # parent, from, until


@dataclass
class Model:
    """What a question is answered from without the database."""

    pieces: dict[str, Piece] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)  # tool -> station

    def ask(self, question: Question, as_of: datetime | None) -> Sets:
        """Units that fit, and whatever contains them: for certain, and possibly."""
        certain = {name for name, piece in self.pieces.items() if self._fits(question, piece, as_of, possible=False)}
        possible = {name for name, piece in self.pieces.items() if self._fits(question, piece, as_of, possible=True)}
        assert certain <= possible
        return self._upward(certain, as_of), self._upward(possible, as_of)

    def _upward(self, units: set[str], as_of: datetime | None) -> set[str]:
        found = set(units)
        while more := {p for name in found for p, *when in self.pieces[name].inside if _stands(when, as_of)} - found:
            found |= more
        return found

    def _fits(self, question: Question, piece: Piece, as_of: datetime | None, *, possible: bool) -> bool:
        match question:
            case Not(item):
                return not self._fits(item, piece, as_of, possible=not possible)
            case Passed(item):
                done = (one for one in piece.cycles if as_of is None or one.reported_at <= as_of)
                return any(self._is_like(item, one, possible=possible) for one in done)
            case Term(name, values):
                return self._is(name, values, piece, as_of, possible=possible)
        fits = (self._fits(item, piece, as_of, possible=possible) for item in question.items)  # type: ignore[union-attr]
        return all(fits) if isinstance(question, All) else any(fits)

    def _is(self, name: str, values: Sequence[str], piece: Piece, as_of: datetime | None, *, possible: bool) -> bool:
        stray = possible and piece.lot is None and piece.order is None
        if name == "lot":
            used = any(lot in values and _stands(when, as_of) for lot, *when in piece.used)
            return piece.lot in values or used or stray
        if name == "carton":
            return piece.carton in values or (possible and piece.carton is None and piece.order is None)
        if name == "supplier":
            used = any(f"of {lot}" in values and _stands(when, as_of) for lot, *when in piece.used)
            return (piece.lot is not None and f"of {piece.lot}" in values) or used or stray
        return getattr(piece, name) in values

    def _is_like(self, question: Question, done: Done, *, possible: bool) -> bool:
        match question:
            case Not(item):
                return not self._is_like(item, done, possible=not possible)
            case Period(since, until):
                overlaps = done.ended_at >= since and done.started_at <= until
                return overlaps or since <= done.reported_at <= until
            case Value(_, how, low, high):
                return any(possible if one is None else _lies(one, how, low, high) for one in done.values)
            case Term("operator", values):
                return any(person in values for person in done.people)
            case Term("tool", values):
                used_here = done.station in {self.tools[tool] for tool in values}
                return done.tool in values or (possible and done.tool is None and used_here)
            case Term("program", values):
                known_at = {c.station for p in self.pieces.values() for c in p.cycles if c.program in values}
                return done.program in values or (possible and done.program is None and done.station in known_at)
            case Term(name, values):
                return getattr(done, name) in values
        fits = (self._is_like(item, done, possible=possible) for item in question.items)  # type: ignore[union-attr]
        return all(fits) if isinstance(question, All) else any(fits)


def _lies(value: float, how: str, low: float | None, high: float | None) -> bool:
    if how == "inside":
        return low is not None and high is not None and low <= value <= high
    return (low is not None and value < low) or (high is not None and value > high)


def _stands(when: Iterable[Any], as_of: datetime | None) -> bool:
    since, until = when
    return until is None if as_of is None else since <= as_of and (until is None or until > as_of)


def plant() -> PlantFiles:
    """Modules of cells and glue, built and measured at three stations, two of them with tools."""
    measured = [{"name": "ok", "kind": "boolean"}, {"name": "force_n", "unit": "N", "count": 2}]
    stations: list[dict[str, Any]] = [{"code": code, "name": code, "operations": [code[3:]]} for code in STATIONS]
    stations[0]["tools"] = [{"code": "T1", "name": "One"}, {"code": "T2", "name": "Two"}]
    stations[1]["tools"] = [{"code": "T3", "name": "Three"}]
    route = [{"operation": code[3:], "name": code, "characteristics": measured} for code in STATIONS]
    bom = [{"part": "CELL", "operation": "20", "quantity": 4}, {"part": "GLUE", "operation": "30", "quantity": 1}]
    return PlantFiles.model_validate(
        {
            "sites": [{"code": "S", "name": "S", "lines": [{"code": "L", "name": "L", "stations": stations}]}],
            "parts": [
                {"number": "CELL", "name": "Cell", "trace": "serial", "receiving": small.FILE},
                {"number": "GLUE", "name": "Glue", "trace": "lot"},
                {"number": "MOD", "name": "Module", "trace": "serial", "serial_pattern": "M{number:05}"},
                {"number": "PACK", "name": "Pack", "trace": "serial", "serial_pattern": "P{number:05}"},
            ],
            "products": [
                {"part": "MOD", "bom": bom, "route": route},
                {"part": "PACK", "bom": [{"part": "MOD", "operation": "20", "quantity": 2}], "route": route},
            ],
        }
    )


async def make(database: Database, seed: int, modules: int = 14) -> Model:
    """Make a history: cells of unknown origin, taken out and fitted elsewhere, cycles that leave things out."""
    chance, model = random.Random(seed), Model(tools={"T1": "ST-20", "T2": "ST-20", "T3": "ST-21"})
    await database.transact(apply_plan, plant(), build.ACTOR)
    issued = await small.order(database, quantity=modules // 2)
    for part in ("MOD", "PACK"):
        model.pieces |= {serial: Piece(serial, part, order="WO-1") for serial in issued[part]}
    async with database._session(read_only=False) as (_, driver):
        ids = _Ids(driver)
        await ids.read(issued)
        lots = {name: await _lot(driver, ids, name, "CELL") for name in LOTS}
        glues = {name: await _lot(driver, ids, name, "GLUE") for name in GLUES}
        for n in range(modules * 4):
            name, lot, carton = f"C{n:03}", chance.choice([*LOTS, None]), chance.choice(CARTONS)
            ids.units[name] = await driver.fetchval(
                "INSERT INTO unit (serial, part_id, lot_id, state, created_at) VALUES ($1, $2, $3, 'received', $4) "
                "RETURNING id", name, ids.parts["CELL"], lots.get(lot or ""), START,
            )  # fmt: skip
            if lot is not None:
                await driver.execute("INSERT INTO cell (unit_id, carton) VALUES ($1, $2)", ids.units[name], carton)
            model.pieces[name] = Piece(name, "CELL", lot, None, carton if lot is not None else None)
        await _build(driver, ids, model, chance, (lots, glues), issued)
    return model


class _Ids:
    def __init__(self, driver: Any) -> None:
        self.driver, self.units = driver, dict[str, int]()

    async def read(self, issued: dict[str, Sequence[str]]) -> None:
        """Read the ids of parts, stations, tools, steps and units that are there."""
        self.parts = await self._of("SELECT number, id FROM part")
        self.stations = await self._of("SELECT code, id FROM station")
        self.tools = await self._of("SELECT code, id FROM tool")
        self.steps = {
            (row[0], row[1]): row[2]
            for row in await self.driver.fetch(
                "SELECT p.number, s.operation, s.id FROM step s JOIN product_revision r ON r.id = s.revision_id "
                "JOIN part p ON p.id = r.part_id"
            )
        }
        self.units |= await self._of("SELECT serial, id FROM unit")

    async def _of(self, sql: str) -> dict[str, int]:
        return {row[0]: row[1] for row in await self.driver.fetch(sql)}


async def _lot(driver: Any, ids: _Ids, name: str, part: str) -> int:
    lot: int = await driver.fetchval(
        "INSERT INTO lot (number, part_id, state, supplier, supplier_lot, quantity, quantity_left, country, "
        "received_at) VALUES ($1, $2, 'released', $3, $1, 100, 100, 'US', $4) RETURNING id",
        name, ids.parts[part], f"of {name}", START,
    )  # fmt: skip
    return lot


async def _build(
    driver: Any,
    ids: _Ids,
    model: Model,
    chance: random.Random,
    lots: tuple[dict[str, int], dict[str, int]],
    issued: dict[str, Sequence[str]],
) -> None:
    cells = [name for name, piece in model.pieces.items() if piece.part == "CELL"]
    chance.shuffle(cells)
    places: dict[str, dict[int, str]] = {name: {} for part in ("MOD", "PACK") for name in issued[part]}
    fit = _Fitter(driver, ids, model, lots)
    for hour in range(1, 120):
        at = START + hour * HOUR
        name = chance.choice([*issued["MOD"], *issued["MOD"], *issued["PACK"]])
        cycle = await _cycle(driver, ids, model, chance, name, at)
        part, most = ("CELL", 4) if name in issued["MOD"] else ("MOD", 2)
        loose = [c for c in (cells if part == "CELL" else issued["MOD"]) if fit.is_loose(c)]
        free = [p for p in range(1, most + 1) if p not in places[name]]
        if places[name] and chance.random() < 0.2:
            position = chance.choice(sorted(places[name]))
            await fit.take_out(places[name].pop(position), cycle, at)
        elif free and loose:
            places[name][free[0]] = chance.choice(loose)
            await fit.put_in(places[name][free[0]], name, part, free[0], cycle, at)
        if name in issued["MOD"] and chance.random() < 0.2:
            await fit.use_up(chance.choice(GLUES), name, cycle, at)


class _Fitter:
    def __init__(self, driver: Any, ids: _Ids, model: Model, lots: tuple[dict[str, int], dict[str, int]]) -> None:
        self._driver, self._ids, self._model = driver, ids, model
        self._lots, self._glues = lots

    def is_loose(self, name: str) -> bool:
        return all(until is not None for _, _, until in self._model.pieces[name].inside)

    async def put_in(self, name: str, parent: str, part: str, position: int, cycle: int, at: datetime) -> None:
        await self._driver.execute(
            "INSERT INTO installation (parent_id, child_id, lot_id, part_id, position, quantity, cycle_id, "
            "installed_at) VALUES ($1, $2, $3, $4, $5, 1, $6, $7)",
            self._ids.units[parent], self._ids.units[name], self._lots.get(self._model.pieces[name].lot or ""),
            self._ids.parts[part], position, cycle, at,
        )  # fmt: skip
        self._model.pieces[name].inside.append((parent, at, None))

    async def take_out(self, name: str, cycle: int, at: datetime) -> None:
        await self._driver.execute(
            "UPDATE installation SET removed_at = $2, removed_cycle_id = $3 WHERE child_id = $1 AND removed_at IS NULL",
            self._ids.units[name], at, cycle,
        )  # fmt: skip
        parent, since, _ = self._model.pieces[name].inside.pop()
        self._model.pieces[name].inside.append((parent, since, at))

    async def use_up(self, glue: str, name: str, cycle: int, at: datetime) -> None:
        await self._driver.execute(
            "INSERT INTO installation (parent_id, lot_id, part_id, quantity, cycle_id, installed_at) "
            "VALUES ($1, $2, $3, 0.5, $4, $5)",
            self._ids.units[name], self._glues[glue], self._ids.parts["GLUE"], cycle, at,
        )  # fmt: skip
        self._model.pieces[name].used.append((glue, at, None))


async def _cycle(driver: Any, ids: _Ids, model: Model, chance: random.Random, name: str, at: datetime) -> int:
    station = chance.choice(STATIONS)
    tools = [tool for tool, of in model.tools.items() if of == station]
    done = Done(
        station,
        station[3:],
        chance.choice([*tools, None]),
        chance.choice(PROGRAMS),
        (chance.choice(PEOPLE), chance.choice(PEOPLE)),
        chance.choice(["passed", "failed"]),
        [chance.choice([None, round(chance.uniform(90, 110), 1)]) for _ in range(2)],
        at - chance.randint(0, 40) * timedelta(minutes=1),
        at,
        at + chance.choice([0, 0, 300]) * timedelta(minutes=1),
    )
    model.pieces[name].cycles.append(done)
    step = ids.steps[model.pieces[name].part, done.operation]
    cycle: int = await driver.fetchval(
        "INSERT INTO cycle (station_id, cycle, asker, unit_id, step_id, tool_id, verdict, station_verdict, answer, "
        "program_revision, operator, second_operator, waivers, verdicts, digest, started_at, ended_at, reported_at) "
        "VALUES ($1, $2, 'test', $3, $4, $5, $6, $6, '{}', $7, $8, $9, '{}', '{}', '', $10, "
        "$11, $12) RETURNING id",
        ids.stations[station], f"c{at:%d%H}-{name}", ids.units[name], step, ids.tools.get(done.tool or ""),
        done.verdict, done.program, *done.people, done.started_at, done.ended_at, done.reported_at,
    )  # fmt: skip
    await driver.execute(
        "INSERT INTO measurement (cycle_id, at, step_id, numbers, texts, failed) VALUES ($1, $2, $3, $4, '{}', '{}')",
        cycle, done.reported_at, step, [1.0, *done.values],
    )  # fmt: skip
    return cycle


def question(chance: random.Random, model: Model, depth: int = 0) -> str:
    """A random question, as somebody might type it."""
    roll = chance.random()
    inner: Callable[[], str] = lambda: question(chance, model, depth + 1)  # noqa: E731
    if depth < 3 and roll < 0.45:
        word = chance.choice([" and ", " or "])
        return f"({word.join(inner() for _ in range(chance.randint(2, 3)))})"
    if depth < 3 and roll < 0.55:
        return f"not {inner()}"
    if depth < 3 and roll < 0.7:
        word = chance.choice([" and ", " or ", " and not "])
        return f"passed ({word.join(_of_cycle(chance) for _ in range(chance.randint(1, 3)))})"
    if roll < 0.85:
        return _of_cycle(chance)
    serials = chance.sample(sorted(model.pieces), 2)
    return chance.choice(
        [
            f"serial in ({', '.join(serials)})",
            f"part = {chance.choice(['CELL', 'MOD', 'PACK'])}",
            "order = WO-1",
            f"lot = {chance.choice([*LOTS, *GLUES])}",
            f"carton in ({', '.join(chance.sample(['B1', 'B2', 'B3'], 2))})",
            f'supplier = "of {chance.choice([*LOTS, *GLUES])}"',
        ]
    )


def _of_cycle(chance: random.Random) -> str:
    since = START + chance.randint(0, 110) * HOUR
    return chance.choice(
        [
            f"station = {chance.choice(STATIONS)}",
            f"operation = {chance.choice(STATIONS)[3:]}",
            f"tool in ({', '.join(chance.sample(['T1', 'T2', 'T3'], chance.randint(1, 2)))})",
            f"program = {chance.choice(['1', '2'])}",
            f"operator = {chance.choice(['anna', 'bo'])}",
            f"verdict = {chance.choice(['passed', 'failed'])}",
            f"at {since.isoformat()}..{(since + chance.randint(1, 40) * HOUR).isoformat()}",
            f"value force_n outside {chance.randint(90, 99)}..{chance.randint(100, 110)}",
            f"value force_n {chance.choice(['below', 'above'])} {chance.randint(92, 108)}",
            f"value force_n inside {chance.randint(90, 99)}..{chance.randint(100, 110)}",
        ]
    )


def as_json(model: Model) -> str:
    """The model, to be shown where it disagrees."""
    return json.dumps({name: vars(piece) for name, piece in model.pieces.items()}, default=str)
