"""The plan: a plant and its products kept as YAML files; says what applying them would change, and applies them.

Owns no table. Files are checked as a whole and every error is told at once, with its file and line. Applying is one
transaction, all or nothing; it adds and changes, and deletes nothing: what the files don't name stays as it is, so a
file can be applied alone. A product whose content differs from its newest revision gets the next one; the trace and the
unit of a part that is used can't change, because what is recorded was counted by them.
"""
