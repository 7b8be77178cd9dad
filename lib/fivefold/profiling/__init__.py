"""Checks and reports on a whole table; nothing here steers a model.

Front door: `checks` lists all checks, `summary` describes the table.
"""
