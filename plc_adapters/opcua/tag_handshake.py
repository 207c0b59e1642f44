"""The tag handshake profile: a PLC whose words are asked and answered by counters."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mes.execution.messages import RecipeAnswer
from plc_adapters import metrics
from plc_adapters.handshake import Action, Counters, Event, State, heard, step
from plc_adapters.mapping import StationMap
from plc_adapters.opcua.payload import ack_words, permit_words, request_of, result_of
from plc_adapters.opcua.pki import Access
from plc_adapters.opcua.scanner import SCAN_AGAIN_S, Scanner, scanning
from plc_adapters.opcua.session import Reading, open_session
from plc_adapters.opcua.words import Words, beating
from plc_adapters.port import Acknowledgement, Asked, Heard, LinkLost, Permit, Reported, Turn, Unreadable

COUNTERS = ("Epoch", "ReqSeq", "PermitSeq", "PermitEpoch", "DoneSeq", "AckSeq", "AckEpoch")
WATCHED = ("ReqSeq", "DoneSeq", "Epoch")
MOMENT_S = 0.5  # what was read so long ago holds as well as what is read just before the answer is written
READ_AGAIN_S = 10.0  # the counters are read at least this often; with the heartbeat it is seen sooner that they changed


class TagHandshake:
    """A connected PLC; the table decides, this class reads and writes."""

    def __init__(self, words: Words, scanner: Scanner | None = None) -> None:
        self.session = words.session
        self._scanner = scanner
        self._station = words.station
        self._words = words
        self._state = State.LOST
        self._last = Counters("", 0, 0, 0, 0), 0.0  # as last looked at, and when
        self._rests = False  # answered, and by what was read then nothing else is owed: what comes is notified

    @property
    def skew_s(self) -> float | None:
        """How far the PLC's clock is ahead of this PC's, in seconds."""
        return self._words.session.skew_s

    async def load_recipe(self, recipe: RecipeAnswer) -> str | None:
        """Write a recipe before the permit is asked, and read back what the machine holds."""
        return await self._words.load(recipe)

    async def requests(self) -> AsyncIterator[Heard]:
        """Yield what is owed: a result before a request, each read as one consistent payload."""
        while True:
            if self._rests:
                self._rests = False
                await self.session.changed(within_s=READ_AGAIN_S)
            read, request = await self._words.read_with(COUNTERS, "request")
            counters = _counters(self._station.code, read)
            self._state, action = step(self._state, heard(counters))
            said: Heard | None
            match action:
                case Action.ASK_DOOR if not await self._is_scanned(counters):
                    self._state, _ = step(self._state, Event.PAYLOAD_TORN)
                    await self.session.changed(within_s=SCAN_AGAIN_S)
                    continue
                case Action.ASK_DOOR:
                    said = await self._request(Turn(counters.epoch, counters.request), request)
                case Action.REPORT_TO_DOOR:
                    said = await self._result(Turn(counters.epoch, counters.done))
                case _:
                    await self.session.changed(within_s=READ_AGAIN_S)
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
        counters, at = self._last
        if time.monotonic() - at > MOMENT_S:  # the door took its time: the PLC may have given up
            counters = await self._look()
        asked = counters.request if isinstance(answer, Permit) else counters.done
        if action is Action.NOTHING or (counters.epoch, asked) != (answer.turn.epoch, answer.turn.seq):
            return
        if isinstance(answer, Permit):
            await self._words.write(permit_words(answer.serial, answer.answer))
            await self._words.write({"PermitEpoch": answer.turn.epoch, "PermitSeq": answer.turn.seq})
        else:
            await self._words.write(ack_words(answer.answer))
            await self._words.write({"AckEpoch": answer.turn.epoch, "AckSeq": answer.turn.seq})
        self._rests = counters.permit_owed != counters.commit_owed

    async def _request(self, turn: Turn, read: dict[str, Reading]) -> Asked | Unreadable | None:
        words, bad = await self._words.payload("request", read)
        counters = await self._look()
        if Turn(counters.epoch, counters.request) != turn:
            return None
        cycle = f"{turn.epoch}-{turn.seq}"
        if self._scanner is not None:
            words["ReqSerial"] = await self._scanner.scan(cycle)
        return request_of(self._station, turn, cycle, words, bad)

    async def _result(self, turn: Turn) -> Reported | Unreadable | None:
        words, bad = await self._words.payload("result")
        counters = await self._look()
        if Turn(counters.epoch, counters.done) != turn:
            return None
        # A result carries the cycle of the request that permitted it; one run without asking has a number of its own.
        asked = words.get("DoneReqSeq")
        if self._scanner is not None:
            # The scanner may have read the next unit by now: the result is of the unit whose permit stands there.
            permit = await self._words.read(("PermitSeq", "PermitSerial"))
            words["DoneSerial"] = permit["PermitSerial"] if asked and asked == permit["PermitSeq"] else ""
        return result_of(self._station, turn, f"{turn.epoch}-{asked or f'd{turn.seq}'}", words, bad)

    async def _is_scanned(self, counters: Counters) -> bool:
        """Tell whether it is known which unit is asked for; a PLC beside a scanner may ask before it has read."""
        return self._scanner is None or await self._scanner.scan(f"{counters.epoch}-{counters.request}") is not None

    async def _look(self) -> Counters:
        """Read the counters once more, behind a payload or before a late answer."""
        counters = _counters(self._station.code, await self._words.read(COUNTERS))
        self._last = counters, time.monotonic()
        return counters


@asynccontextmanager
async def open_port(station: StationMap, access: Access | None = None) -> AsyncIterator[TagHandshake]:
    """Connect to a PLC, check its words and keep the heartbeats going while the context lasts."""
    async with open_session(station, access) as session:
        words = Words(station, session)
        await words.prepare(WATCHED)
        async with beating(words), scanning(station, session, access) as scanner:
            yield TagHandshake(words, scanner)


def _counters(station: str, read: dict[str, Any]) -> Counters:
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
        raise LinkLost(station=station, reason=f"counters that don't count: {read}") from error


def _epoch(read: Any) -> str | None:
    return None if read is None else str(read)
