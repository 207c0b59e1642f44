"""Matching: graded cells put into the groups of kits. Pure: numpy, no database.

`kits.match` makes kits, `limits.check` says which rules an assignment breaks, `comparison.compare` sets a matching
beside random and sorted blocks. A *kit* is `groups` groups of `per_group` cells in parallel; a cell's *position* counts
from 1 through the groups. Spreads are (greatest - least) / mean, in %.
"""
