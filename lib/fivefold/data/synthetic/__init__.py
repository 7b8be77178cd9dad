"""Generated tables: the bundled bank, copula rows for training, and shifted traffic for the demo.

Front door: `bank` for the bundled table, `copula` to fit a table and draw rows from it.
"""
