"""Looks what is settled, and has it sealed; one process at a time does."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mes.actor import Actor, Role
from mes.db import Database
from mes.seal.anchor import signed
from mes.seal.messages import Anchor, Sealed, Settled
from mes.seal.queries import holders, in_force, last_drawn, streams
from mes.seal.rules import Settling
from mes.seal.service import seal_rows, tell_anchor

SEALER = Actor("sealer", Role.STATION)
MOST = 20_000  # numbers of a stream in one seal


class Sealer:
    """Keeps what was seen at the last look: a row is sealed once every transaction that ran then has ended."""

    def __init__(self, database: Database, key: Ed25519PrivateKey | None = None, *, most: int = MOST) -> None:
        self.database, self.key, self.most = database, key, most
        self.settling = Settling()
        self.sequences: set[str] = set()

    async def turn(self) -> int:
        """Seal all that is settled; how many rows. The first seal of each minute is told as an event."""
        settled = Settled(upto=await self._look(), most=self.most)
        rows = 0
        while True:
            sealed = await self.database.transact(seal_rows, settled, SEALER)
            if sealed is None:
                return rows
            rows += sealed.rows
            if sealed.is_new_minute:
                await self._tell(sealed)
            if not sealed.is_full:
                return rows

    async def _look(self) -> dict[str, int]:
        async with self.database.reading() as session:
            if not self.sequences:
                self.sequences = {stream.drawn_by for stream in in_force(await streams(session))}
            drawn = await last_drawn(session, self.sequences)  # first: who holds one is asked after it
            return self.settling.look(drawn, await holders(session))

    async def _tell(self, sealed: Sealed) -> None:
        anchor = Anchor(seal=sealed.id, at=sealed.at, hash=sealed.hash)
        await self.database.transact(tell_anchor, signed(anchor, self.key) if self.key else anchor, SEALER)
