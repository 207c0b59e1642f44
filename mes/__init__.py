"""The MES of a battery pack plant: orders, lots, units, interlocks, results and genealogy."""
