"""Recall drills: a list asked for by surprise, timed, counted again another way, and kept as evidence."""
