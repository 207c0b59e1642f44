"""Screens for people: the live line, the trace of a unit, where a lot is, logging in. Owns no table.

A screen reads what everyone may read and changes things through the same acts as the API. It is complete without
JavaScript; the script adds local times and live updates. Nothing is fetched from outside the plant.
"""
