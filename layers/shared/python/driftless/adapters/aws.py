"""Creates boto3 clients and translates botocore's errors.

Clients come from a default session, which reads region, credentials and ``AWS_ENDPOINT_URL``, so the same code runs against AWS,
LocalStack and the embedded cloud. :func:`translated` turns botocore's errors into Driftless's tree, chained, so that Step
Functions can retry by class name whichever client failed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
)

from driftless.errors import AccessDenied, BadRequest, Conflict, DriftlessError, NotFound, StoreUnavailable, Throttled

_NOT_FOUND = frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NotFound", "404", "ParameterNotFound"})
_THROTTLED = frozenset({"SlowDown", "RequestLimitExceeded", "ProvisionedThroughputExceededException", "LimitExceededException"})
_CONFLICT = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "ConditionalCheckFailedException", "OperationAborted"})
# HTTP 400, although the service or the network was late.
_UNAVAILABLE = frozenset({"RequestTimeout", "RequestTimeoutException"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})


@cache
def client(service: str) -> Any:
    """The process's client of one AWS service, created at first use.

    With an endpoint of its own (``AWS_ENDPOINT_URL``) S3 is addressed by path: bucket names are no host names there.
    """
    custom = bool(os.environ.get("AWS_ENDPOINT_URL") or os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}"))
    style = {"addressing_style": "path"} if custom else {}
    config = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=60, s3=style)
    return boto3.client(service, config=config)


def error_code(error: ClientError) -> str:
    """The service's error code, such as ``NoSuchKey``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def translate(error: ClientError, what: str) -> DriftlessError:
    """The leaf of Driftless's error tree for an error response of a service.

    Parameters
    ----------
    error : ClientError
        The response.
    what : str
        What was being done, for the message: ``"read s3://lake/a"``.
    """
    code = error_code(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = f"{what}: {code}: {error.response.get('Error', {}).get('Message', error)}"
    if code in _NOT_FOUND or code.endswith(("NotFoundException", "DoesNotExist")):
        return NotFound(message)
    if code in _THROTTLED or "Throttl" in code or "TooManyRequests" in code or status == 429:
        return Throttled(message)
    if code in _CONFLICT or "Conflict" in code or status in (409, 412):
        return Conflict(message)
    if code in _DENIED or status == 403:
        return AccessDenied(message)
    if code in _UNAVAILABLE or status >= 500 or status == 0:
        return StoreUnavailable(message)
    return BadRequest(message)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise Driftless's errors, chained, for what botocore raises inside the block."""
    try:
        yield
    except ClientError as error:
        raise translate(error, what) from error
    except (HTTPClientError, ConnectionError, IncompleteReadError) as error:
        raise StoreUnavailable(f"{what}: {error}") from error
    except (NoCredentialsError, CredentialRetrievalError) as error:
        raise AccessDenied(f"{what}: {error}") from error
