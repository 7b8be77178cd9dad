"""The logic of Fivefold: functions on tables; no Metaflow, MLflow or Streamlit at import."""
