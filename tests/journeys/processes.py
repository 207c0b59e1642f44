"""The plant as real processes: the MES, a simulated line and its gateway, fed over HTTP as a plant is."""

import asyncio
import json
import multiprocessing
import os
import random
import runpy
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from mes.actor import Role
from mes.db import Database
from mes.people.messages import KeyRequest
from mes.people.service import create_key
from mes.stock import Stock
from tests.conftest import ADMIN

WITHIN_S = 60
LOOK_EVERY_S = 0.02
# Below the ports that the system gives to outgoing connections: while the MES is dead nobody may be given its port.
_PORTS = range(21_000, 31_000)
_WARM = multiprocessing.get_context("forkserver")
_WARM.set_forkserver_preload(["tests.journeys.warm"])


class Program:
    """`python -m MODULE ARGUMENTS` as a process of its own, with a log; it can be killed and started again.

    A warm one is forked from a server that has imported the modules, and then runs the same main: what takes seconds
    of a start is importing.
    """

    def __init__(self, module: str, *arguments: object, environment: Mapping[str, str], log: Path, warm: bool) -> None:
        self.command = [module, *map(str, arguments)]
        self.environment, self.log, self.warm = dict(environment), log, warm
        self._process: Any = None

    def start(self) -> None:
        """Start it; it is not ready yet."""
        if self.warm:
            arguments = (self.command, self.environment, self.log, self.log)
            self._process = _WARM.Process(target=_run, args=arguments, daemon=True)
            self._process.start()
            return
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def kill(self) -> None:
        """Kill it as a power cut does, and return when it is gone."""
        self._send(signal.SIGKILL)
        self._wait(10)

    def stop(self) -> None:
        """Ask it to end; kill it when it doesn't."""
        if self._process is None:
            return
        self._send(signal.SIGTERM)
        self._wait(10)
        if self.is_running():
            self.kill()

    def has_ended(self) -> bool:
        """Tell whether it was started and has ended since."""
        return self._process is not None and not self.is_running()

    @property
    def pid(self) -> int:
        """Its number, while it runs."""
        return int(self._process.pid)

    def is_running(self) -> bool:
        """Tell whether it was started and lives."""
        if self._process is None:
            return False
        return bool(self._process.is_alive()) if self.warm else self._process.poll() is None

    def _send(self, number: signal.Signals) -> None:
        if self.is_running():
            os.kill(self._process.pid, number)

    def _wait(self, within_s: float) -> None:
        if self.warm:
            self._process.join(within_s)
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)


def typed(*words: object, url: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Type `mes WORDS` in a folder, on a database and with these settings alone."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MES_")}
    environment |= {"MES_DATABASE_URL": url, "COLUMNS": "200", "NO_COLOR": "1"} | settings
    command = ["mes.cli", *map(str, words)]
    with TemporaryDirectory() as kept:
        out, err = Path(kept, "out"), Path(kept, "err")
        ran = _WARM.Process(target=_run, args=(command, environment, out, err, folder), daemon=True)
        ran.start()
        ran.join(WITHIN_S)
        if ran.exitcode is None:
            ran.kill()
            raise AssertionError(f"mes {' '.join(command[1:])} has not ended within {WITHIN_S} s")
        return subprocess.CompletedProcess(command, ran.exitcode, out.read_text(), err.read_text())


def _run(
    command: Sequence[str], environment: Mapping[str, str], out: Path, err: Path, folder: Path | None = None
) -> None:
    """Become `python -m` of a module, in a process just forked."""
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), stream)
    if folder:
        os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(command)
    warnings.filterwarnings("ignore", message=".* found in sys.modules after import of package")
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


@dataclass
class Plant:
    """A plant that runs: its programs, its files, and a client with all rights."""

    database: Database
    folder: Path
    client: httpx.AsyncClient
    mes: Program
    line: Program
    gateway: Program
    cell_lots: list[str] = field(default_factory=list)

    @property
    def map(self) -> Path:
        """The mapping file with the ports the line took."""
        return self.folder / "resolved.yaml"

    @property
    def dead_letters(self) -> Path:
        """Where the gateway keeps what the MES can't understand."""
        return self.folder / "dead-letters"

    async def until(self, holds: Callable[[], Any], awaited: str, every_s: float = LOOK_EVERY_S) -> Any:
        """Look until something holds; fail with the ends of the logs when it doesn't in time."""
        began = time.monotonic()
        while not (found := await found if asyncio.iscoroutine(found := holds()) else found):
            for program in (self.mes, self.line, self.gateway):
                assert not program.has_ended(), f"{program.command[0]} ended by itself; {self.logs()}"
            assert time.monotonic() - began < WITHIN_S, f"waited {WITHIN_S} s for {awaited}; {self.logs()}"
            await asyncio.sleep(every_s)
        return found

    def logs(self) -> str:
        """The last lines of every log."""
        ends = []
        for path in sorted(self.folder.glob("*.log")):
            ends += [f"{path.name}: {line}" for line in path.read_text(errors="replace").splitlines()[-6:]]
        return "\n" + "\n".join(ends)

    async def answers(self) -> bool:
        """Whether the MES is ready."""
        with suppress(httpx.TransportError):
            return (await self.client.get("/ready")).status_code == 200
        return False

    async def get(self, path: str) -> Any:
        """Read from the API."""
        return (await self.client.get(path)).raise_for_status().json()

    async def stock(self, run: str, packs: int) -> list[dict[str, Any]]:
        """Receive what some packs need, order and release them; a complete job each."""
        stock = Stock(self.client, run, random.Random(run))
        jobs, serials = await stock.receive(packs), await stock.order(packs)
        self.cell_lots += stock.cell_lots
        named = zip(jobs, serials["GC48-105"], serials["M16S7P"], strict=True)
        return [job | {"pack": pack, "module": module} for job, pack, module in named]

    async def inspect(self, lot: str) -> None:
        """Have the line's receiving inspection release a lot: its cells would hold every module until then."""
        self.bring({"kind": "lot", "lot": lot})

        async def is_released() -> bool:
            return bool((await self.get(f"/api/lots/{lot}"))["state"] == "released")

        await self.until(is_released, f"{lot} to be released")

    def bring(self, *jobs: dict[str, Any]) -> None:
        """Give the line jobs."""
        with (self.folder / "jobs.jsonl").open("a") as out:
            out.write("".join(json.dumps(job) + "\n" for job in jobs))

    def finished(self) -> list[dict[str, Any]]:
        """What the line has finished."""
        path = self.folder / "finished.jsonl"
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]


@asynccontextmanager
async def running_plant(
    database: Database, url: str, folder: Path, *, speed: float, map_file: Path | None = None, warm: bool = False
) -> AsyncIterator[Plant]:
    """Run a plant on a database while the context lasts; its line has the stations of a map, or all of the demo's."""
    keys = {
        role: (await database.transact(create_key, KeyRequest(name=f"journey-{role}", role=role), ADMIN)).key
        for role in (Role.ADMIN, Role.STATION)
    }
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"MES_DATABASE_URL": url, "MES_PORT": str(port), "MES_URL": address, "MES_KEY": keys[Role.STATION]}

    def program(name: str, module: str, *arguments: object) -> Program:
        return Program(module, *arguments, environment=environment, log=folder / f"{name}.log", warm=warm)

    line = ["--port-base", 0, "--resolved", folder / "resolved.yaml", "--jobs", folder / "jobs.jsonl"]
    line += ["--finished", folder / "finished.jsonl", "--speed", speed, "--faults", "none"]
    line += ["--pki", folder / "line-pki", "--trusted-by", folder / "pki"]
    line += ["--map", map_file] if map_file else []
    gateway = ["--map", folder / "resolved.yaml", "--dead-letters", folder / "dead-letters"]
    gateway += ["--pki", folder / "pki", "--spool", folder / "spool.sqlite"]
    headers = {"Authorization": f"Bearer {keys[Role.ADMIN]}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30, trust_env=False) as client:
        plant = Plant(
            database,
            folder,
            client,
            program("mes", "mes.cli", "serve"),
            program("line", "plc_adapters.simulated", *line),
            program("gateway", "plc_adapters", *gateway),
        )
        try:
            plant.mes.start()
            plant.line.start()
            await plant.until(plant.map.exists, "the line to be ready")
            await plant.until(plant.answers, "the MES to be ready")
            plant.gateway.start()
            yield plant
        finally:
            # The gateway first, so that no station waits for an answer while the others go.
            for one in (plant.gateway, plant.line, plant.mes):
                await asyncio.to_thread(one.stop)


def free_port() -> int:
    """Find a port that nobody is given while its owner is dead."""
    for port in random.SystemRandom().sample(_PORTS, 50):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port found")
