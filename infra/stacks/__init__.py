"""Deployment units: the data, pipeline, serving and monitoring stacks."""
