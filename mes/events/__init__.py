"""Plant events: the durable stream of what was told, and those who take it.

Owns the tables `event`, `event_stream` and `subscription`. An act leaves what it tells in the outbox; the relay moves
it into the stream, in one order for everyone: who has read up to an id never misses one before it. Readers poll the
stream over HTTP; subscribers (a broker, a webhook) are brought each event at least once, in order, under the same id.
"""
