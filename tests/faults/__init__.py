"""Faults, struck on purpose: a shift of ten stations with real processes, a proxy that cuts every link, and an auditor.

`python -m tests.faults --faults 100 --seed 1` strikes each fault of the table once, then so many at random, and prints
what became of every one of them.
"""
