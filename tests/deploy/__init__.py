"""The files of deploy/: checked by their own tools, and the scripts by running them against real PostgreSQL servers."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent


def run(*command: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with no more of our environment than PATH; what it said is in stdout and stderr."""
    variables: Mapping[str, str] = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment}
    arguments = [str(argument) for argument in command]
    return subprocess.run(
        arguments,
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
