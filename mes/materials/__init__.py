"""Materials: lots received, what is left of them, and the documents that came with them.

Owns `lot` and `lot_document`. Law 9: what is left of a lot is what came in less all that was used, exactly.
"""
