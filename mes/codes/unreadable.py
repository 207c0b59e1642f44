"""The one error of every code: what was read, what was expected, what to do."""


class Unreadable(ValueError):
    """A code that can't be taken as it was read."""

    def __init__(
        self, read: str, expected: str, then: str = "Scan it again; if it stays so, print a new label."
    ) -> None:
        shown = read if len(read) <= 60 else f"{read[:57]}..."
        super().__init__(f"read {shown!r}, expected {expected}. {then}")
