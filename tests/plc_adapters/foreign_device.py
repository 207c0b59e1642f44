"""A PLC whose server isn't ours: node-opcua, in a process of its own."""

import asyncio
import hashlib
import json
import queue
import shutil
import subprocess
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mes import clock
from plc_adapters.mapping import StationMap
from plc_adapters.simulated.plc_server import ANSWERS, words_of
from tests.plc_adapters.device import KINDS, TagDevice, station_map

SOURCE = Path(__file__).parents[1] / "node_opcua"
USER, PASSWORD = "gateway", "open sesame"
WITHIN_S = 60


def install() -> Path:
    """Install the packages of the lock file, once for each; skips loudly where that can't be done."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("no node or npm here: nothing was tried against an OPC UA server that isn't ours")
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = Path.home() / ".cache/pack-mes-tests" / f"node-opcua-{hashlib.sha256(lock).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc", "server.mjs"):
        shutil.copyfile(SOURCE / name, folder / name)
    if not (folder / "installed").exists():
        done = subprocess.run(["npm", "ci"], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode != 0:
            pytest.skip(f"npm can't install node-opcua, nothing was tried against it: {done.stderr.strip()[-300:]}")
        (folder / "installed").touch()
    return folder


class ForeignPlc:
    """The words of a station in another process: what its program writes goes there, what clients write comes back."""

    def __init__(self, installed: Path, folder: Path) -> None:
        self._installed, self._folder = installed, folder
        self._words: dict[str, Any] = {}
        self._done: queue.Queue[dict[str, Any]] = queue.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._written = asyncio.Event()
        self.port = 0

    def start(self, station: StationMap, kept: dict[str, Any]) -> Path:
        """Start it, on the port it had before; returns its certificate."""
        words = [
            {"name": word, "node": node, "type": kind.name, "isArray": isinstance(first, list), "first": first}
            for word, node, first, kind in words_of(station, KINDS)
        ]
        self._words = {one["name"]: one["first"] for one in words} | kept
        told = {
            "port": self.port,
            "pki": str(self._folder / "pki"),
            "namespace": station.namespace,
            "code": station.code,
            "user": USER,
            "password": PASSWORD,
            "words": [
                one | {"first": self._words[one["name"]], "isWritable": one["name"].startswith(ANSWERS)}
                for one in words
            ],
        }
        self._process = subprocess.Popen(
            ["node", "--no-warnings", "server.mjs"],
            cwd=self._installed,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        said = self._tell(told)
        self.port = said["port"]
        return Path(said["certificate"])

    def stop(self) -> dict[str, Any]:
        """Stop it; what its words held."""
        self._process.kill()
        self._process.wait(WITHIN_S)
        return dict(self._words)

    def read(self, word: str) -> Any:
        """Read a word as it stands."""
        return self._words[word]

    async def write(self, words: dict[str, Any]) -> None:
        """Write words, in order; those it doesn't have are left out."""
        known = {word: value for word, value in words.items() if word in self._words}
        self._words |= known
        await asyncio.to_thread(self._tell, {"write": known})

    async def cut(self) -> int:
        """Cut every connection; how many sessions there were."""
        return int((await asyncio.to_thread(self._tell, {"cut": True}))["sessions"])

    async def until_written(self) -> None:
        """Wait until the gateway has written a word since the last wait."""
        self._loop = asyncio.get_running_loop()
        await self._written.wait()
        self._written.clear()

    def _tell(self, told: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(told, default=_text) + "\n")
        self._process.stdin.flush()
        return self._done.get(timeout=WITHIN_S)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            if not line.startswith("{"):
                continue  # what node-opcua has to say of itself
            said = json.loads(line)
            if "word" not in said:
                self._done.put(said)
                continue
            self._words[said["word"]] = said["value"]
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._written.set)


class ForeignDevice(TagDevice):
    """A PLC with the tag handshake on a server that isn't ours; each test has it with a new epoch."""

    more = {"security": "encrypted", "user": USER, "words": {"Heartbeat": None, "MesHeartbeat": None}, "timeout_s": 8}

    def __init__(self, plc: ForeignPlc) -> None:
        super().__init__()
        self.plc: Any = plc
        self.station = station_map(f"opc.tcp://127.0.0.1:{plc.port or 1}", **self.more)

    async def start(self) -> None:
        """Start it, unless it runs, with what it held; a new test finds it with nothing."""
        if self.plc._process.poll() is not None:
            await asyncio.to_thread(self.plc.start, self.station, self._kept)

    async def begin(self) -> None:
        """Lose the counters and answers of the test before."""
        epoch = self.plc.read("Epoch") + 1
        nothing = dict.fromkeys((*self.counters, "PermitCode", "AckCode"), 0)
        await self.plc.write({**nothing, "ReqSerial": "", "PermitSerial": "", "Epoch": epoch})

    async def stop(self) -> None:
        """Stop it as a power cut does."""
        self._kept = await asyncio.to_thread(self.plc.stop)

    async def cut(self) -> int:  # type: ignore[override]
        """Break every connection; return how many sessions there were."""
        return await self.plc.cut()

    async def forget(self) -> None:
        """Lose the counters, and count from the start again."""
        await self.plc.write({"Epoch": self.plc.read("Epoch") + 1, "ReqSeq": 0, "DoneSeq": 0, "ReqSerial": ""})


def _text(value: Any) -> str:
    assert isinstance(value, datetime)
    return (value if value.tzinfo else value.replace(tzinfo=clock.now().tzinfo)).isoformat()
