"""The auditor: what must hold whatever is done to the plant, checked with a model of its own.

It may not import `mes`, so that no mistake is made twice. It hears every message with its answer (or silence: then both
outcomes are possible until the tables show which), reads the tables raw, and checks:

1.  A part is in one place, a position holds one unit, no unit is inside itself, nothing is lost, no place overlaps.
2.  What is left of a lot is what came in less what was used: by the tables and by the messages.
3.  Nothing is permitted, and nothing passes without a finding, before its predecessors; nothing unasked is clean.
4.  What a held part is in is held; nothing is permitted under a hold that stops it.
5.  A fact is recorded once, and a repeat hears the first answer.
6.  The ledgers add up to the states: units, lots, orders.
7.  A ledger's row never changes but to be closed, and none disappears.
8.  A hold is closed by all its roles, each another person; scrap stays scrap; what came out isn't fitted untested.
9.  A refusal has no effect but its row; a permit's answer is its row; nothing is written that no message explains.
10. Every act committed has exactly one journal row.
11. Everyone is answered in the MES's own words, and a fact that can be understood is never refused.
"""
