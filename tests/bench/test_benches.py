"""Every bench starts what it needs and prints the figures it names."""

import json
import subprocess
import sys

import pytest

NAMED = {
    "station": {
        "ratio_to_sql",
        "reports_per_s",
        "report_p50_ms",
        "report_p99_ms",
        "permits_per_s",
        "permit_p99_ms",
        "cpu_ms_per_report",
    },
    "pack": {"cpu_s_per_pack", "requests_per_pack", "exact"},
    "import": {"ratio_to_copy", "rows_per_s", "copy_rows_per_s", "peak_memory_mb"},
    "seal": {"ratio_to_unsealed", "reports_per_s", "unsealed_reports_per_s", "verify_rows_per_s", "fits"},
    "gateway": {"permit_p50_ms_2", "permit_p99_ms_2", "echo_p99_ms_2", "cpu_ms_per_handshake_2"},
    "common": {"found_first_pct", "silent_pct", "rank_seconds"},
    "match": {"one_group_spread_pct", "pool_acir_spread_pct", "pool_seconds", "large_seconds"},
}
SMALL = {
    "station": ["--reports", "32", "--rounds", "1", "--workers", "1"],
    "pack": ["--packs", "1", "--streams", "2", "--workers", "1"],
    "import": ["--cells", "1000", "--rounds", "1"],
    "seal": ["--reports", "32", "--rounds", "1", "--workers", "1"],
    "gateway": [
        *("--stations", "2", "--pace-s", "0.2", "--seconds", "1", "--rounds", "1"),
        *("--handshakes", "0", "--security", "none", "--workers", "1"),
    ],
    "common": ["--incidents", "20", "--without", "10"],
    "match": ["--seeds", "1"],
}


@pytest.mark.parametrize("name", NAMED)
def test_a_bench_prints_its_figures(name: str) -> None:
    command = [sys.executable, "-m", "mes.cli", "bench", name, "--json", *SMALL[name]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout)
    assert NAMED[name] <= set(figures)
    if name == "gateway":
        assert figures["wrong"] == 0
    if name == "common":
        assert figures["found_first_pct"] >= 95
        assert figures["silent_pct"] >= 90
    if name == "pack":
        assert figures["exact"] == 1
        assert figures["requests_per_pack"] <= 45
