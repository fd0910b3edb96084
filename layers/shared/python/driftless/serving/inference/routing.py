"""Route records during a canary: a stable hash of the key chooses champion or challenger, so each key keeps its model.

The hash is salted with project and challenger version, so each rollout has a sample of its own. A growing weight only adds keys
to the challenger.
"""

from __future__ import annotations

from hashlib import blake2b

from driftless.records import Endpoint


def position(project: str, challenger: int, key: str) -> float:
    """Position of a key in [0, 1), uniform over keys."""
    digest = blake2b(f"{project}\0{challenger}\0{key}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def goes_to_challenger(endpoint: Endpoint, key: str) -> bool:
    """Whether the challenger predicts records with this key."""
    if endpoint.challenger is None or endpoint.challenger_weight <= 0:
        return False
    return position(endpoint.project, endpoint.challenger, key) < endpoint.challenger_weight
