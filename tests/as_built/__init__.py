"""The as-built record."""
