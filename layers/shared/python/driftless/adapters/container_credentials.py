"""Credentials from Lambda's endpoint for functions with SnapStart, which have no access keys in their environment.

``obstore`` supports such an endpoint only with a token file, and Lambda passes the token itself. The standard library's HTTP
client suffices, so a cold start imports no SDK.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from driftless.core.clock import utc_now

if TYPE_CHECKING:
    from obstore.store import S3Credential

_URI, _TOKEN = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"
_TIMEOUT_SECONDS = 2
_EARLY = timedelta(minutes=5)


class ContainerCredentials:
    """Credential provider of an obstore store: requests credentials, and new ones five minutes before they expire.

    Expiry is compared with the wall clock, because a monotonic clock may stand still while a process is frozen.

    Parameters
    ----------
    environment : mapping
        Where URI and token are read at each request; a restored snapshot may have new ones.
    clock : callable
        Timezone-aware now.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ, clock: Callable[[], datetime] = utc_now) -> None:
        self._environment, self._clock = environment, clock
        self._held: tuple[dict[str, str], datetime] | None = None

    @staticmethod
    def offered(environment: Mapping[str, str] = os.environ) -> bool:
        """Whether there is such an endpoint, and no access key before it, in the order of AWS's own SDKs."""
        return _URI in environment and _TOKEN in environment and "AWS_ACCESS_KEY_ID" not in environment

    def __call__(self) -> S3Credential:
        """Credentials that are valid now.

        Raises
        ------
        OSError, http.client.HTTPException, ValueError, KeyError
            When the endpoint gives none, and what is held has expired.
        """
        now = self._clock()
        if self._held is None or self._held[1] - now < _EARLY:
            try:
                self._held = self._fetch()
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                if self._held is None or self._held[1] <= now:
                    raise
        found, _ = self._held
        return {
            "access_key_id": found["AccessKeyId"],
            "secret_access_key": found["SecretAccessKey"],
            "token": found["Token"],
            # The store takes them as expired at once, so it calls this provider before each request.
            "expires_at": now,
        }

    def _fetch(self) -> tuple[dict[str, str], datetime]:
        address = urlsplit(self._environment[_URI])
        connecting = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        connection = connecting(address.netloc, timeout=_TIMEOUT_SECONDS)
        try:
            path = address.path + (f"?{address.query}" if address.query else "")
            connection.request("GET", path or "/", headers={"Authorization": self._environment[_TOKEN]})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise OSError(f"the credentials endpoint returned {response.status}")
        found = json.loads(content)
        kept = {name: str(found[name]) for name in ("AccessKeyId", "SecretAccessKey", "Token")}
        return kept, datetime.fromisoformat(found["Expiration"])
