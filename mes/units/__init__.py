"""Units: each serialised cell, module and pack, and its state.

Owns the table `unit`; nothing else creates or alters one. A unit made here is *issued* with its order, *in process*
from its first result, *finished* when its whole route has passed. A unit that came from outside is *received*. One
that came out of another is *removed* until its re-test; *scrapped* is for ever.
"""
