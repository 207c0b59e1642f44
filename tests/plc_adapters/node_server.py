"""A server by node-opcua, which shares no code with ours: its packages installed once, its process, what it is told."""

import asyncio
import hashlib
import json
import os
import shutil
import socket
import subprocess
from contextlib import suppress
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from plc_adapters.opcua.pki import Access, Pki

SOURCE = Path(__file__).parents[1] / "node_opcua"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pack-mes-tests"
USER, PASSWORD = "mes", "node-opcua's own"
INSTALL_S, START_S, ANSWER_S = 300, 60, 10


def installed() -> Path:
    """The folder of node-opcua's packages, filled at its first use; skips, saying why, where that can't be done."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = CACHE / f"node-opcua-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("NOT TESTED against node-opcua: node and npm are missing; install Node.js 20 or newer")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        flock(file, LOCK_EX)  # another worker may be at it
        if not (folder / "installed").exists():
            _install(folder)
    return folder


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(SOURCE / name, folder / name)
    command = ["npm", "ci", "--ignore-scripts"]
    try:
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"NOT TESTED against node-opcua: npm ci took longer than {INSTALL_S} s")
    if done.returncode:
        pytest.skip(f"NOT TESTED against node-opcua: npm ci failed: {done.stderr[-500:]}")
    (folder / "installed").touch()


class NodeServer:
    """The server's process: started, told what to do, killed; encrypted, with a user and a password."""

    def __init__(self, profile: str, folder: Path, **settings: Any) -> None:
        self._profile = profile
        self._folder = folder
        self.port = 0
        self._settings = {"namespace": "urn:test", "password": PASSWORD, "pki": str(folder / "server"), **settings}
        self._process: asyncio.subprocess.Process | None = None
        self._talking = asyncio.Lock()

    async def start(self) -> None:
        """Start it on a free port, or on the one it had."""
        self.port = self.port or _free_port()
        settings = json.dumps({**self._settings, "port": self.port})
        self._process = await asyncio.create_subprocess_exec(
            *("node", str(SOURCE / "server.mjs"), self._profile, settings),
            cwd=installed(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=(self._folder / "server.log").open("ab"),
            limit=2**20,
        )
        async with asyncio.timeout(START_S):
            await self._heard("ready")

    async def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def do(self, name: str, **told: Any) -> Any:
        """Have the server do something, and return what it answers."""
        assert self._process is not None
        assert self._process.stdin is not None
        async with self._talking, asyncio.timeout(ANSWER_S):
            self._process.stdin.write(json.dumps({"do": name, **told}).encode() + b"\n")
            return await self._heard("answer")

    async def until(self, holds: Any, name: str, **told: Any) -> Any:
        """Ask until the answer holds, and return it."""
        async with asyncio.timeout(ANSWER_S):
            while not holds(answer := await self.do(name, **told)):  # noqa: ASYNC110  another process's
                await asyncio.sleep(0.02)
            return answer

    def access(self, station: str) -> Access:
        """What a gateway has that trusts this server by its certificate and knows the password."""
        pki = Pki(self._folder / "gateway")
        shown = self._folder / "shown.der"
        own = self._folder / "server" / "own" / "certs" / "certificate.pem"
        shown.write_bytes(x509.load_pem_x509_certificate(own.read_bytes()).public_bytes(Encoding.DER))
        pki.add_trusted(shown)
        password = self._folder / f"{station}.password"
        password.write_text(PASSWORD)
        password.chmod(0o600)
        return Access(pki, self._folder)

    async def _heard(self, what: str) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = _said(line)
            assert "error" not in said, said["error"]
            if what in said:
                return said[what]
        log = (self._folder / "server.log").read_text("utf-8", "replace")
        raise AssertionError(f"node-opcua's server ended: {log[-2000:]}")


def _said(line: bytes) -> dict[str, Any]:
    """A line of ours; its packages write lines of their own to the same place."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
