"""Types and helpers that every package uses; nothing heavy is imported here.

Front door: `findings` (what is wrong, and what to do) and `scope` (the business problem).
"""
