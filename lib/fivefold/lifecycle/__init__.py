"""After training: monitoring, alerts, retraining, and the promotion of a better model.

Front door: `steps` evaluates windows of traffic, `promotion` changes what is served.
"""
