"""The Signer port on KMS: an asymmetric key (ECC_NIST_P256) whose private half never leaves the service.

Only the digest is sent, so one small call signs a manifest of any size. Verification needs the public key and no KMS.
"""

from __future__ import annotations

import hashlib
from typing import Any

from driftless.adapters.aws import translated


class KmsSigner:
    """Signs with one KMS key.

    Parameters
    ----------
    key_id : str
        Id, ARN or alias of the key (usage SIGN_VERIFY, spec ECC_NIST_P256).
    client : KMS client
        A boto3 client, normally ``driftless.adapters.aws.client("kms")``.
    """

    def __init__(self, key_id: str, *, client: Any) -> None:
        self.key_id = key_id
        self._client = client
        self._public_key: bytes | None = None

    def sign(self, content: bytes) -> bytes:
        digest = hashlib.sha256(content).digest()
        with translated(f"sign with key {self.key_id}"):
            response = self._client.sign(
                KeyId=self.key_id, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
            )
        return bytes(response["Signature"])

    def public_key(self) -> bytes:
        if self._public_key is None:
            with translated(f"read the public half of key {self.key_id}"):
                self._public_key = bytes(self._client.get_public_key(KeyId=self.key_id)["PublicKey"])
        return self._public_key
