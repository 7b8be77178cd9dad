"""Checks and reports on a whole table; they do not change the model.

Front door: `checks` lists all checks, `summary` describes the table.
"""
