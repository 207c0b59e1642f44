"""The image's health check knows a well service from one that refuses, is silent or absent."""

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.deploy import DEPLOY, run


class Service(BaseHTTPRequestHandler):
    """Answers 200 to the right key, 401 to others."""

    def do_GET(self) -> None:
        """Answer."""
        is_known = self.path == "/health" and self.headers["Authorization"] == "Bearer right"
        self.send_response(200 if is_known else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    """The port of a service."""
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield str(server.server_port)
        server.shutdown()


def test_health(port: str, tmp_path: Path) -> None:
    check = (sys.executable, DEPLOY / "healthcheck.py")
    key = tmp_path / "key"
    key.write_text("right\n")
    known = {"MES_PORT": port, "MES_KEY_FILE": str(key), "http_proxy": "http://127.0.0.1:9"}
    assert run(*check, **known).returncode == 0
    key.write_text("wrong\n")
    refused = run(*check, **known)
    assert refused.returncode == 1
    assert "answers 401" in refused.stderr
    assert "wrong" not in refused.stderr
    assert "No such file" in run(*check, MES_PORT=port, MES_KEY_FILE="/no/key").stderr
    assert "refused" in run(*check, MES_HEALTH_URL="http://127.0.0.1:9/metrics").stderr
