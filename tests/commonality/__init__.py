"""Commonality."""
