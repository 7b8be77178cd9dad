"""The logic of Fivefold: pure functions on tables, importable without Metaflow, MLflow or Streamlit."""
