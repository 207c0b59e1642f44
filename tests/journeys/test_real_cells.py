"""Real input: 124 measured LFP cells are received as a user would, and 112 of them become a traced 16s7p pack."""

import csv
from pathlib import Path
from typing import Any

from mes.db import Database
from mes.execution.messages import Component
from mes.genealogy.trace import trace, where_used
from mes.plan.service import apply_files
from mes.records.queries import history
from tests.build import line as build

# The file names cells per batch ("train", "cell1"): its rows are joined to a serial that is unique. The capacity is
# that of cycle 10, measured; the file has no OCV and no ACIR, and so the product maps none.
PLANT = """
sites:
  - code: R
    name: Real cells
    lines:
      - {code: R1, name: Small pack, stations: [{code: R-040, name: Insert, operations: ["040"]}]}
parts:
  - number: APR18650M1A
    name: LFP cell 18650, 1.1 Ah
    trace: serial
    unit: pcs
    receiving:
      serial: {column: Cell}
      carton: {column: Batch}
      capacity_ah: {column: Capacity at cycle 10 (Ah), min: 0.5, max: 1.5}
  - {number: MINI-16S7P, name: Pack of real cells, trace: serial, unit: pcs, serial_pattern: "MINI-{number:04}"}
products:
  - part: MINI-16S7P
    bom:
      - {part: APR18650M1A, operation: "040", quantity: 112, groups: 16}
    route:
      - operation: "040"
        name: Insert
        characteristics:
          - {name: capacity_ah, unit: Ah, count: 112, min: 1.03, max: 1.10}
          - {name: polarity_ok, kind: boolean, count: 112, expected: true}
"""


def _rows(shared_data: Path) -> list[dict[str, Any]]:
    with (shared_data / "cells" / "lfp_cells_124.csv").open() as file:
        return list(csv.DictReader(file))


async def test_measured_cells_become_a_traced_pack(database: Database, shared_data: Path, tmp_path: Path) -> None:
    rows = _rows(shared_data)
    file = tmp_path / "plant.yaml"
    file.write_text(PLANT)
    await apply_files(database, [file], build.ACTOR)
    measured = {f"{row['batch']}-{row['cell']}": float(row["capacity_ah_cycle_10"]) for row in rows}
    assert len(measured) == len(rows) == 124
    table = "Cell,Batch,Capacity at cycle 10 (Ah)\n"
    table += "".join(f"{serial},{serial.partition('-')[0]},{capacity}\n" for serial, capacity in measured.items())
    await build.receive_file(database, "REAL-1", "APR18650M1A", table.encode())
    pack = (await build.order(database, part="MINI-16S7P"))["MINI-16S7P"][0]
    chosen = sorted(measured, key=lambda serial: -measured[serial])[:112]
    assert (await build.permit(database, "R-040", pack, cycle="1-1")).granted
    answer = await build.report(
        database,
        "R-040",
        pack,
        cycle="1-1",
        values={"capacity_ah": [measured[serial] for serial in chosen], "polarity_ok": [True] * 112},
        components=[Component(part="APR18650M1A", serial=s, position=n) for n, s in enumerate(chosen, start=1)],
    )
    outside = [serial for serial in chosen if not 1.03 <= measured[serial] <= 1.10]
    assert answer.failure_count == len(outside)
    assert answer.findings == []
    async with database.reading() as session:
        traced = await trace(session, pack)
        used = await where_used(session, "REAL-1")
        first = await history(session, chosen[0])
    assert {node.position: node.serial for node in traced.tree.inside} == dict(enumerate(chosen, start=1))
    assert traced.tree.gaps == []
    assert ([p.serial for p in used.packs], used.loose) == ([pack], 12)
    assert first.supplier_data["capacity_ah"] == measured[chosen[0]]
    assert first.places[0].parent == pack
