"""A write with KMS and without a key id uses the AWS managed key."""

from __future__ import annotations

from local_cloud import clients
from local_cloud.lifecycle import Cloud


def test_a_kms_write_without_a_key_uses_the_managed_key(cloud: Cloud) -> None:
    s3 = clients.session(cloud.endpoint).client("s3")
    s3.create_bucket(Bucket="managed-key")
    s3.put_object(Bucket="managed-key", Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    found = s3.head_object(Bucket="managed-key", Key="k")
    assert found["ServerSideEncryption"] == "aws:kms"
    assert found["SSEKMSKeyId"] == "arn:aws:kms:us-east-1:000000000000:alias/aws/s3"
