"""Driftless: the whole life of a tabular model, from landing file to monitored prediction.

Imports run one way: handler → :mod:`driftless.entrypoint` (the one composition root) → adapters and steps → ports →
records and errors. Steps never import each other, and only :mod:`driftless.adapters` imports a client library.
"""

__version__ = "0.1.0"
