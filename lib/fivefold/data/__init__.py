"""From files, addresses and databases to a typed table with a target and folds.

Front door: `reading` reads a table, `infer` names its column kinds, `splits` assigns the folds.
"""
