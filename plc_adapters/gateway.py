"""Serve stations: hear what one says, ask the door, answer it; connect again for as long as it takes."""

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import structlog
from pydantic import SecretStr

from mes.log import begin_request
from plc_adapters import metrics
from plc_adapters.dead_letters import DeadLetters
from plc_adapters.door import Door, HttpDoor, NotUnderstood
from plc_adapters.keeping import KeepingDoor
from plc_adapters.known import Known
from plc_adapters.links import Links
from plc_adapters.mapping import LineMap
from plc_adapters.opcua.pki import Access, watch_expiry
from plc_adapters.opcua.profiles import opener
from plc_adapters.port import (
    Acknowledgement,
    Asked,
    Heard,
    LinkLost,
    OpensPort,
    Permit,
    Port,
    Problem,
    Reported,
    Unreadable,
)
from plc_adapters.spool import Spool

log = structlog.get_logger()
FIRST_WAIT_S = 0.1


async def run_gateway(
    line: LineMap, url: str, key: SecretStr, letters_folder: Path, spool: Spool, access: Access
) -> None:
    """Serve every station of a line until cancelled."""
    letters, codes = DeadLetters(letters_folder), [station.code for station in line.stations]
    known = Known(timedelta(seconds=line.offline_for_s))
    plain = [station.code for station in line.stations if station.security == "none"]
    for code in plain:
        log.warning("station_not_encrypted", station=code, reason="its mapping says security: none")
    links = Links(line.gateway, codes, letters, spool, plain=plain)
    if len(plain) < len(codes):
        await asyncio.to_thread(access.pki.own)  # made at the first start, so that PLCs can be told to trust it
    async with HttpDoor(url, key) as mes, asyncio.TaskGroup() as tasks:
        door = KeepingDoor(mes, spool, known, letters, refuses_after_s=line.refuses_after_s)
        await door.recall()
        tasks.create_task(links.keep_telling(door), name="links")
        tasks.create_task(door.forward(), name="forward")
        tasks.create_task(door.keep_known(codes), name="known")
        tasks.create_task(watch_expiry(access.pki), name="certificates")
        for station in line.stations:
            tasks.create_task(serve(station.code, opener(station, access), door, letters, links), name=station.code)


async def serve(
    station: str, opens: OpensPort, door: Door, letters: DeadLetters, links: Links, *, wait_max_s: float = 10.0
) -> None:
    """Serve one station for ever; each loss throws the port away and opens another one, waiting longer each time."""
    loop, wait_s = asyncio.get_running_loop(), FIRST_WAIT_S
    while True:
        tried_at = loop.time()
        try:
            async with opens() as port:
                links.connected(station, port)
                await _serve_port(port, door, letters, links)
        except LinkLost as error:
            links.lost(station, str(error))
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            # Before Python 3.13 a time-out that runs out just as its work is done cancels whatever is awaited next,
            # though nobody asked for it: a station must not go unserved for that.
            links.lost(station, "a time-out cancelled it")
        except Exception as error:
            # The outermost loop of a station: whatever it is, the others are served on, and this one is tried again.
            log.exception("station_failed", station=station)
            links.lost(station, repr(error))
        if loop.time() - tried_at > wait_max_s:
            wait_s = FIRST_WAIT_S  # it had held; one that connects and breaks again at once waits longer each time
        # Spread, so that a line that comes back isn't met by all its clients at once.
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311
        wait_s = min(wait_s * 2, wait_max_s)


async def answer(heard: Heard, door: Door, letters: DeadLetters) -> Permit | Acknowledgement:
    """Find the answer to what a device said; when a result's answer returns, the result is kept for good."""
    match heard:
        case Asked(turn, request):
            begin_request(f"{request.station}/{request.cycle}")
            try:
                return Permit(turn, request.serial, await door.permit(request))
            except NotUnderstood as error:
                log.warning("permit_not_understood", station=request.station, problem=error.problem.text)
                return Permit(turn, request.serial, error.problem)
        case Reported(turn, report):
            begin_request(f"{report.station}/{report.cycle}")
            try:
                return Acknowledgement(turn, await door.report(report))
            except NotUnderstood as error:
                return await _dead(heard, error.problem, letters)
        case Unreadable(turn, station, cycle, is_report, problem):
            begin_request(f"{station}/{cycle}")
            if is_report:
                return await _dead(heard, problem, letters)
            log.warning("request_unreadable", station=station, cycle=cycle, problem=problem.text)
            return Permit(turn, str(heard.words.get("ReqSerial") or ""), problem)


async def _serve_port(port: Port, door: Door, letters: DeadLetters, links: Links) -> None:
    async for said in port.requests():
        began = asyncio.get_running_loop().time()
        heard = await _with_recipe(port, said, door) if isinstance(said, Asked) else said
        # A task of its own keeps the request's id to the lines of this request.
        found = await asyncio.create_task(answer(heard, door, letters))
        station = _station(heard)
        if isinstance(heard, Reported | Unreadable):
            links.letters_changed(station)
        await port.reply(found)
        metrics.answer_seconds.labels(station).observe(asyncio.get_running_loop().time() - began)
        _count(station, found)


async def _with_recipe(port: Port, asked: Asked, door: Door) -> Asked:
    """Have the machine hold the unit's recipe before the permit is asked for, and say in the request what it holds."""
    recipe = door.recipe_for(asked.request)
    if recipe is None or asked.request.recipe_digest == recipe.digest:
        return asked
    held = await port.load_recipe(recipe)
    if held is None:
        return asked
    return replace(asked, request=asked.request.model_copy(update={"recipe_digest": held}))


async def _dead(heard: Reported | Unreadable, problem: Problem, letters: DeadLetters) -> Acknowledgement:
    path = await asyncio.to_thread(letters.keep, heard, problem)
    log.error("dead_letter", station=_station(heard), file=str(path), problem=problem.text)
    return Acknowledgement(heard.turn, problem)


def _station(heard: Heard) -> str:
    match heard:
        case Asked():
            return heard.request.station
        case Reported():
            return heard.report.station
        case Unreadable():
            return heard.station


def _count(station: str, found: Permit | Acknowledgement) -> None:
    if isinstance(found.answer, Problem):
        outcome = "not_understood"
    elif isinstance(found, Permit):
        outcome = "granted" if getattr(found.answer, "granted", False) else "refused"
    else:
        outcome = getattr(found.answer, "verdict", "")
    counter = metrics.permits if isinstance(found, Permit) else metrics.reports
    counter.labels(station, outcome).inc()
