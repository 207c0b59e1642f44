"""The tag handshake profile: a PLC whose words are asked and answered by counters."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from plc_adapters import metrics
from plc_adapters.handshake import Action, Counters, Event, State, heard, step
from plc_adapters.mapping import StationMap
from plc_adapters.opcua.payload import (
    REQUEST_WORDS,
    RESULT_WORDS,
    ack_words,
    permit_words,
    request_of,
    result_of,
)
from plc_adapters.opcua.session import Session, open_session
from plc_adapters.port import Acknowledgement, Asked, Heard, LinkLost, Permit, Reported, Turn, Unreadable

COUNTERS = ("Epoch", "ReqSeq", "PermitSeq", "PermitEpoch", "DoneSeq", "AckSeq", "AckEpoch")
WATCHED = ("ReqSeq", "DoneSeq", "Epoch")
MES_WORDS = (
    *("PermitSeq", "PermitEpoch", "PermitSerial", "PermitCode", "PermitText", "PermitReason"),
    *("RecipeId", "RecipeParameters", "AckSeq", "AckEpoch", "AckCode", "AckText", "MesHeartbeat"),
)
READ_AGAIN_S = 1.0  # the counters are read at least this often, whether a notification came or not
BEAT_S = 1.0
_BAD_READS = 3


class TagHandshake:
    """A connected PLC; the table decides, this class reads and writes."""

    def __init__(self, station: StationMap, session: Session) -> None:
        self._station = station
        self._session = session
        self._nodes = station.word_nodes
        self._state = State.LOST
        self._payload = _payload_nodes(station)

    async def requests(self) -> AsyncIterator[Heard]:
        """Yield what is owed: a result before a request, each read as one consistent payload."""
        while True:
            counters = await self._counters()
            self._state, action = step(self._state, heard(counters))
            said: Heard | None
            match action:
                case Action.ASK_DOOR:
                    said = await self._request(Turn(counters.epoch, counters.request))
                case Action.REPORT_TO_DOOR:
                    said = await self._result(Turn(counters.epoch, counters.done))
                case _:
                    await self._session.changed(within_s=READ_AGAIN_S)
                    continue
            if said is None:
                metrics.torn_payloads.labels(self._station.code).inc()
                self._state, _ = step(self._state, Event.PAYLOAD_TORN)
                continue
            yield said

    async def reply(self, answer: Permit | Acknowledgement) -> None:
        """Write an answer, payload first and counter last; one that nobody waits for any more is not written."""
        event = Event.DOOR_ANSWERED if isinstance(answer, Permit) else Event.DOOR_COMMITTED
        self._state, action = step(self._state, event)
        counters = await self._counters()
        asked = counters.request if isinstance(answer, Permit) else counters.done
        if action is Action.NOTHING or (counters.epoch, asked) != (answer.turn.epoch, answer.turn.seq):
            return
        if isinstance(answer, Permit):
            await self._write(permit_words(answer.serial, answer.answer))
            await self._write({"PermitEpoch": answer.turn.epoch, "PermitSeq": answer.turn.seq})
        else:
            await self._write(ack_words(answer.answer))
            await self._write({"AckEpoch": answer.turn.epoch, "AckSeq": answer.turn.seq})

    async def prepare(self) -> None:
        """Check the words against the server and watch the counters; LinkLost names every word that is missing."""
        nodes = self._nodes
        await self._session.prepare(
            read=[*nodes.values(), *(node for names in self._payload.values() for node in names.values())],
            written=[nodes[word] for word in MES_WORDS if word in nodes],
            watched=[nodes[word] for word in WATCHED],
            period_ms=self._station.publishing_ms,
        )

    async def beat(self) -> None:
        """Show the MES's heartbeat and watch the PLC's, until it is dead; then the link is lost.

        A server may answer long after the program behind it has stopped: only the heartbeat tells.
        """
        loop, dead_s = asyncio.get_running_loop(), self._station.heartbeat_dead_s
        shown, last, changed_at = 0, await self._heartbeat(), loop.time()
        while True:
            await asyncio.sleep(min(BEAT_S, dead_s / 5))
            shown = (shown + 1) % 2**16
            await self._write({"MesHeartbeat": shown})
            seen = await self._heartbeat()
            if seen != last or seen is None:
                last, changed_at = seen, loop.time()
            elif loop.time() - changed_at > dead_s:
                self._session.lose(f"its heartbeat has stood still for {dead_s:g} s")
                return

    async def wait_for_heartbeat(self) -> None:
        """Return once the PLC's heartbeat is seen to move; so a dead program never counts as connected."""
        first = await self._heartbeat()
        loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        while first is not None and await self._heartbeat() == first:
            if loop.time() - began > self._station.heartbeat_dead_s:
                raise LinkLost(station=self._station.code, reason="the server answers, but its heartbeat stands still")
            await self._session.changed(within_s=0.05)

    async def _heartbeat(self) -> Any:
        if "Heartbeat" not in self._nodes:
            return None
        (reading,) = await self._session.read([self._nodes["Heartbeat"]])
        return reading.value if reading.bad is None else 0

    async def _counters(self) -> Counters:
        present = [word for word in COUNTERS if word in self._nodes]
        readings = await self._session.read([self._nodes[word] for word in present])
        if bad := [f"{word} {one.bad}" for word, one in zip(present, readings, strict=True) if one.bad]:
            raise LinkLost(station=self._station.code, reason=f"counters without a value: {', '.join(bad)}")
        read = {word: one.value for word, one in zip(present, readings, strict=True)}
        try:
            return Counters(
                epoch=str(read["Epoch"]),
                request=int(read["ReqSeq"] or 0),
                permit=int(read["PermitSeq"] or 0),
                done=int(read["DoneSeq"] or 0),
                ack=int(read["AckSeq"] or 0),
                permit_epoch=_epoch(read.get("PermitEpoch")),
                ack_epoch=_epoch(read.get("AckEpoch")),
            )
        except (TypeError, ValueError) as error:
            raise LinkLost(station=self._station.code, reason=f"counters that don't count: {read}") from error

    async def _request(self, turn: Turn) -> Asked | Unreadable | None:
        words, bad = await self._read_payload("request")
        if (await self._turn("ReqSeq")) != turn:
            return None
        return request_of(self._station, turn, words, bad)

    async def _result(self, turn: Turn) -> Reported | Unreadable | None:
        words, bad = await self._read_payload("result")
        if (await self._turn("DoneSeq")) != turn:
            return None
        return result_of(self._station, turn, words, bad)

    async def _turn(self, counter: str) -> Turn:
        epoch, seq = await self._session.read([self._nodes["Epoch"], self._nodes[counter]])
        return Turn(str(epoch.value), int(seq.value or 0))

    async def _read_payload(self, which: str) -> tuple[dict[str, Any], dict[str, str]]:
        nodes = self._payload[which]
        words: dict[str, Any] = {}
        bad: dict[str, str] = {}
        for _ in range(_BAD_READS):
            readings = dict(zip(nodes, await self._session.read(list(nodes.values())), strict=True))
            words = {word: one.value for word, one in readings.items() if one.bad is None}
            bad = {word: one.bad for word, one in readings.items() if one.bad is not None}
            if not bad:
                break
            # A sensor's bad quality may pass; one that stays is a fact to be told.
            await asyncio.sleep(0.1)
        return words, bad

    async def _write(self, words: dict[str, Any]) -> None:
        present = {self._nodes[word]: value for word, value in words.items() if word in self._nodes}
        if present:
            await self._session.write(present)


@asynccontextmanager
async def open_port(station: StationMap) -> AsyncIterator[TagHandshake]:
    """Connect to a PLC, check its words and keep the heartbeats going while the context lasts."""
    async with open_session(station.endpoint, station.namespace, station.code, station.timeout_s) as session:
        port = TagHandshake(station, session)
        await port.prepare()
        await port.wait_for_heartbeat()
        beating = asyncio.create_task(_beat(port, session), name=f"beat {station.code}")
        try:
            yield port
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating


async def _beat(port: TagHandshake, session: Session) -> None:
    try:
        await port.beat()
    except LinkLost as error:
        session.lose(str(error.facts.get("reason", "")))


def _payload_nodes(station: StationMap) -> dict[str, dict[str, str]]:
    words = station.word_nodes
    result = {word: words[word] for word in RESULT_WORDS if word in words}
    result |= {f"values.{name}": node for name, node in station.value_nodes.items()}
    for name, count in station.curves.items():
        for ordinal in range(1, count + 1):
            x, y = station.curve_nodes(name, ordinal)
            result |= {f"curves.{name}.{ordinal}.x": x, f"curves.{name}.{ordinal}.y": y}
    return {"request": {word: words[word] for word in REQUEST_WORDS if word in words}, "result": result}


def _epoch(read: Any) -> str | None:
    return None if read is None else str(read)
