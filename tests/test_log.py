"""Logs: what can't be written is lost, and nothing else."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging, structlog
from mes.log import configure
configure("json", "info")
for number in range(1000):
    structlog.get_logger().warning("said", number=number, text="x" * 100)
    logging.getLogger("other").warning("said")
print("goes on", flush=True)
"""


def test_a_full_disk_ends_no_program_that_logs_to_it() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.stdout == b"goes on\n"
