"""Objects encrypted under KMS without a key of one's own.

Restores the behaviour of the AWS documentation page "Using server-side encryption with AWS KMS keys": a write that asks
for ``aws:kms`` and names no key uses the account's AWS managed key, ``alias/aws/s3``. The CDK command line uploads its
assets this way to a bucket whose default encryption is KMS.
"""

from __future__ import annotations

from typing import Any

from local_cloud.mends.patching import core, replace

_RESOLVE = "ministack.services.s3._resolve_sse_write_headers"
_ALGORITHM = "x-amz-server-side-encryption"
_KEY = f"{_ALGORITHM}-aws-kms-key-id"

TARGETS = (_RESOLVE, "ministack.core.responses.get_region", "ministack.core.responses.get_account_id")


def apply() -> None:
    """Give writes under KMS that name no key the account's managed key."""
    original = replace(_RESOLVE, lambda headers, bucket: original(with_managed_key(headers), bucket))


def with_managed_key(headers: dict[str, Any]) -> dict[str, Any]:
    """Return a write's headers with the managed key named if it asks for KMS and names none."""
    if headers.get(_ALGORITHM) != "aws:kms" or headers.get(_KEY):
        return headers
    responses = core("responses")
    return {**headers, _KEY: f"arn:aws:kms:{responses.get_region()}:{responses.get_account_id()}:alias/aws/s3"}
