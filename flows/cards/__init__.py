"""Metaflow cards of the flows, built from the plain dicts that `fivefold` returns."""
