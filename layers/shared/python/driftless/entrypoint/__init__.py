"""The composition root: one module per function builds its adapters from its own typed settings.

Importing any of them reads no environment and opens no client; that happens at the first call of ``compose()``, once per process.
"""
