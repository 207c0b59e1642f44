"""The as-built record: all that is known of one unit and of what it is made of, in one message, and what isn't known.

Page, paper and JSON are made of that message alone.
"""
