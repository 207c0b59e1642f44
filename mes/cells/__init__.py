"""Cells: lots of serialised parts received with the supplier's per-unit file. Owns `cell`.

A file is taken whole or not at all: every bad row is named with its line and reason.
"""
