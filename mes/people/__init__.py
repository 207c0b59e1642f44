"""People and machines: the keys by which they are known. Owns `access_key`.

Law 11: nobody acts without a key, and each key has one role.
"""
