"""The Verifier port by ``cryptography``: offline, so that a cold start makes no call to KMS."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from driftless.errors import SignatureInvalid


class EcdsaVerifier:
    """Checks ECDSA P-256 signatures over SHA-256."""

    def verify(self, public_key: bytes, content: bytes, signature: bytes) -> None:
        """Return if the signature is good.

        Parameters
        ----------
        public_key : bytes
            DER SubjectPublicKeyInfo.
        content : bytes
            What was signed, not its digest.
        signature : bytes
            DER encoded.

        Raises
        ------
        SignatureInvalid
            When the key is no P-256 key, or did not sign this content.
        """
        try:
            key = load_der_public_key(public_key)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise SignatureInvalid(f"the public key cannot be read: {error}") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise SignatureInvalid("the public key is not on the curve P-256")
        try:
            key.verify(signature, content, ec.ECDSA(SHA256()))
        except InvalidSignature as error:
            raise SignatureInvalid("the signature does not belong to this content and key") from error
