"""Runs a program of the product with its clock moved: by the seconds that the file MES_TEST_CLOCK holds, read anew.

`python -m tests.faults.moved_clock MODULE ARGUMENTS` is `python -m MODULE ARGUMENTS` else. All of the product's time
comes from mes/clock.py, so this is what a jump of the PC's clock does to it, without a right to set that.
"""

import os
import runpy
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mes import clock

_FILE = Path(os.environ["MES_TEST_CLOCK"])


def _moved() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float(_FILE.read_text() or 0))


if __name__ == "__main__":
    clock.now = _moved
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
