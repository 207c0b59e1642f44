"""Kits: cells matched into the groups of one piece, reserved for it, and checked at the slot. Owns `kit`, `kit_cell`.

A cell is in one kit at a time. A kit is *reserved* until its cells are fitted (*used*) or given back (*released*).
"""
