"""Tests of parts and released revisions."""
