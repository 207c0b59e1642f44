"""Examples of the station door's messages, for the OpenAPI document; a test sends each."""

from typing import Any

PERMIT_EXAMPLES: dict[str, Any] = {
    "unit": {
        "summary": "A weld station asks about a module",
        "value": {
            "station": "GC1-070",
            "cycle": "3735928559-1042",
            "asker": "gateway-gc1",
            "serial": "M7-2647-000001",
        },
    },
    "lot": {
        "summary": "Receiving asks about a lot",
        "value": {
            "station": "GC1-010",
            "cycle": "3735928559-7",
            "asker": "terminal-receiving",
            "serial": "LOT-CELL-1",
            "operator": "badge-0117",
        },
    },
}
REPORT_EXAMPLES: dict[str, Any] = {
    "module": {
        "summary": "A busbar station reports values and the lots it used up",
        "value": {
            "station": "GC1-060",
            "cycle": "3735928559-1043",
            "asker": "gateway-gc1",
            "serial": "M7-2647-000001",
            "verdict": "passed",
            "started_at": "2026-11-23T08:30:00Z",
            "ended_at": "2026-11-23T08:31:58Z",
            "values": {
                "plate_present": [True] * 17,
                "gap_mm": [0.04],
                "clean_to_weld_h": [1.5],
                "vision_score_pct": [98.2],
            },
            "lots": [{"lot": "LOT-BUSBAR-S", "quantity": "15"}, {"lot": "LOT-BUSBAR-T", "quantity": "2"}],
        },
    },
    "swap": {
        "summary": "A BMS is taken out and another fitted",
        "value": {
            "station": "GC1-100",
            "cycle": "3735928559-1044",
            "asker": "terminal-rework",
            "serial": "GC48105-2647-000001",
            "verdict": "failed",
            "started_at": "2026-11-23T09:00:00Z",
            "ended_at": "2026-11-23T09:04:10Z",
            "values": {},
            "removals": ["BMS-000001"],
            "components": [{"part": "BMS-16S", "serial": "BMS-000002", "position": 1}],
            "operator": "badge-0117",
        },
    },
}
