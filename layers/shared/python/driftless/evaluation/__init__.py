"""Evaluation: score challenger and champion on the hold-out, then judge the challenger by gates."""
