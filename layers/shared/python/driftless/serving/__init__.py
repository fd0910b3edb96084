"""Serving: inference predicts, the collector stores the prediction log in the lake, and labels accepts ground truth."""
