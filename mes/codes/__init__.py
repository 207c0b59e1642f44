"""Codes: what a scanner delivers, read; and what a label carries, written. Pure: no I/O, no database."""
