"""Answers from a model: requests, whole files, and the journal rows they leave.

Front door: `served_model` answers single requests, `steps` scores whole files.
"""
