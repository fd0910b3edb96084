"""S3 objects that are encrypted with KMS without a key id.

Restores the behaviour of the AWS documentation page "Using server-side encryption with AWS KMS keys": a write with
``aws:kms`` and without a key id uses the AWS managed key, ``alias/aws/s3``. The CDK command line uploads its assets this
way to a bucket whose default encryption is KMS.
"""

from __future__ import annotations

from typing import Any

from local_cloud.mends.patching import core, replace

_RESOLVE = "ministack.services.s3._resolve_sse_write_headers"
_ALGORITHM = "x-amz-server-side-encryption"
_KEY = f"{_ALGORITHM}-aws-kms-key-id"

TARGETS = (_RESOLVE, "ministack.core.responses.get_region", "ministack.core.responses.get_account_id")


def apply() -> None:
    """Use the AWS managed key for writes with KMS that have no key id."""
    original = replace(_RESOLVE, lambda headers, bucket: original(with_managed_key(headers), bucket))


def with_managed_key(headers: dict[str, Any]) -> dict[str, Any]:
    """Return a write's headers, with the managed key if they have KMS encryption and no key id."""
    if headers.get(_ALGORITHM) != "aws:kms" or headers.get(_KEY):
        return headers
    responses = core("responses")
    return {**headers, _KEY: f"arn:aws:kms:{responses.get_region()}:{responses.get_account_id()}:alias/aws/s3"}
