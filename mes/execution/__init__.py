"""Execution: what a station may do. It asks a permit, and reports a result; `rules` decides.

Law 4: one cycle, one effect, however often it is asked or reported. A permit may be refused; a fact may not: what a
report breaks is recorded as a finding, and holds the unit (law 6). Owns `waiver`, `station_check` and `first_article`;
what it decides about permits and cycles is written into the ledgers of `cycles`.
"""
