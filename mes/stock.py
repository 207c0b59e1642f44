"""Feeds the demo over HTTP, as a plant would be fed: lots with their files, and orders."""

import io
import json
import random
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

import httpx

CELLS_PER_PACK = 112
SPARE = 1.05  # cells received for each that is needed: some are refused, and a pool to choose from matches better
CARTON = 160
PAPERS = ("un383_test_summary", "certificate", "origin_declaration")
SERIAL_PARTS = ("BMS-16S", "HARNESS-16S", "HOUSING-GC48")
LOT_PARTS = (
    "HOLDER-7P",
    "BUSBAR-S",
    "BUSBAR-T",
    "ADHESIVE-2K",
    "INSULATION",
    "FUSE",
    "CABLE",
    "CONNECTOR",
    "COVER-GC48",
    "GASKET-GC48",
    "VENT",
    "SCREW-M5",
    "SCREW-M6",
    "SCREW-M8",
)


@dataclass
class Stock:
    """What one order needs; `run` makes its numbers unique."""

    client: httpx.AsyncClient
    run: str
    chance: random.Random
    cell_lots: list[str] = field(default_factory=list)
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def receive(self, packs: int) -> list[dict[str, Any]]:
        """Receive cells and parts for some packs; a job for the simulated line each, without its serials."""
        lot = f"CELL-{self.run}"
        self.cell_lots.append(lot)
        cells = [self._cell(n, lot) for n in range(1, round(packs * CELLS_PER_PACK * SPARE) + 1)]
        self.cells |= {cell["serial"]: cell for cell in cells}
        table = io.StringIO()
        table.write("Cell ID,Carton,OCV (V),ACIR (mOhm),Capacity (Ah),Measured at\n")
        for n, cell in enumerate(cells):
            carton = f"{self.run}-{n // CARTON + 1:03}"
            table.write(f"{cell['serial']},{carton},{cell['ocv_v']:.4f},{cell['acir_mohm']:.3f},")
            table.write(f"{cell['capacity_ah']:.3f},2026-10-01T08:00:00Z\n")
        await self._receive_file(lot, "CELL-LFP-15", table.getvalue(), "CN")
        serials: dict[str, list[str]] = {}
        for part in SERIAL_PARTS:
            serials[part] = [f"{part}-{self.run}-{n:04}" for n in range(1, packs + 1)]
            rows = "".join(f"{serial},{self.run}\n" for serial in serials[part])
            await self._receive_file(f"{part}-{self.run}", part, f"Serial,Carton\n{rows}", "US")
        lots = {part: await self._receive_lot(part, packs) for part in LOT_PARTS}
        return [
            {
                "kind": "pack",
                "product": "GC48-105",
                "cells": cells[n * CELLS_PER_PACK : (n + 1) * CELLS_PER_PACK],
                "serials": {part: serials[part][n] for part in SERIAL_PARTS},
                "lots": lots,
            }
            for n in range(packs)
        ]

    async def match(self, order: str) -> dict[str, list[dict[str, Any]]]:
        """Test, grade and match the cells of released lots for an order; each module's cells in order."""
        readings = [reading for cell in self.cells.values() for reading in self._readings(cell)]
        for start in range(0, len(readings), 5_000):
            body = {"source": "GC1-020", "readings": readings[start : start + 5_000]}
            (await self.client.post("/api/cells/tests", json=body)).raise_for_status()
        for lot in self.cell_lots:
            (await self.client.post("/api/lots/grade", json={"lot": lot})).raise_for_status()
        answer = await self.client.post("/api/kits/match", json={"order": order, "lots": self.cell_lots})
        found: dict[str, list[dict[str, Any]]] = {}
        for kit in answer.raise_for_status().json()["kits"]:
            content = (await self.client.get(f"/api/kits/{kit['kit']}")).raise_for_status().json()
            found[kit["unit"]] = [self.cells[cell["serial"]] for cell in content["cells"]]
        return found

    def _readings(self, cell: dict[str, Any]) -> list[dict[str, Any]]:
        """Two readings two days apart, of a cell that discharges itself a little."""
        first = {"serial": cell["serial"], "tested_at": "2026-11-01T08:00:00Z", "temperature_c": 24.8}
        first |= {"ocv_v": cell["ocv_v"], "acir_mohm": cell["acir_mohm"], "visual_ok": True}
        size = (("mass_g", 300, 1.2), ("diameter_mm", 33.2, 0.04), ("height_mm", 140.0, 0.06))
        first |= {name: round(self.chance.gauss(mean, deviation), 3) for name, mean, deviation in size}
        lost = abs(self.chance.gauss(0.012, 0.003)) * 48 / 1000
        second = {"serial": cell["serial"], "tested_at": "2026-11-03T08:00:00Z", "temperature_c": 25.1}
        return [first, second | {"ocv_v": round(cell["ocv_v"] - lost, 5)}]

    async def order(self, packs: int) -> dict[str, list[str]]:
        """Create and release an order; the serial numbers issued, by part."""
        number = f"WO-{self.run}"
        body = {"order": number, "part": "GC48-105", "quantity": packs, "erp_reference": f"ERP-{self.run}"}
        (await self.client.post("/api/orders", json=body)).raise_for_status()
        move = {"order": number, "event": "release"}
        (await self.client.post("/api/orders/move", json=move)).raise_for_status()
        found = (await self.client.get(f"/api/orders/{number}/serials")).raise_for_status().json()
        serials: dict[str, list[str]] = found["serials"]
        return serials

    def _cell(self, n: int, lot: str) -> dict[str, Any]:
        return {
            "serial": f"{lot}-{n:06}",
            "ocv_v": round(self.chance.gauss(3.265, 0.001), 4),
            "acir_mohm": round(self.chance.gauss(2.2, 0.066), 3),
            "capacity_ah": round(self.chance.gauss(15.15, 0.12), 3),
            "lot": lot,
        }

    async def _receive_file(self, lot: str, part: str, table: str, country: str) -> None:
        receipt: dict[str, Any] = {
            "lot": lot,
            "part": part,
            "quantity": str(table.count("\n") - 1),
            "supplier": "Demo supplier",
        }
        receipt |= {"supplier_lot": f"S-{lot}", "country": country}
        if part.startswith("CELL"):
            content = b64encode(f"Demo document of lot {lot}".encode()).decode()
            receipt["documents"] = [{"kind": kind, "file_name": f"{kind}.txt", "content": content} for kind in PAPERS]
        body = json.dumps(receipt)
        file = {"file": (f"{lot}.csv", table.encode(), "text/csv")}
        answer = await self.client.post("/api/lots/units", data={"receipt": body}, files=file)
        answer.raise_for_status()

    async def _receive_lot(self, part: str, packs: int) -> str:
        lot = f"{part}-{self.run}"
        receipt = {"lot": lot, "part": part, "quantity": str(packs * 50), "supplier": "Demo supplier"}
        receipt |= {"supplier_lot": f"S-{lot}", "country": "US"}
        (await self.client.post("/api/lots", json=receipt)).raise_for_status()
        return lot
