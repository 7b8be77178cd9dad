"""From a file, an address or a database to a table of cells.

Front door: `source`.
"""
