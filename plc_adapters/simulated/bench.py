"""Light PLCs for `mes bench gateway`, which time their own handshakes, and an echo that answers them without a MES.

`stations` plays PLCs that ask and report at an even pace, and prints a JSON line after its warm-up and after each part:
what the gateway used in between is read by whoever started both. `echo` is what the gateway is compared with.
"""

import asyncio
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from random import Random
from threading import Thread
from typing import Annotated, Any, Literal

import typer
from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.node import Node
from asyncua.ua.attribute_ids import AttributeIds

from mes import clock
from plc_adapters.mapping import LineMap, StationMap, load_map
from plc_adapters.opcua.connection import connected
from plc_adapters.opcua.pki import Access, Pki
from plc_adapters.simulated.line import with_free_ports, write_map
from plc_adapters.simulated.plc_server import PlcServer, plc_server, warm_up

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
GRANTED, PASSED = 1, 1
VALUES = {f"c{n:02}": [3.2 + n / 100 + v / 1000 for v in range(6)] for n in range(10)}
ANSWERED = (("ReqSeq", "PermitCode", "PermitSeq"), ("DoneSeq", "AckCode", "AckSeq"))
GatewayPki = Annotated[Path, typer.Option("--pki", help="The folder of certificates of the gateway and the echo.")]
Latencies = defaultdict[str, list[float]]


@cli.command()
def stations(
    *,
    codes: Annotated[str, typer.Option(help="The stations' codes, with commas.")],
    serials: Annotated[Path, typer.Option(help="The units' serials, a line each; each is worked on once.")],
    resolved: Annotated[Path, typer.Option(help="Write the mapping here, once every station answers.")],
    pki: GatewayPki,
    security: Annotated[Literal["encrypted", "none"], typer.Option(help="Of every link.")] = "encrypted",
    pace_s: Annotated[float, typer.Option(help="Seconds between a station's requests; 0: at once.", min=0)] = 2,
    warm: Annotated[int, typer.Option(help="Handshakes of each station that aren't measured.", min=1)] = 2,
    each: Annotated[int, typer.Option(help="Handshakes of each station in each part.", min=1)] = 10,
    parts: Annotated[int, typer.Option(help="Parts.", min=1)] = 1,
) -> None:
    """Ask, report, and print for each part the seconds from each counter to its answer, and how many were no yes."""
    line = LineMap(
        gateway="bench",
        stations=[
            StationMap(
                code=code,
                endpoint="opc.tcp://127.0.0.1:48400",
                namespace="urn:bench",
                security=security,
                values=dict.fromkeys(VALUES),
                timeout_s=30,  # one process plays all of them: 200 key exchanges at once take it a while
                heartbeat_dead_s=30,
            )
            for code in codes.split(",")
        ],
    )
    asyncio.run(
        _play(with_free_ports(line), iter(serials.read_text().split()), resolved, pki, pace_s, [warm, *[each] * parts])
    )


@cli.command()
def echo(
    map_file: Annotated[Path, typer.Option("--map", help="The stations, as `stations` has written them.")],
    pki: GatewayPki,
) -> None:
    """Answer each counter of every station yes, at once, by a bare client: no payload read, nobody asked."""
    asyncio.run(_echo(load_map(map_file), Access(Pki(pki))))


class BenchStation:
    """A PLC whose work takes no time."""

    def __init__(self, plc: PlcServer, pace_s: float, offset: float) -> None:
        self._plc, self._pace_s = plc, pace_s
        self._epoch, self._seq = int(clock.now().timestamp()), 0
        self._offset = offset
        self._random = Random(offset)  # noqa: S311  the same load for whoever answers it

    async def beat(self) -> None:
        """Count the heartbeat."""
        while True:
            await self._plc.write({"Heartbeat": (self._plc.read("Heartbeat") + 1) % 2**16})
            await asyncio.sleep(1)

    async def play(self, serials: Iterator[str], count: int, found: Latencies) -> int:
        """Work on some units at an even pace; how many of the answers were no yes."""
        loop, wrong = asyncio.get_running_loop(), 0
        due = loop.time() + self._pace_s * self._offset
        for _ in range(count):
            # not in step with the publishing interval, or each would wait equally long
            await asyncio.sleep(due - loop.time() + self._pace_s * self._random.uniform(0, 0.1))
            due += self._pace_s
            wrong += await self._handshake(next(serials), found)
        return wrong

    async def _handshake(self, serial: str, found: Latencies) -> bool:
        self._seq += 1
        began = clock.now()
        await self._plc.write({"Epoch": self._epoch, "ReqSerial": serial})
        found["permit"].append(await self._raise("ReqSeq", "PermitSeq"))
        payload: dict[str, Any] = {"DoneReqSeq": self._seq, "DoneSerial": serial, "DoneVerdict": PASSED}
        payload |= {"DoneStartedAt": began, "DoneEndedAt": max(clock.now(), began + timedelta(milliseconds=1))}
        await self._plc.write(payload | {f"values.{name}": read for name, read in VALUES.items()})
        found["report"].append(await self._raise("DoneSeq", "AckSeq"))
        return (self._plc.read("PermitCode"), self._plc.read("AckCode")) != (GRANTED, PASSED)

    async def _raise(self, counter: str, answer: str) -> float:
        """Raise a counter; the seconds until its answer is seen."""
        began = time.perf_counter()
        await self._plc.write({counter: self._seq})
        while self._plc.read(answer) != self._seq:
            await self._plc.until_written()
        return time.perf_counter() - began


async def _play(
    line: LineMap, serials: Iterator[str], resolved: Path, pki: Path, pace_s: float, counts: list[int]
) -> None:
    Thread(target=_end_with_starter, daemon=True).start()
    warm_up()
    own = Pki(resolved.parent / "stations-pki", "Bench stations").own()
    Pki(pki).add_trusted(own.certificate)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(plc_server(station, {}, own)) for station in line.stations]
        write_map(resolved, line.at_ports([server.port for server in servers]))
        played = [BenchStation(server, pace_s, n / len(servers)) for n, server in enumerate(servers)]
        beating = asyncio.gather(*(station.beat() for station in played))
        for count in counts:
            found = Latencies(list)
            wrong = await asyncio.gather(*(station.play(serials, count, found) for station in played))
            print(json.dumps({"handshakes": count * len(played), "wrong": sum(wrong), **found}), flush=True)
        await beating  # until it is stopped: whoever answers goes first


def _end_with_starter() -> None:
    """End when standard input does: whoever started this may be killed, and the load must not stay."""
    sys.stdin.buffer.read()
    os._exit(0)


async def _echo(line: LineMap, access: Access) -> None:
    async with asyncio.TaskGroup() as tasks:
        for station in line.stations:
            tasks.create_task(_echo_station(station, access))


async def _echo_station(station: StationMap, access: Access) -> None:
    async with connected(station, access) as client:
        index = await client.get_namespace_index(station.namespace)
        words = {word: ua.NodeId.from_string(f"ns={index};{node}") for word, node in station.word_nodes.items()}
        answers = {words[asked]: (words[code], words[answer]) for asked, code, answer in ANSWERED}
        heard = _Heard()
        subscription = await client.create_subscription(station.publishing_ms, heard)
        await subscription.subscribe_data_change(
            [client.get_node(node) for node in answers],
            queuesize=10,
            sampling_interval=ua.Double(station.publishing_ms),
        )
        while True:
            counter, value = await heard.queue.get()
            await _answer(client, answers[counter], value)


async def _answer(client: Client, nodes: tuple[ua.NodeId, ua.NodeId], counter: int) -> None:
    yes = ua.DataValue(ua.Variant(1, ua.VariantType.UInt16))
    seen = ua.DataValue(ua.Variant(counter, ua.VariantType.UInt32))
    await client.uaclient.session.write_attributes(list(nodes), [yes, seen], AttributeIds.Value)


class _Heard:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[ua.NodeId, int]] = asyncio.Queue()

    def datachange_notification(self, node: Node, value: int, _data: object) -> None:
        self.queue.put_nowait((node.nodeid, value))


if __name__ == "__main__":
    cli(prog_name="python -m plc_adapters.simulated.bench")
