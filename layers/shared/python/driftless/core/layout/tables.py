"""Attribute names of the registry's DynamoDB table, shared by its definition in infra and its adapter."""

from __future__ import annotations

REGISTRY_PARTITION = "pk"
REGISTRY_SORT = "sk"
