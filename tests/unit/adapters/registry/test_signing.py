"""Signer and Verifier: KMS and memory sign, ``cryptography`` verifies, nothing forged passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from moto import mock_aws

from driftless.adapters.ecdsa import EcdsaVerifier
from driftless.adapters.kms import KmsSigner
from driftless.errors import NotFound, SignatureInvalid
from driftless.ports import Signer
from driftless.testing.memory_registry import MemorySigner

MANIFEST = b'{"files":{}}' * 1000


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("kms", region_name="us-east-1")


class DigestKms:
    """Sign as AWS documents it for ``MessageType=DIGEST``, which moto does not implement: the digest is not hashed again."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def sign(self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> dict[str, Any]:
        assert (MessageType, SigningAlgorithm, len(Message)) == ("DIGEST", "ECDSA_SHA_256", 32)
        return {"KeyId": KeyId, "Signature": self._key.sign(Message, ec.ECDSA(Prehashed(SHA256())))}

    def get_public_key(self, *, KeyId: str) -> dict[str, Any]:
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return {"KeyId": KeyId, "PublicKey": self._key.public_key().public_bytes(*form)}


@pytest.fixture(params=["memory", "kms"])
def signer(request: pytest.FixtureRequest) -> Signer:
    return MemorySigner() if request.param == "memory" else KmsSigner("key", client=DigestKms())


def test_what_was_signed_verifies_with_the_public_key_alone(signer: Signer) -> None:
    EcdsaVerifier().verify(signer.public_key(), MANIFEST, signer.sign(MANIFEST))


def test_other_content_signature_or_key_does_not_verify(signer: Signer) -> None:
    key, signature = signer.public_key(), signer.sign(MANIFEST)
    for wrong in (
        (key, MANIFEST + b" ", signature),
        (key, MANIFEST, signature[:-1]),
        (key, MANIFEST, b""),
        (MemorySigner().public_key(), MANIFEST, signature),
    ):
        with pytest.raises(SignatureInvalid, match="does not belong"):
            EcdsaVerifier().verify(*wrong)


def test_only_p256_keys_are_trusted() -> None:
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for other in (ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()):
        with pytest.raises(SignatureInvalid, match="not on the curve P-256"):
            EcdsaVerifier().verify(other.public_key().public_bytes(*form), MANIFEST, b"")
    with pytest.raises(SignatureInvalid, match="cannot be read"):
        EcdsaVerifier().verify(b"no key", MANIFEST, b"")


def test_the_public_key_is_requested_once(kms: Any) -> None:
    key = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"]
    signer = KmsSigner(key, client=kms)
    first = signer.public_key()
    kms.disable_key(KeyId=key)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert signer.public_key() == first


def test_a_key_that_is_not_there_is_not_found(kms: Any) -> None:
    missing = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(NotFound, match=missing):
        KmsSigner(missing, client=kms).sign(MANIFEST)
