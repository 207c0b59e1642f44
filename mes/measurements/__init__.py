"""Measurements: values and curves taken from a unit, judged against the limits of its pinned revision.

Owns `measurement` and `curve`. Law 7: the MES judges; the station's own verdict is kept beside.
"""
