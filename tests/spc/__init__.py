"""Charts, rules, capability and gauge studies, against published examples and other implementations."""
