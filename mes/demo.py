"""The demo plant: the MES, the simulated line and the gateway as real processes, fed with lots and orders over HTTP."""

import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live

from mes import clock
from mes.actor import Actor, Role
from mes.db import Database, open_database
from mes.errors import Conflict
from mes.migrate import migrate
from mes.people.messages import KeyName, KeyRequest
from mes.people.service import create_key, revoke_key
from mes.plan.service import apply_files
from mes.plantdb import data_folder
from mes.records.messages import LineNow
from mes.render import show_line
from mes.settings import Settings
from mes.stock import Stock

ACTOR = Actor("demo", Role.ADMIN)
BATCH = 10  # packs of an order, when the demo goes on until it is stopped
READY_WITHIN_S = 60
PACK_WITHIN_S = 900


class DemoFailed(Conflict):
    """The demo stopped: {reason}."""


@dataclass
class Demo:
    """The demo's files and processes."""

    settings: Settings
    folder: Path
    url: str
    speed: float
    seed: int
    keys: dict[str, str] = field(default_factory=dict)
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where the MES answers."""
        return f"http://{self.settings.host}:{self.settings.port}"

    def path(self, name: str) -> Path:
        """Name a file of this run."""
        return self.folder / "demo" / name


def run_demo(settings: Settings, url: str, *, packs: int | None, speed: float, seed: int) -> int:
    """Run the demo until it is stopped, or until it has built `packs`; the exit status."""
    demo = Demo(settings, data_folder(settings), url, speed, seed)
    try:
        return asyncio.run(_run(demo, packs))
    except DemoFailed as error:
        Console(stderr=True).print(f"[bold red]{error}[/]", highlight=False)
        return 1
    except KeyboardInterrupt:
        return 0


async def _run(demo: Demo, packs: int | None) -> int:
    demo.path("").mkdir(parents=True, exist_ok=True)
    for name in ("jobs.jsonl", "finished.jsonl"):
        demo.path(name).write_text("")
    demo.path("resolved.yaml").unlink(missing_ok=True)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await _prepare(demo)
    async with (
        _processes(demo),
        httpx.AsyncClient(
            base_url=demo.address, headers={"Authorization": f"Bearer {demo.keys['admin']}"}, timeout=30
        ) as client,
    ):
        await _until_ready(demo, client)
        building = asyncio.create_task(_build(demo, client, packs) if packs else _go_on(demo, client))
        stopping = asyncio.create_task(stopped.wait())
        watching = asyncio.create_task(_watch_processes(demo))
        tasks: set[asyncio.Task[Any]] = {building, stopping, watching}
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            for task in done:
                await task
            return building.result() if building in done else 130 if packs else 0
    return 130 if packs else 0


async def _prepare(demo: Demo) -> None:
    owner = demo.settings.owner_database_url
    await migrate(owner.get_secret_value() if owner else demo.url)
    database = open_database(demo.settings, demo.url)
    try:
        plant = Path(str(files("mes"))) / "demo_plant"
        await apply_files(database, sorted(plant.glob("*.yaml")), ACTOR)
        await _make_keys(demo, database)
    finally:
        await database.close()


async def _make_keys(demo: Demo, database: Database) -> None:
    """Make a key per role, fresh at every start, in a file only this user can read."""
    for role in Role:
        name = f"demo-{role}"
        with contextlib.suppress(Exception):
            await database.transact(revoke_key, KeyName(name=name), ACTOR)
        answer = await database.transact(create_key, KeyRequest(name=name, role=role), ACTOR)
        demo.keys[role] = answer.key
    path = demo.path("keys.json")
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(demo.keys, out, indent=2)
        out.write("\n")


@contextlib.asynccontextmanager
async def _processes(demo: Demo) -> AsyncIterator[None]:
    try:
        environment = os.environ | {
            "MES_DATABASE_URL": demo.url,
            "MES_LOG_FORMAT": "json",
            "MES_URL": demo.address,
            "MES_KEY": demo.keys["station"],
        }
        simulated = ["plc_adapters.simulated", "--jobs", demo.path("jobs.jsonl"), "--speed", demo.speed]
        simulated += ["--seed", demo.seed, "--port-base", 0, "--finished", demo.path("finished.jsonl")]
        simulated += ["--resolved", demo.path("resolved.yaml")]
        simulated += ["--pki", demo.path("line-pki"), "--trusted-by", demo.path("pki")]
        await _start(demo, "mes", ["mes.cli", "serve"], environment)
        await _start(demo, "line", simulated, environment)
        yield
    finally:
        # The gateway first, so that no station waits for an answer while the others go.
        for process in reversed(demo.processes.values()):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _start(demo: Demo, name: str, module: list[Any], environment: dict[str, str]) -> None:
    with demo.path(f"{name}.log").open("wb") as out:
        demo.processes[name] = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *map(str, module),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # Ctrl-C at the terminal is the demo's to handle, in the right order
        )


async def _watch_processes(demo: Demo) -> None:
    watched = {asyncio.create_task(process.wait()): name for name, process in demo.processes.items()}
    done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    names = ", ".join(watched[task] for task in done)
    raise DemoFailed(reason=f"process {names} ended by itself; {_last_lines(demo, names.split(', ')[0])}")


def _last_lines(demo: Demo, name: str) -> str:
    path = demo.path(f"{name}.log")
    lines = path.read_text(errors="replace").splitlines()[-3:] if path.exists() else []
    return f"its log {path} ends: " + " | ".join(lines)


async def _until_ready(demo: Demo, client: httpx.AsyncClient) -> None:
    async with _within(READY_WITHIN_S, "the MES and the line to be ready"):
        for name, is_ready in (("mes", _answers(client)), ("line", _exists(demo.path("resolved.yaml")))):
            while not await is_ready():
                if demo.processes[name].returncode is not None:
                    raise DemoFailed(reason=f"process {name} did not start; {_last_lines(demo, name)}")
                await asyncio.sleep(0.1)
    environment = os.environ | {"MES_URL": demo.address, "MES_KEY": demo.keys["station"]}
    gateway = ["plc_adapters", "--map", demo.path("resolved.yaml"), "--dead-letters", demo.path("dead-letters")]
    gateway += ["--pki", demo.path("pki"), "--spool", demo.path("spool.sqlite")]
    await _start(demo, "gateway", gateway, environment)


@contextlib.asynccontextmanager
async def _within(seconds: float, awaited: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise DemoFailed(reason=f"waited {seconds:.0f} s for {awaited}; the logs lie beside the jobs") from error


def _answers(client: httpx.AsyncClient) -> Any:
    async def is_ready() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return (await client.get("/ready")).status_code == 200
        return False

    return is_ready


def _exists(path: Path) -> Any:
    async def is_ready() -> bool:
        return path.exists()

    return is_ready


async def _build(demo: Demo, client: httpx.AsyncClient, packs: int) -> int:
    """Build packs, print a line for each as it is finished."""
    wanted = await _order(demo, client, packs, random.Random(demo.seed))
    status = 0
    async with _within(PACK_WITHIN_S + 60 * packs, f"{packs} packs"):
        async for finished in _finished(demo):
            if finished.get("pack") not in wanted:
                continue
            wanted.discard(finished["pack"])
            record = await _record(client, finished)
            print(json.dumps(record), flush=True)
            status |= record["verdict"] != "passed"
            if not wanted:
                break
    return status


async def _go_on(demo: Demo, client: httpx.AsyncClient) -> int:
    """Keep the line fed and show it until the demo is stopped."""
    console = Console()
    console.print(f"\nThe line: [bold]{demo.address}/[/]   log in with a key from [bold]{demo.path('keys.json')}[/]")
    console.print(f"The API:  {demo.address}/api/openapi.json   logs: {demo.path('')}   Ctrl-C stops\n")
    chance = random.Random(demo.seed)
    waiting: set[str] = set()
    finished = _Tail(demo.path("finished.jsonl"))
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        while True:
            waiting -= {line.get("pack") for line in finished.new()}
            if len(waiting) < 4:
                waiting |= await _order(demo, client, BATCH, chance)
            line = LineNow.model_validate((await client.get("/api/line")).raise_for_status().json())
            live.update(show_line(line))
            await asyncio.sleep(1)


async def _order(demo: Demo, client: httpx.AsyncClient, packs: int, chance: random.Random) -> set[str]:
    """Receive what an order needs, create and release it, and send its units to the line; the packs' serials."""
    run = f"{clock.now():%m%d%H%M%S}{secrets.token_hex(1)}"
    stock = Stock(client, run, chance)
    jobs = await stock.receive(packs)
    serials = await stock.order(packs)
    with demo.path("jobs.jsonl").open("a") as out:
        for lot in stock.cell_lots:
            out.write(json.dumps({"kind": "lot", "lot": lot}) + "\n")
    await _until_released(client, stock.cell_lots)
    kits = await stock.match(f"WO-{run}")
    if missing := set(serials["M16S7P"]) - kits.keys():
        raise DemoFailed(reason=f"no kit of matched cells could be made for {', '.join(sorted(missing))}")
    with demo.path("jobs.jsonl").open("a") as out:
        for job, pack, module in zip(jobs, serials["GC48-105"], serials["M16S7P"], strict=True):
            out.write(json.dumps(job | {"pack": pack, "module": module, "cells": kits[module]}) + "\n")
    return set(serials["GC48-105"])


async def _until_released(client: httpx.AsyncClient, lots: list[str]) -> None:
    """Wait for receiving inspection: a cell of a quarantined lot would hold every module it is fitted in."""
    async with _within(PACK_WITHIN_S, f"receiving to release {', '.join(lots)}"):
        for lot in lots:
            while (await client.get(f"/api/lots/{lot}")).raise_for_status().json()["state"] != "released":
                await asyncio.sleep(0.2)


class _Tail:
    """Follows a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read = 0

    def new(self) -> Iterator[dict[str, Any]]:
        """Give the lines that were completed since the last time."""
        with self.path.open("rb") as file:
            file.seek(self.read)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self.read += len(line)
                yield json.loads(line)


async def _finished(demo: Demo) -> AsyncIterator[dict[str, Any]]:
    tail = _Tail(demo.path("finished.jsonl"))
    while True:
        for line in tail.new():
            yield line
        await asyncio.sleep(0.1)


async def _record(client: httpx.AsyncClient, finished: dict[str, Any]) -> dict[str, Any]:
    """Ask the MES what it recorded of a pack: the line the demo prints."""
    serial = finished["pack"]
    traced = (await client.get(f"/api/trace/{serial}")).raise_for_status().json()
    nodes = [traced["tree"]]
    cells = values = 0
    gaps: list[str] = []
    while nodes:
        node = nodes.pop()
        gaps += node["gaps"]
        cells += node["part"] == "CELL-LFP-15"
        nodes += node["inside"]
        if (node["serial"] and node["state"] is not None) or node["inside"]:
            history = (await client.get(f"/api/history/{node['serial']}")).raise_for_status().json()
            values += sum(len(v) for cycle in history["cycles"] for v in cycle["values"].values())
    verdict = "passed" if traced["tree"]["state"] == "finished" and not gaps else "failed"
    return {
        "serial": serial,
        "verdict": verdict,
        "cells": cells,
        "lots": traced["lots"],
        "measured_values": values,
        "seconds": finished["seconds"],
        **({"gaps": gaps} if gaps else {}),
        **({"reason": finished["reason"]} if finished.get("reason") else {}),
    }
