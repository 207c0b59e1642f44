"""Tamper evidence: whatever is changed behind the MES's back, even by the database's superuser, is found and named.

Owns `seal`, `seal_part` and `seal_stream`. A *seal*, made once a second by one process at a time, covers all rows of
every ledger, of the journal, and of what gives their ids a name (serials, lots, stations ...), that are settled and
not sealed yet, and is chained to the seal before it. Writers do nothing for it and never wait.

Rows are told by their numbers, which sequences give. Numbers become visible out of order; so one is *settled* when
every transaction that had drawn from its sequence by the time it was the newest has ended (`rules.Settling`): nothing
below it can come any more, and a run of numbers is sealed whole, gaps and all. A row removed from it, added to it or
changed in it doesn't fit any more.

A *closing* (a hold released, a part taken out) is sealed like a row: the guard draws it a number of its own, and the
closing columns with that number are a stream beside the table's rows. The rows' own stream holds what never changes,
and, while there is no closing number, the closing columns too: to close one without a number is to change it.

An *anchor* is a seal's hash, signed, kept elsewhere: who makes seals anew, or removes the newest, is found by it
alone. What was changed before it was sealed (a second or two) is not found; nor is a row that the MES never wrote,
added as if new.
"""
