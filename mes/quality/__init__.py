"""Quality: holds, the containments that set them, and what becomes of units and lots.

Owns `hold`, `hold_signature`, `containment` and `disposition`. Law 6: a hold passes upward, to whatever a held part is
in or is fitted into; a containment misses nothing, even while stations fit parts. Holds are opened, and closed by the
signatures of their roles; never altered or deleted.
"""
