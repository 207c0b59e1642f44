"""Genealogy: what is inside what, where, from when and until when.

Owns the table `installation`. Law 1: a unit is in one place. Law 2: a position holds one unit. Edges are added and
closed, so the tree of any past moment can be read.
"""
