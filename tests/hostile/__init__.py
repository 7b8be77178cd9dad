"""Hostile tables, each with its right answer. `python -m tests.hostile` prints the score."""
