"""Tests of what is read across capabilities."""
