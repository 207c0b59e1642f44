"""Benches: each starts what it needs on a database of its own, and never writes to a plant's."""
