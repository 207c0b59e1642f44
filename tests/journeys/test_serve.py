"""`mes serve` finds the database of the data folder by itself, as a new user starts it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import stamina

from mes.embedded_postgres import scratch_dir

ANSWERS = stamina.RetryingCaller(attempts=None, timeout=60, wait_initial=0.1, wait_max=0.2)


def environment(folder: Path, port: int) -> dict[str, str]:
    """A user's own, with nothing set but where the data lies and where to serve."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MES_")}
    return kept | {"MES_DATA_DIR": str(folder), "MES_PORT": str(port), "MES_HOST": "127.0.0.1"}


def test_it_serves_what_was_migrated_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with scratch_dir() as folder:
        mes = [sys.executable, "-m", "mes.cli"]
        own = environment(folder / "data", port)
        subprocess.run([*mes, "migrate"], env=own, check=True, capture_output=True, timeout=120)
        make = [*mes, "keys", "create", "--name", "new", "--role", "quality", "--file", str(folder / "key")]
        subprocess.run(make, env=own, check=True, capture_output=True, timeout=120)
        server = subprocess.Popen([*mes, "serve"], env=own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                head = {"Authorization": f"Bearer {(folder / 'key').read_text().strip()}"}
                answer = ANSWERS.on(httpx.TransportError)(client.get, "/ready", headers=head)
            assert answer.status_code == 200, answer.text
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=30)
