"""Attribute names of the two DynamoDB tables, which their definition in infra and their users must agree on."""

from __future__ import annotations

REGISTRY_PARTITION = "pk"
REGISTRY_SORT = "sk"
IDEMPOTENCY_KEY = "id"
IDEMPOTENCY_EXPIRY = "expiration"
