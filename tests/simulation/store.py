"""What the store does: lots received, opened; a lot that comes after its cells were used."""

from tests.simulation.choosing import QUALITY, Chance
from tests.simulation.plant import cells
from tests.simulation.shift import Action

CLERK = ("otto", "operator")


class Store:
    """Plays the store."""

    def __init__(self, chance: Chance) -> None:
        self.chance = chance
        self.tables = chance.book.tables

    def receive(self) -> Action:
        """Receive a lot."""
        chance = self.chance
        if chance.unheard_of and chance.is_so(0.5):
            return self._late()
        number = chance.number + 1
        if chance.is_so(0.4):
            part = chance.one(("CELL", "CELL", "CELL-B", "BMS"))
            rows = [list(row) for row in cells(f"R{number}", 12)]
            return self._file(f"R{number}", part, rows)
        part, more = chance.one((("GLUE", {"expires_on": chance.one(("2026-12-10", "2026-12-20"))}), ("SCREW", {})))
        lot = f"R{number}" if chance.is_so(0.9) else "LATE"
        m = {"lot": lot, "part": part, "quantity": chance.one((3, 60)), "supplier": "Acme", "supplier_lot": "S-R"}
        return chance.action("receive_lot", CLERK, **m, country="US", **more)

    def _late(self) -> Action:
        """The lot of cells that a report was the first to name."""
        named = [serial for serial, part in self.chance.unheard_of.items() if part == "CELL"]
        rows = [[serial, "KL", "D9"] for serial in named[:4]]
        for serial, _, _ in rows:
            del self.chance.unheard_of[serial]
        return self._file(f"L{self.chance.number + 1}", "CELL", rows)

    def _file(self, lot: str, part: str, rows: list[list[str]]) -> Action:
        m = {"lot": lot, "part": part, "rows": rows, "supplier": "Acme", "supplier_lot": f"S-{lot}"}
        return self.chance.action("receive_units", CLERK, **m, country="CN", date_code="X9")

    def open(self) -> Action:
        """Open a lot: its pot life runs."""
        lots = [lot.number for lot in self.tables.lots.values() if self.tables.parts[lot.part_id] == "GLUE"]
        return self.chance.action("open_lot", CLERK, lot=self.chance.one(lots))

    def decide(self) -> Action:
        """Release a lot whatever its receiving found, or reject it."""
        lot = self.chance.one([*self.tables.lot_numbers, "GX", "GX"])
        decision = "reject" if lot == "GX" or self.chance.is_so(0.1) else "release"
        return self.chance.action("dispose_lot", QUALITY, lot=lot, decision=decision, reason="quality decides")
