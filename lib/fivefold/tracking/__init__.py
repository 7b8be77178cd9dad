"""Reading runs through Metaflow's client, and the MLflow mirror of them.

Front door: `client` reads runs, `mlflow_mirror` writes to MLflow, `mirror_outcome` says
what came of it.
"""
