"""Questions to the record in one readable line: which units, on what ground, where they are, what isn't known."""
