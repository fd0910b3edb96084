"""boto3 sessions for clients of the cloud: the command line, the demo, the tests.

For a local endpoint the session is localstack-client's, which uses ``AWS_ENDPOINT_URL`` and dummy credentials. Otherwise
it is boto3's own, with the user's credentials.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

LOCAL_CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
LOCAL_REGION = "us-east-1"


class Session(Protocol):
    """The interface that boto3's and localstack-client's sessions share."""

    region_name: str | None

    def client(self, service_name: str, **options: Any) -> Any:
        """Open a client of one service."""
        ...

    def get_credentials(self) -> Any:
        """Return the credentials that sign requests."""
        ...


class _WithoutProxies:
    """A local session whose clients use no proxy, because a proxy cannot reach an endpoint on this machine."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.region_name: str | None = session.region_name

    def client(self, service_name: str, **options: Any) -> Any:
        """Open a client of one service."""
        from botocore.config import Config

        direct = Config(proxies={})
        given = options.pop("config", None)
        return self._session.client(service_name, config=given.merge(direct) if given else direct, **options)

    def get_credentials(self) -> Any:
        """Return the credentials that sign requests."""
        return self._session.get_credentials()


def is_local(endpoint: str | None) -> bool:
    """Whether an endpoint is on this machine or a private network and so gets dummy credentials."""
    host = urlsplit(endpoint).hostname if endpoint else None
    if host is None:
        return False
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".localhost", ".localstack.cloud"))


def session(endpoint: str | None = None) -> Session:
    """Return a session on a local endpoint, or on AWS.

    Parameters
    ----------
    endpoint : str, optional
        The endpoint; ``AWS_ENDPOINT_URL`` has precedence. With neither, the session is for AWS.
    """
    chosen = os.environ.get("AWS_ENDPOINT_URL") or endpoint
    result: Session
    if chosen is not None and is_local(chosen):
        import localstack_client.session

        host = urlsplit(chosen).netloc
        result = _WithoutProxies(
            localstack_client.session.Session(
                **LOCAL_CREDENTIALS, aws_session_token=None, region_name=LOCAL_REGION, localstack_host=host
            )
        )
    else:
        import boto3

        result = boto3.Session()
    return result
