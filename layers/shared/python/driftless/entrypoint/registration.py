"""Composition of the registration function: the only one that may sign, and that may write models and trusted keys."""

from __future__ import annotations

from driftless.adapters.aws import client
from driftless.adapters.dynamodb import DynamoRegistry
from driftless.adapters.kms import KmsSigner
from driftless.adapters.s3 import S3Store
from driftless.core.clock import utc_now
from driftless.definition.loading import load_all
from driftless.entrypoint.common import Settings, read_settings
from driftless.registry.registration import Register


class RegistrationSettings(Settings):
    """Environment of the function."""

    artifacts_bucket: str
    registry_table: str
    signing_key_id: str


def compose() -> Register:
    """The step over S3, DynamoDB and KMS."""
    settings = read_settings(RegistrationSettings)
    return Register(
        artifacts=S3Store(settings.artifacts_bucket, client=client("s3")),
        registry=DynamoRegistry(settings.registry_table, client=client("dynamodb")),
        signer=KmsSigner(settings.signing_key_id, client=client("kms")),
        projects=load_all(),
        clock=utc_now,
    )
