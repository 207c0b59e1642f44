"""Recognises keys, remembering each for a few seconds so that the station door needs no look-up per request."""

from collections import OrderedDict
from datetime import datetime, timedelta

from mes import clock
from mes.actor import Actor
from mes.db import Database
from mes.people.queries import find_actor, hash_key

REMEMBERED = timedelta(seconds=5)
CAPACITY = 2000


class Keyring:
    """Whose key is this? Revocation takes hold within five seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[bytes, tuple[Actor, datetime]] = OrderedDict()

    async def find(self, key: str) -> Actor | None:
        """Return the holder of a valid key, None for any other text."""
        key_hash = hash_key(key)
        now = clock.now()
        if (known := self._known.get(key_hash)) and known[1] > now:
            return known[0]
        async with self._database.reading() as session:
            found = await find_actor(session, key_hash)
        if found is None or found[1].revoked_at or (found[1].expires_at and found[1].expires_at <= now):
            self._known.pop(key_hash, None)
            return None
        until = min(now + REMEMBERED, found[1].expires_at or now + REMEMBERED)
        self._known[key_hash] = (found[0], until)
        if len(self._known) > CAPACITY:
            self._known.popitem(last=False)
        return found[0]
