"""Tests of the plan: files, checks, plan and apply."""
