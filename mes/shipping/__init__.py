"""Shipping: crates, their SSCC, what is in them, and what left, when and to whom.

Owns the table `crate` and the ledger `crate_unit`. A unit is in one crate at a time; what has left stays in the crate
it left in. The rules of `rules.py` are asked when a unit is packed and once more when its crate leaves: a crate leaves
whole or not at all.
"""
