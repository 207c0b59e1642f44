"""Cycles: what stations asked, were answered, and did.

Owns the ledgers `permit`, `cycle` and `finding`; `execution` decides what is written into them. They stand below
quality, so that a hold can be asked for by station, tool, program and time.
"""
