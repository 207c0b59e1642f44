"""The words of a PLC that is spoken to by tags: its payloads, its answers and both heartbeats."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from mes.execution.messages import RecipeAnswer
from plc_adapters.mapping import StationMap
from plc_adapters.opcua.payload import REQUEST_WORDS, RESULT_WORDS, recipe_words
from plc_adapters.opcua.session import Reading, Session
from plc_adapters.port import LinkLost

BEAT_S = 1.0
_BAD_READS = 3
_DIGEST = re.compile(r"[0-9a-f]{64}")
OF_MES = ("Permit", "Recipe", "Ack", "MesHeartbeat")


class Words:
    """Reads and writes the words of one station by the names of the mapping; those it doesn't have are left out."""

    def __init__(self, station: StationMap, session: Session) -> None:
        self.station = station
        self.session = session
        self._nodes = station.word_nodes
        self._payload = _payload_nodes(station)
        self._watched: Sequence[str] = ()
        self._seen: dict[str, Any] = {}  # of those that are watched, as last read by whoever serves the station

    async def prepare(self, watched: Sequence[str]) -> None:
        """Check the words against the server and watch some of them; LinkLost names every word that is missing."""
        nodes, self._watched = self._nodes, watched
        await self.session.prepare(
            read=[*nodes.values(), *(node for names in self._payload.values() for node in names.values())],
            written=[node for word, node in nodes.items() if word.startswith(OF_MES)],
            watched=[nodes[word] for word in watched],
            period_ms=self.station.publishing_ms,
        )

    async def read(self, words: Sequence[str]) -> dict[str, Any]:
        """Read the words that decide; LinkLost where one has no value of good quality."""
        return (await self.read_with(words, ""))[0]

    async def read_with(self, words: Sequence[str], which: str) -> tuple[dict[str, Any], dict[str, Reading]]:
        """Read the words that decide, and behind them in one call the payload of a `request` or a `result`."""
        present = [word for word in words if word in self._nodes]
        payload = self._payload.get(which, {})
        every = await self.session.read([*(self._nodes[word] for word in present), *payload.values()])
        readings, rest = every[: len(present)], every[len(present) :]
        if bad := [f"{word} {one.bad}" for word, one in zip(present, readings, strict=True) if one.bad]:
            raise LinkLost(station=self.station.code, reason=f"counters without a value: {', '.join(bad)}")
        read = {word: one.value for word, one in zip(present, readings, strict=True)}
        self._seen |= {word: value for word, value in read.items() if word in self._watched}
        return read, dict(zip(payload, rest, strict=True))

    async def payload(
        self, which: str, readings: dict[str, Reading] | None = None
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """All words of a `request` or a `result`, and the status of those that have no value; `readings`: as read."""
        nodes = self._payload[which]
        words: dict[str, Any] = {}
        bad: dict[str, str] = {}
        for _ in range(_BAD_READS):
            readings = readings or dict(zip(nodes, await self.session.read(list(nodes.values())), strict=True))
            words = {word: one.value for word, one in readings.items() if one.bad is None}
            bad = {word: one.bad for word, one in readings.items() if one.bad is not None}
            if not bad:
                break
            # A sensor's bad quality may pass; one that stays is a fact to be told.
            await asyncio.sleep(0.1)
            readings = None
        return words, bad

    async def write(self, words: dict[str, Any]) -> None:
        """Write words in one call."""
        present = {self._nodes[word]: value for word, value in words.items() if word in self._nodes}
        if present:
            await self.session.write(present)

    async def load(self, recipe: RecipeAnswer) -> str | None:
        """Write a recipe and wait until the machine says which it holds; its digest, None: it has no word for it.

        One that doesn't come to hold it in time says what it holds instead, and is refused for that.
        """
        if not {"RecipeId", "RecipeParameters", "ReqRecipeId"} <= self._nodes.keys():
            return None
        await self.write(recipe_words(recipe))
        loop = asyncio.get_running_loop()
        until = loop.time() + self.station.timeout_s
        while _digest(held := await self._held()) != recipe.digest and loop.time() < until:
            await self.session.changed(within_s=self.station.publishing_ms / 1000)
        return _digest(held)

    async def _held(self) -> str:
        return str((await self.read(["ReqRecipeId"]))["ReqRecipeId"] or "")

    async def beat(self) -> None:
        """Show the MES's heartbeat and watch the PLC's, until it is dead; then the link is lost.

        A server may answer long after the program behind it has stopped: only the heartbeat tells. What is watched is
        read along with it: a subscription may go deaf and look alive.
        """
        loop, dead_s = asyncio.get_running_loop(), self.station.heartbeat_dead_s
        shown, last, changed_at = 0, await self._heartbeat(), loop.time()
        while True:
            await asyncio.sleep(min(BEAT_S, dead_s / 5))
            shown = (shown + 1) % 2**16
            await self.write({"MesHeartbeat": shown})
            seen = await self._heartbeat(self._watched)
            if seen != last or seen is None:
                last, changed_at = seen, loop.time()
            elif loop.time() - changed_at > dead_s:
                self.session.lose(f"its heartbeat has stood still for {dead_s:g} s")
                return

    async def wait_for_heartbeat(self) -> None:
        """Return once the PLC's heartbeat is seen to move; so a dead program never counts as connected."""
        first = await self._heartbeat()
        loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        while first is not None and await self._heartbeat() == first:
            if loop.time() - began > self.station.heartbeat_dead_s:
                raise LinkLost(station=self.station.code, reason="the server answers, but its heartbeat stands still")
            await self.session.changed(within_s=0.05)

    async def _heartbeat(self, others: Sequence[str] = ()) -> Any:
        """The PLC's heartbeat; 0: it has no value, None: there is none. Others that have changed wake who serves."""
        words = [word for word in ("Heartbeat", *others) if word in self._nodes]
        found = dict(zip(words, await self.session.read([self._nodes[word] for word in words]), strict=True))
        beat = found.pop("Heartbeat", None)
        if any(one.bad is None and one.value != self._seen.get(word) for word, one in found.items()):
            self.session.wake()
        return None if beat is None else beat.value if beat.bad is None else 0


def _digest(held: str) -> str | None:
    digest = held.rpartition("@")[2]
    return digest if _DIGEST.fullmatch(digest) else None


@asynccontextmanager
async def beating(words: Words) -> AsyncIterator[None]:
    """Keep the heartbeats going while the context lasts, once the PLC's was seen to move."""
    await words.wait_for_heartbeat()
    task = asyncio.create_task(_beat(words), name=f"beat {words.station.code}")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _beat(words: Words) -> None:
    try:
        await words.beat()
    except LinkLost as error:
        words.session.lose(str(error.facts.get("reason", "")))


def _payload_nodes(station: StationMap) -> dict[str, dict[str, str]]:
    words = station.word_nodes
    result = {word: words[word] for word in RESULT_WORDS if word in words}
    result |= {f"values.{name}": node for name, node in station.value_nodes.items()}
    for name, count in station.curves.items():
        for ordinal in range(1, count + 1):
            x, y = station.curve_nodes(name, ordinal)
            result |= {f"curves.{name}.{ordinal}.x": x, f"curves.{name}.{ordinal}.y": y}
    return {"request": {word: words[word] for word in REQUEST_WORDS if word in words}, "result": result}
