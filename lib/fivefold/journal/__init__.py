"""The SQL record of what was served, labelled, promoted, reported and alerted.

Front door: `database` opens it and reads predictions; `writer` keeps predictions before they are
answered; `labels`, `promotions`, `reports` and `alerts` read and append to their own tables.
"""
