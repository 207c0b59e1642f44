"""Reads the tables raw: what is new since the last look, and the few that are short, whole. One statement."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg

from tests.simulation.auditor.rows import (
    Act,
    Article,
    Check,
    Containment,
    Cycle,
    Disposition,
    Edge,
    Finding,
    Hold,
    Lot,
    Order,
    Permit,
    Signature,
    Unit,
    Waiver,
)

# ledger -> its row, where the columns are written otherwise
ADDED: dict[str, tuple[type[Any], dict[str, str]]] = {
    "unit": (Unit, {}),
    "permit": (Permit, {}),
    "cycle": (Cycle, {}),
    "finding": (Finding, {"detail": "facts ->> 'detail'"}),
    "hold": (Hold, {}),
    "hold_signature": (Signature, {}),
    "disposition": (Disposition, {}),
    "containment": (Containment, {}),
    "station_check": (Check, {}),
    "act": (Act, {}),
}
WHOLE: dict[str, type[Any]] = {"waiver": Waiver, "first_article": Article, "work_order": Order, "lot": Lot}
# every ledger, and the columns that close a row of it
LEDGERS: dict[str, tuple[str, ...]] = {
    "act": (),
    "permit": (),
    "cycle": (),
    "finding": (),
    "measurement": (),
    "installation": ("removed_at", "removed_cycle_id"),
    "containment": (),
    "hold": ("released_at", "released_by", "release_reason"),
    "hold_signature": (),
    "disposition": (),
    "waiver": ("revoked_at", "revoked_by", "revoke_reason"),
    "station_check": (),
    "first_article": ("signed_at", "signed_by", "sign_verdict"),
    "certificate": ("withdrawn_at", "withdrawn_by", "withdraw_reason"),
    "order_revision": (),
    "cell": (),
}
R = TypeVar("R")


def _columns(row: type[Any], written: dict[str, str]) -> str:
    texts = {"quantity": "quantity::text", "quantity_left": "quantity_left::text"} if row in {Edge, Lot} else {}
    chosen = texts | written
    return ", ".join(f"{chosen.get(name, name)} AS {name}" for name in row._fields)


def _listed(row: type[Any], table: str, where: str, written: dict[str, str] | None = None) -> str:
    inner = f"SELECT {_columns(row, written or {})} FROM {table} WHERE {where} ORDER BY id"
    values = ", ".join(f"r.{name}" for name in row._fields)
    return f"(SELECT json_agg(json_build_array({values}))::text FROM ({inner}) AS r)"


def _question() -> str:
    asked = [_listed(row, table, f"id > ${n}", how) for n, (table, (row, how)) in enumerate(ADDED.items(), 1)]
    n = len(asked)
    asked += [_listed(row, table, "true") for table, row in WHOLE.items()]
    asked.append(_listed(Edge, "installation", f"id > ${n + 1} OR removed_cycle_id > ${n + 2}"))
    asked.append(_listed(Hold, "hold", f"id = ANY(${n + 3}::bigint[]) AND released_at IS NOT NULL"))
    asked.append("(SELECT json_agg(json_build_array(id, state, lot_id))::text FROM unit)")
    return "SELECT " + ", ".join(asked)


_QUESTION = _question()


@dataclass(slots=True)
class News:
    """What one look found new; `edges` and `holds` closed since are in `closed` alone."""

    units: list[Unit] = field(default_factory=list)
    permits: list[Permit] = field(default_factory=list)
    cycles: list[Cycle] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    signatures: list[Signature] = field(default_factory=list)
    dispositions: list[Disposition] = field(default_factory=list)
    containments: list[Containment] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    closed_edges: list[Edge] = field(default_factory=list)
    closed_holds: list[Hold] = field(default_factory=list)
    was_state: dict[int, str] = field(default_factory=dict)  # of the units whose state changed: what it was
    was_order: dict[int, Order] = field(default_factory=dict)
    was_lot: dict[int, Lot] = field(default_factory=dict)
    is_first: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing but permits and their journal rows is new."""
        names = ("units", "cycles", "findings", "holds", "signatures", "dispositions", "containments", "checks")
        names += ("edges", "closed_edges", "closed_holds", "was_state")
        return not any(getattr(self, name) for name in names)


class Tables:
    """What the auditor has read so far."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.units: dict[int, Unit] = {}
        self.by_serial: dict[str, int] = {}
        self.of_part: defaultdict[str, list[int]] = defaultdict(list)
        self.state: dict[int, str] = {}
        self.lot_of: dict[int, int | None] = {}
        self.permits: dict[tuple[int, str], Permit] = {}
        self.cycles: dict[tuple[int, str], Cycle] = {}
        self.cycles_of: defaultdict[tuple[str, int], list[Cycle]] = defaultdict(list)  # ("unit" | "lot", id)
        self.findings: defaultdict[int, dict[str, str]] = defaultdict(dict)
        self.edges: dict[int, Edge] = {}
        self.edges_of_cycle: defaultdict[int, list[int]] = defaultdict(list)
        self.places_of: defaultdict[int, list[int]] = defaultdict(list)  # child -> its edges, in order
        self.edges_at: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)  # parent, part, position
        self.inside: defaultdict[int, set[int]] = defaultdict(set)  # parent -> its open edges
        self.parent: dict[int, int] = {}  # child -> its open edge
        self.holds: dict[int, Hold] = {}
        self.open_holds: set[int] = set()
        self.signed: defaultdict[int, dict[str, str]] = defaultdict(dict)
        self.dispositions_of: defaultdict[int, list[Disposition]] = defaultdict(list)
        self.containments: dict[int, str] = {}  # with their reasons
        self.checks: dict[str, int] = {}
        self.waivers: dict[int, Waiver] = {}
        self.articles: dict[int, Article] = {}
        self.orders: dict[int, Order] = {}
        self.lots: dict[int, Lot] = {}
        self.lot_numbers: dict[str, int] = {}
        self.stations: dict[int, str] = {}
        self.parts: dict[int, str] = {}
        self.steps: dict[int, tuple[int, str]] = {}  # step -> part, operation
        self._last: dict[str, int] = dict.fromkeys([*ADDED, "installation", "removed"], 0)

    async def read(self) -> News:
        """Read what is new."""
        if not self.steps:
            await self._read_plant()
        values = [self._last[table] for table in ADDED]
        values += [self._last["installation"], self._last["cycle"], sorted(self.open_holds)]
        row = await self.connection.fetchrow(_QUESTION, *values)
        told = [json.loads(column) if column else [] for column in row]
        news = News(is_first=not self.units)
        added: list[list[Any]] = []
        for (table, (kind, _)), rows in zip(ADDED.items(), told, strict=False):
            added.append([kind(*values) for values in rows])
            if rows:
                self._last[table] = rows[-1][0]
        (news.units, news.permits, news.cycles, news.findings, news.holds, news.signatures) = added[:6]
        (news.dispositions, news.containments, news.checks, news.acts) = added[6:]
        waivers, articles, orders, lots, edges, closed, states = told[len(ADDED) :]
        self._take_whole(news, waivers, articles, orders, lots)
        self._take_states(news, states)
        self._take_ledgers(news)
        self._take_edges(news, [Edge(*values) for values in edges])
        news.closed_holds = [Hold(*values) for values in closed]
        self._take_holds(news)
        return news

    async def _read_plant(self) -> None:
        fetch = self.connection.fetch
        self.stations = {r["id"]: r["code"] for r in await fetch("SELECT id, code FROM station")}
        self.parts = {r["id"]: r["number"] for r in await fetch("SELECT id, number FROM part")}
        told = "SELECT s.id, v.part_id, s.operation FROM step s JOIN product_revision v ON v.id = s.revision_id"
        self.steps = {r["id"]: (r["part_id"], r["operation"]) for r in await fetch(told)}

    def _take_whole(self, news: News, waivers: Any, articles: Any, orders: Any, lots: Any) -> None:
        self.waivers = {values[0]: Waiver(*values) for values in waivers}
        self.articles = {values[0]: Article(*values) for values in articles}
        was_orders, was_lots = self.orders, self.lots
        self.orders = {values[0]: Order(*values) for values in orders}
        self.lots = {values[0]: Lot(*values) for values in lots}
        news.was_order = {id_: was_orders[id_] for id_ in was_orders if was_orders[id_] != self.orders.get(id_)}
        news.was_lot = {id_: was_lots[id_] for id_ in was_lots if was_lots[id_] != self.lots.get(id_)}
        self.lot_numbers = {lot.number: lot.id for lot in self.lots.values()}

    def _take_states(self, news: News, states: list[tuple[int, str, int | None]]) -> None:
        now = {id_: state for id_, state, _ in states}
        news.was_state = {id_: state for id_, state in self.state.items() if now.get(id_) != state}
        self.state = now
        self.lot_of = {id_: lot for id_, _, lot in states}

    def _take_ledgers(self, news: News) -> None:
        for unit in news.units:
            self.units[unit.id] = unit
            self.by_serial[unit.serial] = unit.id
            self.of_part[self.parts[unit.part_id]].append(unit.id)
        for permit in news.permits:
            self.permits[permit.station_id, permit.cycle] = permit
        for cycle in news.cycles:
            self.cycles[cycle.station_id, cycle.cycle] = cycle
            subject = ("unit", cycle.unit_id) if cycle.unit_id is not None else ("lot", cycle.lot_id or 0)
            self.cycles_of[subject].append(cycle)
        for finding in news.findings:
            self.findings[finding.cycle_id][finding.code] = finding.detail or ""
        for disposition in news.dispositions:
            self.dispositions_of[disposition.unit_id or 0].append(disposition)
        self.containments |= {containment.id: containment.reason for containment in news.containments}
        self.checks |= {check.note: check.id for check in news.checks if check.note}

    def _take_edges(self, news: News, edges: list[Edge]) -> None:
        for edge in edges:
            if edge.id in self.edges:
                news.closed_edges.append(edge)
            else:
                news.edges.append(edge)
                self._last["installation"] = max(self._last["installation"], edge.id)
                self.edges_of_cycle[edge.cycle_id].append(edge.id)
                if edge.child_id is not None:
                    self.places_of[edge.child_id].append(edge.id)
                if edge.position is not None:
                    self.edges_at[edge.parent_id, edge.part_id, edge.position].append(edge.id)
        for edge in news.closed_edges:
            self.inside[edge.parent_id].discard(edge.id)
            if edge.child_id is not None and self.parent.get(edge.child_id) == edge.id:
                del self.parent[edge.child_id]
        for edge in edges:
            self.edges[edge.id] = edge
            if edge.removed_at is None:
                self.inside[edge.parent_id].add(edge.id)
                if edge.child_id is not None:
                    self.parent[edge.child_id] = edge.id

    def _take_holds(self, news: News) -> None:
        for hold in [*news.holds, *news.closed_holds]:
            self.holds[hold.id] = hold
            (self.open_holds.add if hold.released_at is None else self.open_holds.discard)(hold.id)
        for signature in news.signatures:
            self.signed[signature.hold_id][signature.role] = signature.signed_by

    def above(self, unit_id: int) -> list[int]:
        """What a unit is in now, all the way up."""
        found: list[int] = []
        while (edge := self.parent.get(unit_id)) is not None and len(found) < 50:
            unit_id = self.edges[edge].parent_id
            found.append(unit_id)
        return found

    async def row_hashes(self) -> dict[tuple[str, str], tuple[str, str]]:
        """A hash of what never changes of every ledger row, and what closes it."""
        found = {}
        for table, closing in LEDGERS.items():
            names = ", ".join(f"'{name}'" for name in (*closing, "closing_id"))
            kept = f"(to_jsonb(t) - ARRAY[{names}]::text[])::text" if closing else "t::text"
            closes = f"concat_ws('|', {', '.join(closing)})" if closing else "''"
            key = {"measurement": "cycle_id", "cell": "unit_id", "order_revision": "order_id || '/' || part_id"}
            asked = (
                f"SELECT ({key.get(table, 'id')})::text AS id, md5({kept}) AS kept, {closes} AS closing FROM {table} t"
            )
            for row in await self.connection.fetch(asked):
                found[table, row["id"]] = (row["kept"], row["closing"])
        return found
