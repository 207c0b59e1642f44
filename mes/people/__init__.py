"""People and machines: the keys by which they are known, and what people are certified for.

Owns `access_key` and `certificate`. Law 11: nobody acts without a key, and each key has one role.
"""
