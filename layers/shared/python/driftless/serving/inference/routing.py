"""Who answers a record during a canary: decided by a stable hash of its key, so that a key keeps its model.

The hash is salted with project and challenger version: each rollout draws its own sample, and a growing weight only ever adds
keys to the challenger's side.
"""

from __future__ import annotations

from hashlib import blake2b

from driftless.records import Endpoint


def position(project: str, challenger: int, key: str) -> float:
    """Where a key lies in [0, 1), uniformly over keys."""
    digest = blake2b(f"{project}\0{challenger}\0{key}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def goes_to_challenger(endpoint: Endpoint, key: str) -> bool:
    """Whether the challenger answers records of this key."""
    if endpoint.challenger is None or endpoint.challenger_weight <= 0:
        return False
    return position(endpoint.project, endpoint.challenger, key) < endpoint.challenger_weight
