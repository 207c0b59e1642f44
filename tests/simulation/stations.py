"""What stations say: a permit asked and a result reported, as it should be; `mishaps.py` spoils some."""

from typing import Any

from tests.simulation.auditor.standing import Standing
from tests.simulation.choosing import STATION, Chance
from tests.simulation.mishaps import spoil_question, spoil_report
from tests.simulation.plant import DIGEST, DOES, PROGRAM
from tests.simulation.shift import Action

NEEDED = {"30": ("GLUE", "0.5"), "80": ("SCREW", "8")}
CELLS, MODULES = 4, 2
REPORTED = {"station", "serial", "operation", "operator", "second_operator", "tool", "components", "removals"}
REPORTED |= {"program_revision", "recipe_digest"}
Fields = dict[str, Any]


class Stations:
    """Plays all the stations."""

    def __init__(self, chance: Chance) -> None:
        self.chance = chance
        self.tables = chance.book.tables

    def ask(self) -> Action | None:
        """Ask for what is next on some unit."""
        if self.chance.again:
            return self._permit(self.chance.again.pop(0))
        fields = self._next_work()
        if fields is None:
            return None
        if self.chance.is_so(0.16):
            spoil_question(self.chance, fields)
        return self._permit(fields)

    def tell(self) -> Action | None:
        """Report what was permitted, or what was refused."""
        waiting = self.chance.waiting
        if not waiting:
            return self.ask()
        # the oldest mostly, so that work gets done
        asked = waiting.pop(0 if self.chance.is_so(0.8) else self.chance.rng.randrange(len(waiting)))
        permit = self._answered(asked)
        if permit is False and not self.chance.is_so(0.07):
            return None  # a station that was refused lets the unit go, mostly
        return self._report(asked["m"], asked["m"]["cycle"])

    def tell_unasked(self) -> Action | None:
        """Report what nobody asked for."""
        fields = self._next_work()
        if fields is None:
            return None
        if self.chance.is_so(0.5):
            spoil_question(self.chance, fields)
        return self._report(fields, None)

    def _answered(self, asked: Action) -> bool | None:
        ids = {code: id_ for id_, code in self.tables.stations.items()}
        permit = self.tables.permits.get((ids.get(asked["m"]["station"], 0), asked["m"]["cycle"]))
        return permit.granted if permit else None

    def twins(self) -> list[Action]:
        """Two stations that want the same unit, or the same parts, at once; or two that report at once."""
        if len(self.chance.waiting) > 1 and self.chance.is_so(0.35):
            return [one for one in (self.tell(), self.tell()) if one is not None]
        first = self._next_work()
        if first is None:
            return []
        second = dict(first)
        others = [s for s in DOES.get(first["operation"] or "", []) if s != first["station"]]
        if others:
            second["station"] = self.chance.one(others)
        if self.chance.is_so(0.4) and (other := self._next_work()) is not None:
            second = other | {"components": first["components"] or other["components"]}
        if self.chance.is_so(0.75):
            return [self._permit(first), self._permit(second)]
        return [self._report(first, None), self._report(second, None)]

    def _permit(self, fields: Fields) -> Action:
        made = self.chance.action("permit", STATION, **fields, asker="sim")
        made["m"]["cycle"] = f"{self.chance.mark}{made['n']}"
        self.chance.waiting.append(made)
        self.chance.asked[made["m"]["cycle"]] = fields
        return made

    def _report(self, asked: Fields, cycle: str | None) -> Action:
        fields = {name: value for name, value in asked.items() if name in REPORTED and value is not None}
        passed = not self.chance.is_so(0.09)
        quantity = NEEDED.get(asked["operation"] or "", ("", "1"))[1]
        fields |= {
            "lots": [{"lot": lot, "quantity": quantity} for lot in asked["lots"]],
            "verdict": "passed" if passed else "failed",
            "values": {"ok": [passed]},
            "started_at": {"in_min": -self.chance.one((1, 2, 3))},
            "ended_at": {"in_min": 0},
        }
        if self.chance.is_so(0.07):
            spoil_report(self.chance, fields)
        made = self.chance.action("report", STATION, **fields, asker="sim")
        made["m"]["cycle"] = cycle or f"{self.chance.mark}{made['n']}"
        return made

    def _next_work(self) -> Fields | None:
        """A unit and what can be done with it now, with all that it takes."""
        is_owed = self._lot("GLUE") is None or self.chance.is_so(0.08)
        if is_owed and (glue := self._inspection()) is not None:
            return glue
        asked = {action["m"]["serial"] for action in self.chance.waiting}
        found: list[tuple[str, Standing]] = []
        for part in ("PACK", "MOD"):
            for unit_id in self.chance.loose(part, "issued", "in_process"):
                stands = self.chance.book.unit(unit_id)
                if self.chance.serial(unit_id) in asked or not stands.ready() or not self._can_begin(part, stands):
                    continue
                if not self._is_stopped(unit_id) or self.chance.is_so(0.05):
                    found.append((self.chance.serial(unit_id), stands))
        if not found:
            return None
        found.sort(key=lambda work: work[1].state != "in_process")
        # few at a time, so that they get finished
        serial, stands = self.chance.one(found[: 2 if self.chance.is_so(0.7) else 8])
        ready = stands.ready()
        return self.fields(serial, ready[0] if self.chance.is_so(0.6) else self.chance.one(ready))

    def _can_begin(self, part: str, stands: Standing) -> bool:
        if part == "PACK" and stands.ready() == ["60"]:
            return len(self.chance.good("MOD")) >= MODULES
        return True

    def _is_stopped(self, unit_id: int) -> bool:
        order = self.tables.orders.get(self.tables.units[unit_id].order_id or 0)
        return bool(self.chance.held([unit_id])) or (order is not None and order.state not in {"released", "started"})

    def _inspection(self) -> Fields | None:
        asked = {action["m"]["serial"] for action in self.chance.waiting}
        waiting = [lot.number for lot in self.tables.lots.values() if lot.state == "quarantined"]
        waiting = [number for number in waiting if number not in asked]
        return self.fields(self.chance.one(waiting), "05") if waiting else None

    def fields(self, serial: str, operation: str) -> Fields:
        """A question about an operation, as it should be."""
        if operation == "21" and self.chance.is_so(0.15):
            operation = "22"
        fields: Fields = dict.fromkeys(sorted(REPORTED)) | {"components": [], "removals": [], "lots": []}
        fields |= {"station": self.chance.one(DOES[operation]), "serial": serial, "operation": operation}
        if operation == "20":
            fields["tool"] = "T-NEW"
        elif operation == "40":
            fields |= {"recipe_digest": DIGEST, "program_revision": PROGRAM, "operator": "ann"}
        elif operation == "50":
            fields |= {"operator": "ann", "second_operator": "bob"}
        elif operation == "10":
            empty = self._empty(serial, "CELL", CELLS)
            fields["components"] = self._fit("CELL" if self.chance.is_so(0.85) else "CELL-B", empty)
        elif operation == "60":
            modules = self._fit("MOD", self._empty(serial, "MOD", MODULES))
            fields["components"] = modules + self._fit("BMS", self._empty(serial, "BMS", 1))
        elif operation in {"41", "71"}:
            self._swap(fields, serial)
        if operation in NEEDED and (lot := self._lot(NEEDED[operation][0])) is not None:
            fields["lots"] = [lot]
        return fields

    def _empty(self, serial: str, part: str, count: int) -> list[int]:
        inside = (self.tables.edges[id_] for id_ in self.tables.inside[self.tables.by_serial.get(serial, 0)])
        taken = {edge.position for edge in inside if self.tables.parts[edge.part_id] == part}
        return [position for position in range(1, count + 1) if position not in taken]

    def _fit(self, part: str, positions: Any) -> list[Fields]:
        taken = {c["serial"] for asked in self.chance.waiting for c in asked["m"]["components"]}
        free = [s for s in map(self.chance.serial, self.chance.good(part)) if s not in taken]
        chosen = free[:12]
        self.chance.rng.shuffle(chosen)
        return [{"part": part, "serial": s, "position": p} for p, s in zip(positions, chosen, strict=False)]

    def _swap(self, fields: Fields, serial: str) -> None:
        inside = [self.tables.edges[id_] for id_ in sorted(self.tables.inside[self.tables.by_serial[serial]])]
        parts = [edge for edge in inside if edge.child_id is not None]
        if not parts or self.chance.is_so(0.2):
            return
        edge = self.chance.one(parts)
        to = self.chance.one(("scrap", "stock", "stock", "review"))
        fields["removals"] = [{"serial": self.chance.serial(edge.child_id or 0), "to": to}]
        part = self.tables.parts[edge.part_id]
        fields["components"] = self._fit(part, [edge.position])

    def _lot(self, part: str) -> str | None:
        held = {self.tables.holds[id_].lot_id for id_ in self.tables.open_holds}
        mine = [lot for lot in self.tables.lots.values() if self.tables.parts[lot.part_id] == part]
        mine = [lot for lot in mine if lot.state == "released" and float(lot.quantity_left) > 0 and lot.id not in held]
        mine = [lot for lot in mine if not lot.expires_on or lot.expires_on > "2026-11-24"]
        if not self.chance.is_so(0.1):
            mine = [lot for lot in mine if not lot.opened_at] or mine
        mine.sort(key=lambda lot: lot.expires_on or "")
        return mine[0].number if mine else None
