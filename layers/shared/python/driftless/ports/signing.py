"""Signing manifests, and checking their signatures: ECDSA P-256 over SHA-256, DER encoded."""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    """Signs with the registration key."""

    def sign(self, content: bytes) -> bytes:
        """The DER signature over the content."""

    def public_key(self) -> bytes:
        """DER SubjectPublicKeyInfo."""


class Verifier(Protocol):
    """Checks signatures offline."""

    def verify(self, public_key: bytes, content: bytes, signature: bytes) -> None:
        """Return when the signature is valid; raise SignatureInvalid otherwise."""
