"""One trained model: its bytes, predictions, warnings, threshold, explanations and evaluation.

Front door: `bundle` loads a model and predicts.
"""
