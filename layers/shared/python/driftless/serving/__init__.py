"""Serving: predictions are answered, collected from the log group, and joined by labels."""
