"""Altair charts from plain dicts, for cards and the app.

Front door: `style` gives every chart its look; each other module draws one subject.
"""
