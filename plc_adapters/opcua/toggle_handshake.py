"""The handshake with bits, for PLCs without counters: the PLC moves a bit, and the MES's own bit follows it.

Bits are read as levels: a request is owed while `Req` is not answered by `Permit`, a result while `Done` is not by
`Ack`; what changes in between and back again was not owed. `four_phase` owes while the bit is set and the other is
not, and clears the other once the bit has fallen; `toggle` owes while the two differ.

A cycle needs a number that is the same however often it is read, also by a gateway that knows nothing of before. Bits
have none, and a count kept in the gateway is lost with it: two results would share a number. So the PLC's clock is the
count: it stamps `ReqAt` when it asks and copies it to `DoneReqAt` with the result, and the cycle is a digest of the
serial and that time. A result without `DoneReqAt` was not asked for: its number is made of serial, start and end.

Limits: a clock that is set back to the very time of an earlier request of the same serial repeats its number (the MES
then refuses the other result: a dead letter, never a silent loss); a PLC that loses one bit of a pair and keeps the
other owes its last payload again, which has the same number and so the same answer.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from mes.execution.messages import RecipeAnswer
from plc_adapters import metrics
from plc_adapters.mapping import StationMap
from plc_adapters.opcua.payload import ack_words, permit_words, request_of, result_of
from plc_adapters.opcua.pki import Access
from plc_adapters.opcua.session import open_session
from plc_adapters.opcua.words import Words, beating
from plc_adapters.port import Acknowledgement, Asked, Heard, Permit, Reported, Turn, Unreadable
from plc_adapters.profile_settings import ToggleSettings

READ_AGAIN_S = 10.0  # with the heartbeat it is seen sooner that a bit has moved
_ASKING = ("Req", "ReqAt", "ReqSerial")
_DONE = ("Done", "DoneReqAt", "DoneSerial", "DoneStartedAt", "DoneEndedAt")
_NEVER = 1601  # the year in which OPC UA's time begins: how a DateTime says that it isn't set


class ToggleHandshake:
    """A connected PLC whose bits are mirrored."""

    def __init__(self, words: Words) -> None:
        self.session = words.session
        self._station = words.station
        self._words = words
        self._four_phase = (words.station.toggle or ToggleSettings()).moves == "four_phase"

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
            bits = await self._words.read(("Req", "Permit", "Done", "Ack"))
            said: Heard | None
            if self._owed(bits["Done"], bits["Ack"]):
                said = await self._result()
            elif self._owed(bits["Req"], bits["Permit"]):
                said = await self._request()
            else:
                await self._release(bits)
                await self.session.changed(within_s=READ_AGAIN_S)
                continue
            if said is None:
                metrics.torn_payloads.labels(self._station.code).inc()
                continue
            yield said

    async def reply(self, answer: Permit | Acknowledgement) -> None:
        """Write an answer, payload first and bit last; one that nobody waits for any more is not written."""
        bit, mirror = ("Req", "Permit") if isinstance(answer, Permit) else ("Done", "Ack")
        said = await self._words.read((bit, mirror, *(_ASKING if bit == "Req" else _DONE)))
        turn = _asked(said) if bit == "Req" else _reported(said)
        if turn != answer.turn or not self._owed(said[bit], said[mirror]):
            return
        payload = permit_words(answer.serial, answer.answer) if isinstance(answer, Permit) else ack_words(answer.answer)
        await self._words.write(payload)
        await self._words.write({mirror: said[bit]})

    def _owed(self, bit: Any, mirror: Any) -> bool:
        return bool(bit) and not mirror if self._four_phase else bool(bit) != bool(mirror)

    async def _release(self, bits: dict[str, Any]) -> None:
        """Clear the answers of bits that have fallen (four-phase)."""
        if self._four_phase:
            pairs = (("Req", "Permit"), ("Done", "Ack"))
            await self._words.write({mirror: False for bit, mirror in pairs if bits[mirror] and not bits[bit]})

    async def _request(self) -> Asked | Unreadable | None:
        turn = _asked(await self._words.read(_ASKING))
        words, bad = await self._words.payload("request")
        again = await self._words.read((*_ASKING, "Permit"))
        if _asked(again) != turn or not self._owed(again["Req"], again["Permit"]):
            return None
        return request_of(self._station, turn, turn.epoch, words, bad)

    async def _result(self) -> Reported | Unreadable | None:
        said = await self._words.read(_DONE)
        words, bad = await self._words.payload("result")
        again = await self._words.read((*_DONE, "Ack"))
        turn = _reported(said)
        if _reported(again) != turn or not self._owed(again["Done"], again["Ack"]):
            return None
        cycle = turn.epoch
        if _is_set(said["DoneReqAt"]):
            cycle = _number("t", said["DoneSerial"], said["DoneReqAt"])
        return result_of(self._station, turn, cycle, words, bad)


@asynccontextmanager
async def open_port(station: StationMap, access: Access | None = None) -> AsyncIterator[ToggleHandshake]:
    """Connect to a PLC, check its words and keep the heartbeats going while the context lasts."""
    async with open_session(station, access) as session:
        words = Words(station, session)
        await words.prepare(("Req", "Done"))
        async with beating(words):
            yield ToggleHandshake(words)


def _asked(said: dict[str, Any]) -> Turn:
    return Turn(_number("t", said["ReqSerial"], said["ReqAt"]), int(bool(said["Req"])))


def _reported(said: dict[str, Any]) -> Turn:
    number = _number("d", *(said[word] for word in ("DoneSerial", "DoneStartedAt", "DoneEndedAt", "DoneReqAt")))
    return Turn(number, int(bool(said["Done"])))


def _number(kind: str, *what: Any) -> str:
    said = "|".join(one.isoformat() if isinstance(one, datetime) else str(one) for one in what)
    return f"{kind}-{hashlib.sha256(said.encode()).hexdigest()[:24]}"


def _is_set(moment: Any) -> bool:
    return isinstance(moment, datetime) and moment.year > _NEVER
