"""The SQL record of what was served, labelled, promoted, reported and alerted.

Front door: `database` opens it; `writer` keeps predictions before they are answered.
"""
