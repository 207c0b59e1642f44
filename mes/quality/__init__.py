"""Quality: holds, and the containments that set them.

Owns `hold` and `containment`. Law 6: a hold passes upward, to whatever a held part is in or is fitted into; a
containment misses nothing, even while stations fit parts. Holds are opened and released, never altered or deleted.
"""
