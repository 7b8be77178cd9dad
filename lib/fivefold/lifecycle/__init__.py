"""After training: monitoring, alerts, retraining, and the promotion of a better model.

Front door: `monitor_steps` evaluates windows of traffic, `retrain` trains and compares a new model,
`promotion` and `decisions` change what is served, `publish` promotes and mirrors a first model.
"""
