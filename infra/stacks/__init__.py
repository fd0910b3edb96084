"""Deployment units: what holds data, what learns, what serves, what watches."""
