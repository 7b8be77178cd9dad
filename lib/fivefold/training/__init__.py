"""From a table to a chosen model: intake, search, selection and final fit.

Front door: `steps` and `final_steps` are the bodies of the flow's steps; `algorithms` lists the
algorithms.
"""
